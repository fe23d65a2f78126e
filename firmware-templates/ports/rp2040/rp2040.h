/* The registers of the RP2040 that this port uses, by the names of its datasheet. */
#ifndef RP2040_H
#define RP2040_H

#include "cortex_m.h"

/* 2.1.2 the APB's atomic access: added to a register's address, it sets or clears the bits that are written as 1 */
#define ATOMIC_SET 0x2000u
#define ATOMIC_CLEAR 0x3000u

/* 2.3.1 SIO: the mailboxes between the cores */
#define SIO_FIFO_ST 0xd0000050u
#define SIO_FIFO_WR 0xd0000054u
#define SIO_FIFO_RD 0xd0000058u
#define FIFO_VALID (1u << 0) /* something to read */
#define FIFO_READY (1u << 1) /* room to write */

/* 2.5 DMA: channel 0 */
#define DMA_CH0_READ_ADDR 0x50000000u
#define DMA_CH0_WRITE_ADDR 0x50000004u
#define DMA_CH0_TRANS_COUNT 0x50000008u
#define DMA_CH0_CTRL_TRIG 0x5000000cu
#define DMA_BUSY (1u << 24)
/* Words that the flash interface has received, bytes reversed, to ascending addresses; chained to itself: to nobody. */
#define DMA_SSI_WORDS_TO_MEMORY ((1u << 22) | (39u << 15) | (0u << 11) | (1u << 5) | (2u << 2) | (1u << 0))

/* 2.13 power-on state machine: what is held in reset, what a reset by the watchdog reaches */
#define PSM_FRCE_OFF 0x40010004u
#define PSM_PROC1 (1u << 16)
#define PSM_WDSEL 0x40010008u
#define PSM_ALL_BUT_OSCILLATORS 0x0001fffcu

/* 2.14 subsystem resets */
#define RESETS_RESET 0x4000c000u
#define RESETS_RESET_DONE 0x4000c008u
#define RESET_DMA (1u << 2)
#define RESET_IO_BANK0 (1u << 5)
#define RESET_PADS_BANK0 (1u << 8)
#define RESET_PLL_SYS (1u << 12)
#define RESET_PLL_USB (1u << 13)
#define RESET_UART0 (1u << 22)
#define RESET_USBCTRL (1u << 24)

/* 2.15 clocks, 2.16 crystal oscillator, 2.18 PLL */
#define CLK_REF_CTRL 0x40008030u
#define CLK_REF_SELECTED 0x40008038u
#define CLK_SYS_CTRL 0x4000803cu
#define CLK_SYS_DIV 0x40008040u
#define CLK_SYS_SELECTED 0x40008044u
#define CLK_PERI_CTRL 0x40008048u
#define CLK_USB_CTRL 0x40008054u
#define CLK_USB_DIV 0x40008058u
#define CLK_SOURCE_AUX 1u
#define CLK_REF_SOURCE_XOSC 2u
#define CLK_PERI_ENABLE (1u << 11)
#define CLK_USB_ENABLE (1u << 11)
#define XOSC_CTRL 0x40024000u
#define XOSC_STATUS 0x40024004u
#define XOSC_STARTUP 0x4002400cu
#define XOSC_ENABLE_1_15MHZ 0x00fabaa0u
#define XOSC_STABLE (1u << 31)
#define PLL_SYS 0x40028000u
#define PLL_USB 0x4002c000u
#define PLL_CS(pll) ((pll) + 0x0u)
#define PLL_PWR(pll) ((pll) + 0x4u)
#define PLL_FBDIV(pll) ((pll) + 0x8u)
#define PLL_PRIM(pll) ((pll) + 0xcu)
#define PLL_LOCK (1u << 31)
#define PLL_PD (1u << 0)
#define PLL_POSTDIVPD (1u << 3)
#define PLL_VCOPD (1u << 5)

/* 2.19 GPIO */
#define GPIO0_CTRL 0x40014004u
#define GPIO1_CTRL 0x4001400cu
#define GPIO_FUNCTION_UART 2u
#define PADS_GPIO1 0x4001c008u
#define PAD_INPUT 0x5au /* input enabled, pull-up, Schmitt trigger, 4 mA */

