/* Start-up of the RP2040: vectors and memory. Entered by boot2.S with the stack pointer set. */
#include "cortex_m.h"
#include "rp2040.h"

void Reset_Handler(void);
void UART0_Handler(void);
void USBCTRL_Handler(void);

__attribute__((noreturn, used)) void Reset_Handler(void)
{
    /* A watchdog that whoever ran before left running would bite in the middle of an image. */
    REGISTER(WATCHDOG_CTRL + ATOMIC_CLEAR) = WATCHDOG_ENABLE;
    start_program();
}

__attribute__((section(".vectors"), used)) static const vector vectors[IRQ(26)] = {
    [0] = {.stack = __stack_top},
    [1] = {.handler = Reset_Handler},
    [2] = {.handler = UNEXPECTED},
    [3] = {.handler = HardFault_Handler},
    [11] = {.handler = UNEXPECTED},
    [14] = {.handler = UNEXPECTED},
    [15] = {.handler = SysTick_Handler},
    [IRQ(USBCTRL_IRQ)] = {.handler = USBCTRL_Handler},
    [IRQ(UART0_IRQ)] = {.handler = UART0_Handler},
};
