/* Arm's MPS2 boards under the serial application: one UART of the Cortex-M System Design Kit. */
#include "port.h"

#include "board_config.h"
#include "cortex_m.h"
#include "mps2.h"

#if !defined(BOARD_UART_ALONE)
#error "this port has a UART and nothing else: link.kind of the board must be uart"
#endif

/* DDI 0479, 4.3.3: less is no valid divisor. */
#define LEAST_DIVISOR 16u
#define DIVISOR ((BOARD_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD)
#if DIVISOR < LEAST_DIVISOR
#error "link.baud of the board is more than a sixteenth of its clockHz"
#endif

void UART_Handler(void);

void port_init(void)
{
    start_ticks();

    REGISTER(UART_CTRL) = 0u;
    REGISTER(UART_BAUDDIV) = DIVISOR;
    REGISTER(UART_INTCLEAR) = UART_RX_INTERRUPT;
    REGISTER(NVIC_ISER(BOARD_UART_INTERRUPT)) = 1u << (BOARD_UART_INTERRUPT % 32u);
    REGISTER(UART_CTRL) = UART_ENABLE_TX | UART_ENABLE_RX | UART_ENABLE_RX_INTERRUPT;
}

void UART_Handler(void)
{
    /* Cleared first: a byte that comes after the last look below asks again. */
    REGISTER(UART_INTCLEAR) = UART_RX_INTERRUPT;
    while ((REGISTER(UART_STATE) & UART_RX_FULL) != 0u) {
        keep_received((uint8_t)REGISTER(UART_DATA));
    }
}

void uart_send(uint8_t byte)
{
    while ((REGISTER(UART_STATE) & UART_TX_FULL) != 0u) {
    }
    REGISTER(UART_DATA) = byte;
}

void port_serial_number(char text[33])
{
    text[0] = 0; /* the boards have none that a program can read */
}

/* The UART tells when it takes another byte, not when the last one is out: that is ten bits later. The count is no less
 * than it should be, since a round takes more than a cycle. */
void uart_finish(void)
{
    volatile uint32_t cycles;
    while ((REGISTER(UART_STATE) & UART_TX_FULL) != 0u) {
    }
    for (cycles = 0; cycles < 10u * DIVISOR; cycles++) {
    }
}

void enter_boot_loader(void)
{
}