/* 4.1 USB device: registers, and the memory that it shares with the processor */
#define USB_DPSRAM 0x50100000u
#define USB_SETUP_PACKET (USB_DPSRAM + 0x000u)
#define USB_ENDPOINT_CONTROL(n, out) (USB_DPSRAM + 8u * (n) + 4u * (out)) /* n from 1 on */
#define USB_BUFFER_CONTROL(n, out) (USB_DPSRAM + 0x080u + 8u * (n) + 4u * (out))
#define USB_EP0_BUFFER (USB_DPSRAM + 0x100u)
#define USB_ENDPOINT_ENABLE (1u << 31)
#define USB_INTERRUPT_PER_BUFFER (1u << 29)
#define USB_BULK (2u << 26)
#define USB_INTERRUPT (3u << 26)
#define USB_BUFFER_FULL (1u << 15)
#define USB_BUFFER_DATA1 (1u << 13)
#define USB_BUFFER_STALL (1u << 11)
#define USB_BUFFER_AVAILABLE (1u << 10)
#define USB_BUFFER_LENGTH 0x3ffu
#define USB_ADDR_ENDP 0x50110000u
#define USB_MAIN_CTRL 0x50110040u
#define USB_CONTROLLER_ENABLE (1u << 0)
#define USB_SIE_CTRL 0x5011004cu
#define USB_EP0_INTERRUPT_PER_BUFFER (1u << 29)
#define USB_PULL_UP (1u << 16)
#define USB_SIE_STATUS 0x50110050u
#define USB_SIE_BUS_RESET (1u << 19)
#define USB_SIE_SETUP_RECEIVED (1u << 17)
#define USB_SIE_RESUME (1u << 11)
#define USB_SIE_SUSPENDED (1u << 4)
#define USB_BUFF_STATUS 0x50110058u /* a bit for each endpoint and direction: 2n, 2n + 1 */
#define USB_EP_STALL_ARM 0x50110068u
#define USB_STALL_EP0_BOTH 3u
#define USB_MUXING 0x50110074u
#define USB_TO_PHY ((1u << 3) | (1u << 0))
#define USB_PWR 0x50110078u
#define USB_VBUS_TAKEN_AS_THERE ((1u << 3) | (1u << 2))
#define USB_INTE 0x50110090u
#define USB_INTS 0x50110098u
#define USB_ON_SETUP (1u << 16)
#define USB_ON_RESUME (1u << 15)
#define USB_ON_SUSPEND (1u << 14)
#define USB_ON_BUS_RESET (1u << 12)
#define USB_ON_BUFFER (1u << 4)
#define USBCTRL_IRQ 5

/* 4.2 UART */
#define UART0_DR 0x40034000u
#define UART0_FR 0x40034018u
#define UART0_IBRD 0x40034024u
#define UART0_FBRD 0x40034028u
#define UART0_LCR_H 0x4003402cu
#define UART0_CR 0x40034030u
#define UART0_IFLS 0x40034034u
#define UART0_IMSC 0x40034038u
#define UART0_ICR 0x40034044u
#define UART_RX_EMPTY (1u << 4)
#define UART_TX_FULL (1u << 5)
#define UART_TX_BUSY (1u << 3)
#define UART_8_BITS_FIFO 0x70u
#define UART_ENABLE_RX_TX 0x301u
#define UART_RX_INTERRUPTS ((1u << 4) | (1u << 6)) /* FIFO level, and silence with bytes waiting */
#define UART0_IRQ 20

/* 4.7 watchdog */
#define WATCHDOG_CTRL 0x40058000u
#define WATCHDOG_SCRATCH0 0x4005800cu
#define WATCHDOG_SCRATCH4 0x4005801cu /* the boot ROM looks here for a place to go instead of the flash */
#define WATCHDOG_ENABLE (1u << 30)
#define WATCHDOG_TRIGGER (1u << 31)

/* 4.10 SSI, the flash interface */
#define SSI_CTRLR0 0x18000000u
#define SSI_CTRLR1 0x18000004u /* frames of a read, less one */
#define SSI_SSIENR 0x18000008u
#define SSI_BAUDR 0x18000014u
#define SSI_SR 0x18000028u
#define SSI_DMACR 0x1800004cu
#define SSI_DMA_RECEIVE (1u << 0)
#define SSI_DR0 0x18000060u
#define SSI_CONTINUE_READING 0xa0u /* the mode byte that follows an address, as boot2.S has it */
#define SSI_FRAMES_OF_8_BITS (7u << 16)
#define SSI_BUSY (1u << 0)
#define SSI_TX_EMPTY (1u << 2)

/* 2.8.3 boot ROM: a table of functions by two-letter codes */
#define ROM_MAGIC 0x00000010u
#define ROM_MAGIC_VALUE 0x754du /* "Mu" */
#define ROM_FUNCTION_TABLE 0x00000014u
#define ROM_LOOKUP 0x00000018u
#define ROM_RESET_USB_BOOT 0x4255u /* "UB" */

#endif
