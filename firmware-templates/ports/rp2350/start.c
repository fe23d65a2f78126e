/* Start-up of the RP2350: vectors, and the block that the boot ROM looks for. The ROM itself sets up the flash. */
#include "board_config.h"
#include "rp2350.h"

void Reset_Handler(void);

#if defined(__riscv)
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

/* The ROM has loaded the stack pointer from the first vector. */
__attribute__((noreturn, used)) void Reset_Handler(void)
{
    start_program();
}

__attribute__((section(".vectors"), used)) static const vector vectors[IRQ(BOARD_UART_INTERRUPT) + 1u] = {
    [0] = {.stack = __stack_top},
    [1] = {.handler = Reset_Handler},
    [2] = {.handler = UNEXPECTED},
    [3] = {.handler = HardFault_Handler},
    [4] = {.handler = UNEXPECTED},
    [5] = {.handler = UNEXPECTED},
    [6] = {.handler = UNEXPECTED},
    [7] = {.handler = UNEXPECTED},
    [11] = {.handler = UNEXPECTED},
    [12] = {.handler = UNEXPECTED},
    [14] = {.handler = UNEXPECTED},
    [15] = {.handler = SysTick_Handler},
    [IRQ(BOARD_UART_INTERRUPT)] = {.handler = UART_Handler},
};
#endif
