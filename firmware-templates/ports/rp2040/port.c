/* The RP2040 under the serial application: 125 MHz from the crystal, two links (USB, and UART0 on GPIO 0 and 1), a
 * 64-bit cycle counter. */
#include "port.h"

#include "board_config.h"
#include "cortex_m.h"
#include "flash_fetch.h"
#include "flash_id.h"
#include "rp2040.h"
#include "usb.h"

/* start_clocks() sets up this one; another would make the baud rate and every time wrong. */
#if BOARD_CLOCK_HZ != 125000000u
#error "this port runs at 125 MHz: clockHz of the board must be 125000000"
#endif

#if !defined(BOARD_USB_VENDOR_ID)
#error "this port is a USB device: link.usb of the board must be given"
#endif

void UART0_Handler(void);

/* Locks a PLL on the crystal: x multiple / first / second. */
static void start_pll(uint32_t pll, uint32_t reset, uint32_t multiple, uint32_t first, uint32_t second)
{
    REGISTER(RESETS_RESET) |= reset;
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = reset;
    while ((REGISTER(RESETS_RESET_DONE) & reset) == 0u) {
    }
    REGISTER(PLL_CS(pll)) = 1u;
    REGISTER(PLL_FBDIV(pll)) = multiple;
    REGISTER(PLL_PWR(pll)) &= ~(PLL_PD | PLL_VCOPD);
    while ((REGISTER(PLL_CS(pll)) & PLL_LOCK) == 0u) {
    }
    REGISTER(PLL_PRIM(pll)) = (first << 16) | (second << 12);
    REGISTER(PLL_PWR(pll)) &= ~PLL_POSTDIVPD;
}

static void start_clocks(void)
{
    /* Cycles / 256 of the crystal: 5 ms, several times what a common crystal takes (datasheet 2.16.3). */
    REGISTER(XOSC_STARTUP) = 256u;
    REGISTER(XOSC_CTRL) = XOSC_ENABLE_1_15MHZ;
    while ((REGISTER(XOSC_STATUS) & XOSC_STABLE) == 0u) {
    }
    /* clk_sys from clk_ref while the PLL is set up. Only the glitch-free switch moves first; what feeds its other input
     * is changed while nothing uses it (datasheet 2.15.3.2). */
    REGISTER(CLK_SYS_CTRL + ATOMIC_CLEAR) = CLK_SOURCE_AUX;
    while (REGISTER(CLK_SYS_SELECTED) != (1u << 0)) {
    }
    REGISTER(CLK_REF_CTRL) = CLK_REF_SOURCE_XOSC;
    while (REGISTER(CLK_REF_SELECTED) != (1u << CLK_REF_SOURCE_XOSC)) {
    }

    /* 12 MHz x 125 = 1500 MHz, / 6 / 2 = 125 MHz (datasheet 2.18.2). */
    start_pll(PLL_SYS, RESET_PLL_SYS, 125u, 6u, 2u);

    REGISTER(CLK_SYS_DIV) = 1u << 8;
    REGISTER(CLK_SYS_CTRL) = 0u; /* the other input: PLL */
    REGISTER(CLK_SYS_CTRL) = CLK_SOURCE_AUX;
    while (REGISTER(CLK_SYS_SELECTED) != (1u << CLK_SOURCE_AUX)) {
    }
    REGISTER(CLK_PERI_CTRL) = CLK_PERI_ENABLE; /* from clk_sys */

    /* 12 MHz x 100 = 1200 MHz, / 5 / 5 = 48 MHz, which USB needs. */
    start_pll(PLL_USB, RESET_PLL_USB, 100u, 5u, 5u);
    REGISTER(CLK_USB_CTRL) = 0u;
    REGISTER(CLK_USB_DIV) = 1u << 8;
    REGISTER(CLK_USB_CTRL) = CLK_USB_ENABLE; /* from PLL_USB */
}

