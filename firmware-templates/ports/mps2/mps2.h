/* Registers of the MPS2 boards that this port touches. Section numbers are those of the Arm Cortex-M System Design Kit's
 * technical reference manual (DDI 0479). Where the UART lies is the board description's to say. */
#ifndef MPS2_H
#define MPS2_H

#include "cortex_m.h"

/* DDI 0479, 4.3 APB UART: one byte each way, no FIFO */
#define UART_DATA (BOARD_UART + 0x00u)
#define UART_STATE (BOARD_UART + 0x04u)
#define UART_CTRL (BOARD_UART + 0x08u)
#define UART_INTCLEAR (BOARD_UART + 0x0cu)
#define UART_BAUDDIV (BOARD_UART + 0x10u)
#define UART_TX_FULL (1u << 0)
#define UART_RX_FULL (1u << 1)
#define UART_ENABLE_TX (1u << 0)
#define UART_ENABLE_RX (1u << 1)
#define UART_ENABLE_RX_INTERRUPT (1u << 3)
#define UART_RX_INTERRUPT (1u << 1)

#endif
