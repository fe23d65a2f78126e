/* The block that the RP2350's boot ROM looks for. The ROM sets up the flash, and the stack pointer from the first vector. */
#include "board_config.h"
#include "rp2350.h"

#if defined(__riscv)
void Reset_Handler(void);

/* Vectors and Reset_Handler are those of trap.S. */
__attribute__((section(".image_def"), used)) static const union {
    uint32_t word;
    void (*handler)(void);
    uint32_t *stack;
} image_def[] = {
    {.word = BLOCK_START},
    {.word = ITEM_IMAGE_TYPE_RISCV},
    {.word = ITEM_ENTRY_POINT},
    {.handler = Reset_Handler},
    {.stack = __stack_top},
    {.word = ITEM_LAST(4u)},
    {.word = 0u},
    {.word = BLOCK_END},
};
#else
__attribute__((section(".image_def"), used)) static const uint32_t image_def[] = {
    BLOCK_START, ITEM_IMAGE_TYPE_ARM_SECURE, ITEM_LAST(1u), 0u, BLOCK_END,
};
#endif
