/* Registers of the MPS2 boards that this port touches. Section numbers are those of the Arm Cortex-M System Design Kit's
 * technical reference manual (DDI 0479) for the UART, and of the Armv7-M architecture reference manual (DDI 0403) for
 * the core. Where the UART lies is the board description's to say. */
#ifndef MPS2_H
#define MPS2_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

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

/* DDI 0403, B3.3 system timer, B3.4 interrupt controller, B3.2 system control, B3.5 memory protection */
#define SYST_CSR 0xe000e010u
#define SYST_RVR 0xe000e014u
#define SYST_CVR 0xe000e018u
#define NVIC_ISER(n) (0xe000e100u + 4u * ((n) / 32u))
#define ICSR 0xe000ed04u
#define ICSR_SYSTICK_CLEAR (1u << 25)
#define ICSR_SYSTICK_PENDING (1u << 26)
#define AIRCR 0xe000ed0cu
#define AIRCR_KEY 0x05fa0000u
#define AIRCR_SYSTEM_RESET (1u << 2)
#define MPU_CTRL 0xe000ed94u
#define MPU_RBAR 0xe000ed9cu
#define MPU_RASR 0xe000eda0u
#define MPU_ON_WITH_DEFAULT_MAP 5u
#define MPU_RBAR_REGION_0 0x10u
#define MPU_RASR_NO_ACCESS_64K 0x1000001fu /* execute never, no access, 2^(15 + 1) bytes, enabled */

#define STACK_PAINT 0x5afe57acu

#endif
