/* Start-up of the RP2040: vectors and memory. Entered by boot2.S with the stack pointer set. */
#include <stdint.h>

#include "rp2040.h"

extern uint32_t __stack_bottom[], __stack_top[];
extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];

int main(void);
void Reset_Handler(void);
void HardFault_Handler(void);
void SysTick_Handler(void);
void UART0_Handler(void);

/* No exception but those below is ever enabled; one that comes all the same is reported as a fault. */
#define UNEXPECTED HardFault_Handler

/* Words of the stack that Reset_Handler itself may be using while it paints the rest. */
#define STACK_IN_USE 16

/* An overflow of the stack, which lies at the bottom of RAM, must not reach the flash interface's registers, which
 * answer to many addresses below it: the 64 KB below RAM are barred. */
static void bar_below_stack(void)
{
    uint32_t guard = (uint32_t)(uintptr_t)__stack_bottom - 0x10000u;
    REGISTER(MPU_RBAR) = guard | MPU_RBAR_REGION_0;
    REGISTER(MPU_RASR) = MPU_RASR_NO_ACCESS_64K;
    REGISTER(MPU_CTRL) = MPU_ON_WITH_DEFAULT_MAP;
    __asm volatile("dsb\n isb" ::: "memory");
}

/* Everything is initialised here and nothing before: no variable has its value yet. */
__attribute__((noreturn, used)) void Reset_Handler(void)
{
    uint32_t *to;
    const uint32_t *from = __data_load;
    /* A watchdog that whoever ran before left running would bite in the middle of an image. */
    REGISTER(WATCHDOG_CTRL + ATOMIC_CLEAR) = WATCHDOG_ENABLE;
    bar_below_stack();
    for (to = __data_start; to < __data_end;) {
        *to++ = *from++;
    }
    for (to = __bss_start; to < __bss_end;) {
        *to++ = 0;
    }
    /* Painted, so that the deepest use can be found later. */
    to = __stack_bottom;
    while (to < (uint32_t *)__builtin_frame_address(0) - STACK_IN_USE) {
        *to++ = STACK_PAINT;
    }
    (void)main();
    for (;;) {
        __asm volatile("wfi");
    }
}

typedef union {
    void (*handler)(void);
    uint32_t *stack;
} vector;

#define IRQ(n) (16 + (n))

__attribute__((section(".vectors"), used)) static const vector vectors[IRQ(26)] = {
    [0] = {.stack = __stack_top},
    [1] = {.handler = Reset_Handler},
    [2] = {.handler = UNEXPECTED},
    [3] = {.handler = HardFault_Handler},
    [11] = {.handler = UNEXPECTED},
    [14] = {.handler = UNEXPECTED},
    [15] = {.handler = SysTick_Handler},
    [IRQ(UART0_IRQ)] = {.handler = UART0_Handler},
};
