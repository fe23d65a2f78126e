/* Start-up of a board whose only interrupts are its UART and the timer. The core, or a boot loader, loads the stack pointer
 * from the first vector. A port with others has a start.c of its own. */
#include "board_config.h"
#include "cortex_m.h"

void Reset_Handler(void);
void UART_Handler(void);

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
    [7] = {.handler = UNEXPECTED}, /* Armv8-M: secure fault */
    [11] = {.handler = UNEXPECTED},
    [12] = {.handler = UNEXPECTED},
    [14] = {.handler = UNEXPECTED},
    [15] = {.handler = SysTick_Handler},
    [IRQ(BOARD_UART_INTERRUPT)] = {.handler = UART_Handler},
};
