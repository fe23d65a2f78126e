/* The registers of the RP2350 that this port uses, by the names of its datasheet. */
#ifndef RP2350_H
#define RP2350_H

#if defined(__riscv)
#include "riscv.h"
#else
#include "cortex_m.h"
#endif

/* 2.1.3 the APB's atomic access: added to a register's address, it clears the bits that are written as 1 */
#define ATOMIC_CLEAR 0x3000u

/* 7.4 power-on state machine: what a reset by the watchdog reaches */
#define PSM_WDSEL 0x40018008u
#define PSM_ALL_BUT_OSCILLATORS 0x01fffff3u

/* 7.5 subsystem resets */
#define RESETS_RESET 0x40020000u
#define RESETS_RESET_DONE 0x40020008u
#define RESET_IO_BANK0 (1u << 6)
#define RESET_PADS_BANK0 (1u << 9)
#define RESET_PLL_SYS (1u << 14)
#define RESET_UART0 (1u << 26)

/* 8.1 clocks, 8.2 crystal oscillator, 8.6 PLL */
#define CLK_REF_CTRL 0x40010030u
#define CLK_REF_SELECTED 0x40010038u
#define CLK_SYS_CTRL 0x4001003cu
#define CLK_SYS_DIV 0x40010040u
#define CLK_SYS_SELECTED 0x40010044u
#define CLK_PERI_CTRL 0x40010048u
#define CLK_SOURCE_AUX 1u
#define CLK_REF_SOURCE_XOSC 2u
#define CLK_PERI_ENABLE (1u << 11)
#define XOSC_CTRL 0x40048000u
#define XOSC_STATUS 0x40048004u
#define XOSC_STARTUP 0x4004800cu
#define XOSC_ENABLE_1_15MHZ 0x00fabaa0u
#define XOSC_STABLE (1u << 31)
#define PLL_CS 0x40050000u
#define PLL_PWR 0x40050004u
#define PLL_FBDIV 0x40050008u
#define PLL_PRIM 0x4005000cu
#define PLL_LOCK (1u << 31)
#define PLL_PD (1u << 0)
#define PLL_POSTDIVPD (1u << 3)
#define PLL_VCOPD (1u << 5)

/* 9.11 GPIO. A pad is isolated after a reset until bit 8 is cleared. */
#define GPIO_CTRL(pin) (0x40028004u + 8u * (pin))
#define GPIO_FUNCTION_UART 2u
#define PAD(pin) (0x40038004u + 4u * (pin))
#define PAD_OUTPUT 0x52u /* Schmitt trigger, 4 mA, input enabled */
#define PAD_INPUT 0x5au  /* and pull-up */

/* 12.1 UART: Arm's PL011 */
#define UART_DR (BOARD_UART + 0x00u)
#define UART_FR (BOARD_UART + 0x18u)
#define UART_IBRD (BOARD_UART + 0x24u)
#define UART_FBRD (BOARD_UART + 0x28u)
#define UART_LCR_H (BOARD_UART + 0x2cu)
#define UART_CR (BOARD_UART + 0x30u)
#define UART_IFLS (BOARD_UART + 0x34u)
#define UART_IMSC (BOARD_UART + 0x38u)
#define UART_ICR (BOARD_UART + 0x44u)
#define UART_BUSY (1u << 3)
#define UART_RX_EMPTY (1u << 4)
#define UART_TX_FULL (1u << 5)
#define UART_8_BITS_FIFO 0x70u
#define UART_ENABLE_RX_TX 0x301u
#define UART_RX_INTERRUPTS ((1u << 4) | (1u << 6)) /* FIFO level, and silence with bytes waiting */
#define UART0 0x40070000u

/* 12.9 watchdog */
#define WATCHDOG_CTRL 0x400d8000u
#define WATCHDOG_SCRATCH4 0x400d801cu /* the boot ROM looks here for a place to go instead of the flash */
#define WATCHDOG_ENABLE (1u << 30)
#define WATCHDOG_TRIGGER (1u << 31)

/* 5.9 the block by which the boot ROM knows a program, in the first 4 KB of it: an item that says what it is, on RISC-V one that
 * says where it begins, one that ends the list with the number of words before it, and the way to the next block: there is none. */
#define BLOCK_START 0xffffded3u
#define BLOCK_END 0xab123579u
#define ITEM_IMAGE_TYPE_ARM_SECURE 0x10210142u
#define ITEM_IMAGE_TYPE_RISCV 0x11010142u
#define ITEM_ENTRY_POINT 0x00000344u
#define ITEM_LAST(words) (0x000000ffu | ((words) << 8))

void UART_Handler(void);

#endif