static void start_uart(void)
{
    const uint32_t blocks = RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0;
    /* Clock / (16 x rate) in 64ths, rounded (datasheet 4.2.7.1). */
    const uint32_t divisor = (4u * BOARD_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD;
    REGISTER(RESETS_RESET) |= RESET_UART0; /* drops what whoever ran before left in its FIFOs */
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = blocks;
    while ((REGISTER(RESETS_RESET_DONE) & blocks) != blocks) {
    }
    REGISTER(UART0_IBRD) = divisor / 64u;
    REGISTER(UART0_FBRD) = divisor % 64u;
    REGISTER(UART0_LCR_H) = UART_8_BITS_FIFO;
    REGISTER(UART0_CR) = UART_ENABLE_RX_TX;
    REGISTER(PADS_GPIO1) = PAD_INPUT;
    REGISTER(GPIO0_CTRL) = GPIO_FUNCTION_UART;
    REGISTER(GPIO1_CTRL) = GPIO_FUNCTION_UART;
    REGISTER(UART0_IFLS) = 0u; /* interrupt at the lowest level */
    REGISTER(UART0_IMSC) = UART_RX_INTERRUPTS;
    REGISTER(NVIC_ISER(UART0_IRQ)) = 1u << (UART0_IRQ % 32u);
}

/* With its final 0; empty where the flash chip gives no id. Read once, while core 1 sleeps: flash is out of reach then. */
static char serial_number[2u * FLASH_ID_BYTES + 1u];

static void read_serial_number(void)
{
    uint8_t id[FLASH_ID_BYTES];
    uint32_t i;
    if (!flash_read_id(id)) {
        return;
    }
    for (i = 0; i < FLASH_ID_BYTES; i++) {
        serial_number[2u * i] = hex_digit(id[i] >> 4);
        serial_number[2u * i + 1u] = hex_digit(id[i] & 15u);
    }
}

void port_init(void)
{
    start_clocks();
    start_ticks();
    start_uart();
    start_flash_fetch();
    read_serial_number();
    usb_start(serial_number);
}

void UART0_Handler(void)
{
    /* Cleared first: a byte that comes after the last look below asks again. */
    REGISTER(UART0_ICR) = UART_RX_INTERRUPTS;
    while ((REGISTER(UART0_FR) & UART_RX_EMPTY) == 0u) {
        keep_received((uint8_t)REGISTER(UART0_DR));
    }
}

/* -- two links, one reader --
 *
 * A request comes over one link, and its answer leaves there. The reader changes over between frames. In the middle of one
 * it waits for the rest, though not for ever: a link that is silent there, or sends no end of a frame for longer than the
 * longest takes, must not keep the other one from being served. */

#define SILENT_CYCLES (BOARD_CLOCK_HZ / 50u)
#define FRAME_CYCLES BOARD_CLOCK_HZ

static int on_usb;             /* the link in use: USB, or else the UART */
static int in_frame;           /* its last byte was not the end of a frame */
static uint64_t frame_started; /* when this frame's first byte was read */
static uint64_t last_read;

static int link_waits(int usb)
{
    return usb ? usb_waits() : any_received();
}

static int link_read(int usb)
{
    return usb ? usb_read() : next_received();
}

int port_read(void)
{
    int byte = link_read(on_usb);
    if (byte < 0) {
        if (!link_waits(!on_usb)) {
            return -1;
        }
        if (in_frame) {
            uint64_t now = ticks();
            if (now - last_read < SILENT_CYCLES && now - frame_started < FRAME_CYCLES) {
                return -1;
            }
            in_frame = 0;
            return 0; /* ends what will not be ended; the answer to it still leaves on its own link */
        }
        on_usb = !on_usb;
        byte = link_read(on_usb);
        if (byte < 0) {
            return -1;
        }
    }
    last_read = ticks();
    if (!in_frame) {
        frame_started = last_read;
    }
    in_frame = byte != 0;
    return byte;
}

static int any_link_waits(void)
{
    return link_waits(0) || link_waits(1);
}

void port_idle(void)
{
    sleep_unless(any_link_waits);
}

static void uart_write(const uint8_t *bytes, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        while ((REGISTER(UART0_FR) & UART_TX_FULL) != 0u) {
        }
        REGISTER(UART0_DR) = bytes[i];
    }
}

void port_write(const uint8_t *bytes, size_t count)
{
    if (on_usb) {
        usb_write(bytes, count);
    } else {
        uart_write(bytes, count);
    }
}

uint64_t port_cycles(void)
{
    return ticks();
}

uint32_t port_cycles_per_second(void)
{
    return BOARD_CLOCK_HZ;
}

void port_serial_number(char text[33])
{
    uint32_t i;
    for (i = 0; i < sizeof serial_number; i++) {
        text[i] = serial_number[i];
    }
}

/* Starts the chip again as power-on does, except for the oscillators: through the boot ROM. */
__attribute__((noreturn)) void restart(void)
{
    REGISTER(WATCHDOG_SCRATCH4) = 0u;
    REGISTER(PSM_WDSEL) = PSM_ALL_BUT_OSCILLATORS;
    REGISTER(WATCHDOG_CTRL) = WATCHDOG_TRIGGER;
    for (;;) {
    }
}

static void finish_sending(void)
{
    while ((REGISTER(UART0_FR) & UART_TX_BUSY) != 0u) {
    }
    usb_finish_sending();
}

/* A word of the boot ROM, which lies at address 0; the compiler must not take that for a null pointer. */
static uint32_t rom_word(uintptr_t address)
{
    __asm volatile("" : "+r"(address));
    return REGISTER(address);
}

typedef void *(*rom_lookup)(uint16_t *table, uint32_t code);
typedef void (*reset_usb_boot)(uint32_t activity_pins, uint32_t disabled_interfaces);

void port_reset(int to_boot_loader)
{
    finish_sending();
    if (to_boot_loader != 0) {
        uint32_t table;
        rom_lookup lookup;
        reset_usb_boot enter;
        if ((rom_word(ROM_MAGIC) & 0xffffu) != ROM_MAGIC_VALUE) {
            return;
        }
        table = rom_word(ROM_FUNCTION_TABLE) & 0xffffu;
        lookup = (rom_lookup)(uintptr_t)(rom_word(ROM_LOOKUP) & 0xffffu);
        enter = (reset_usb_boot)(uintptr_t)lookup((uint16_t *)(uintptr_t)table, ROM_RESET_USB_BOOT);
        enter(0, 0);
    }
    restart();
}

__attribute__((used, noreturn)) void hard_fault(const uint32_t *frame)
{
    REGISTER(WATCHDOG_SCRATCH0) = frame[6]; /* the pc: outlives the restart, for whoever has a debug probe */
    report_fault(frame[6]);
    finish_sending();
    restart();
}
