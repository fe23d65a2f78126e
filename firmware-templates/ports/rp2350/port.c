/* The RP2350 under the serial application, on either of its cores: 150 MHz from the crystal, UART0. One core works; the flash is
 * read as the boot ROM set it up. */
#include "port.h"

#include "board_config.h"
#include "rp2350.h"

#if !defined(BOARD_UART_ALONE) || !defined(BOARD_TX_PIN)
#error "this port has a UART and nothing else: link.kind of the board must be uart, link.uart.pins given"
#endif
#if BOARD_UART != UART0
#error "this port knows UART0: link.uart.registers of the board must be 0x40070000"
#endif
#if BOARD_CLOCK_HZ != 150000000u
#error "this port runs at 150 MHz: clockHz of the board must be 150000000"
#endif

static void start_clocks(void)
{
    /* Cycles / 256 of the crystal: 5 ms, several times what a common crystal takes. */
    REGISTER(XOSC_STARTUP) = 256u;
    REGISTER(XOSC_CTRL) = XOSC_ENABLE_1_15MHZ;
    while ((REGISTER(XOSC_STATUS) & XOSC_STABLE) == 0u) {
    }
    /* clk_sys from clk_ref while the PLL is set up; what feeds the switch's other input is changed while nothing uses it. */
    REGISTER(CLK_SYS_CTRL + ATOMIC_CLEAR) = CLK_SOURCE_AUX;
    while (REGISTER(CLK_SYS_SELECTED) != (1u << 0)) {
    }
    REGISTER(CLK_REF_CTRL) = CLK_REF_SOURCE_XOSC;
    while (REGISTER(CLK_REF_SELECTED) != (1u << CLK_REF_SOURCE_XOSC)) {
    }

    /* 12 MHz x 125 = 1500 MHz, / 5 / 2 = 150 MHz (8.6.3). */
    REGISTER(RESETS_RESET) |= RESET_PLL_SYS;
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = RESET_PLL_SYS;
    while ((REGISTER(RESETS_RESET_DONE) & RESET_PLL_SYS) == 0u) {
    }
    REGISTER(PLL_CS) = 1u;
    REGISTER(PLL_FBDIV) = 125u;
    REGISTER(PLL_PWR) &= ~(PLL_PD | PLL_VCOPD);
    while ((REGISTER(PLL_CS) & PLL_LOCK) == 0u) {
    }
    REGISTER(PLL_PRIM) = (5u << 16) | (2u << 12);
    REGISTER(PLL_PWR) &= ~PLL_POSTDIVPD;

    REGISTER(CLK_SYS_DIV) = 1u << 16;
    REGISTER(CLK_SYS_CTRL) = 0u; /* the other input: PLL */
    REGISTER(CLK_SYS_CTRL) = CLK_SOURCE_AUX;
    while (REGISTER(CLK_SYS_SELECTED) != (1u << CLK_SOURCE_AUX)) {
    }
    REGISTER(CLK_PERI_CTRL) = CLK_PERI_ENABLE; /* from clk_sys */
}

static void start_uart(void)
{
    const uint32_t blocks = RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0;
    /* Clock / (16 x rate) in 64ths, rounded (12.1.7.1). */
    const uint32_t divisor = (4u * BOARD_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD;
    REGISTER(RESETS_RESET) |= RESET_UART0; /* drops what whoever ran before left in its FIFOs */
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = blocks;
    while ((REGISTER(RESETS_RESET_DONE) & blocks) != blocks) {
    }
    REGISTER(UART_IBRD) = divisor / 64u;
    REGISTER(UART_FBRD) = divisor % 64u;
    REGISTER(UART_LCR_H) = UART_8_BITS_FIFO;
    REGISTER(UART_CR) = UART_ENABLE_RX_TX;
    REGISTER(GPIO_CTRL(BOARD_TX_PIN)) = GPIO_FUNCTION_UART;
    REGISTER(GPIO_CTRL(BOARD_RX_PIN)) = GPIO_FUNCTION_UART;
    REGISTER(PAD(BOARD_TX_PIN)) = PAD_OUTPUT;
    REGISTER(PAD(BOARD_RX_PIN)) = PAD_INPUT;
    REGISTER(UART_IFLS) = 0u; /* interrupt at the lowest level */
    REGISTER(UART_IMSC) = UART_RX_INTERRUPTS;
}

#if defined(__riscv)
/* 3.8.6.1 the core's interrupt controller: a register that selects sixteen interrupts by its low bits. */
static void start_interrupt(void)
{
    const uint32_t enable = (1u << (16u + BOARD_UART_INTERRUPT % 16u)) | (BOARD_UART_INTERRUPT / 16u);
    __asm volatile("csrs 0xbe0, %0" ::"r"(enable)); /* meiea */
    __asm volatile("csrs mie, %0" ::"r"(MIE_EXTERNAL));
    enable_interrupts();
}

void interrupt(uint32_t number)
{
    (void)number; /* no other is enabled */
    UART_Handler();
}
#else
static void start_interrupt(void)
{
    REGISTER(NVIC_ISER(BOARD_UART_INTERRUPT)) = 1u << (BOARD_UART_INTERRUPT % 32u);
}
#endif

void port_init(void)
{
    /* A watchdog that whoever ran before left running would bite in the middle of an image. */
    REGISTER(WATCHDOG_CTRL + ATOMIC_CLEAR) = WATCHDOG_ENABLE;
    start_clocks();
#if defined(__riscv)
    __asm volatile("csrci mcountinhibit, 1"); /* mcycle stands still until told otherwise (3.8.9) */
#else
    start_ticks();
#endif
    start_uart();
    start_interrupt();
}

void UART_Handler(void)
{
    /* Cleared first: a byte that comes after the last look below asks again. */
    REGISTER(UART_ICR) = UART_RX_INTERRUPTS;
    while ((REGISTER(UART_FR) & UART_RX_EMPTY) == 0u) {
        keep_received((uint8_t)REGISTER(UART_DR));
    }
}

void uart_send(uint8_t byte)
{
    while ((REGISTER(UART_FR) & UART_TX_FULL) != 0u) {
    }
    REGISTER(UART_DR) = byte;
}

void uart_finish(void)
{
    while ((REGISTER(UART_FR) & UART_BUSY) != 0u) {
    }
}

void enter_boot_loader(void)
{
    /* The boot ROM has a call for it, which is not made here: hold BOOTSEL. */
}

void port_serial_number(char text[33])
{
    text[0] = 0; /* it lies in one-time programmable memory, which is not read here */
}

#if defined(__riscv)
/* Starts the chip again as power-on does, except for the oscillators: through the boot ROM. */
__attribute__((noreturn)) void restart(void)
{
    REGISTER(WATCHDOG_SCRATCH4) = 0u;
    REGISTER(PSM_WDSEL) = PSM_ALL_BUT_OSCILLATORS;
    REGISTER(WATCHDOG_CTRL) = WATCHDOG_TRIGGER;
    for (;;) {
    }
}
#endif
