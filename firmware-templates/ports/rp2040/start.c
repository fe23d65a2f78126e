/* Start-up of the RP2040: vectors, memory, faults. Entered by boot2.S with the stack pointer set. */
#include <stddef.h>
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

static void halt(void)
{
    for (;;) {
    }
}

/* Everything is initialised here and nothing before: no variable has its value yet. */
__attribute__((noreturn, used)) void Reset_Handler(void)
{
    uint32_t *to;
    const uint32_t *from = __data_load;
    /* A watchdog that whoever ran before left running would bite in the middle of an image. */
    REGISTER(WATCHDOG_CTRL) &= ~WATCHDOG_ENABLE;
    for (to = __data_start; to < __data_end;) {
        *to++ = *from++;
    }
    for (to = __bss_start; to < __bss_end;) {
        *to++ = 0;
    }
    /* Painted, so that the deepest use can be found later. The part in use now is left alone. */
    to = __stack_bottom;
    while (to < (uint32_t *)__builtin_frame_address(0) - 16) {
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
    [2] = {.handler = halt},
    [3] = {.handler = HardFault_Handler},
    [11] = {.handler = halt},
    [14] = {.handler = halt},
    [15] = {.handler = SysTick_Handler},
    [IRQ(UART0_IRQ)] = {.handler = UART0_Handler},
};

/* The compiler turns loops and assignments into calls of these; nothing else of a C library is used. */
void *memset(void *to, int value, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);

__attribute__((used)) void *memset(void *to, int value, size_t count)
{
    volatile uint8_t *byte = to; /* volatile: or this loop becomes a call of itself */
    while (count-- != 0u) {
        *byte++ = (uint8_t)value;
    }
    return to;
}

__attribute__((used)) void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    volatile uint8_t *byte = to;
    const uint8_t *source = from;
    while (count-- != 0u) {
        *byte++ = *source++;
    }
    return to;
}

__attribute__((used)) void *memmove(void *to, const void *from, size_t count)
{
    volatile uint8_t *byte = to;
    const uint8_t *source = from;
    if ((uintptr_t)to <= (uintptr_t)from) {
        return memcpy(to, from, count);
    }
    while (count-- != 0u) {
        byte[count] = source[count];
    }
    return to;
}
