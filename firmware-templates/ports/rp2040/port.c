/* The RP2040 under the serial application: 125 MHz from the crystal, UART0 on GPIO 0 and 1, a 64-bit cycle counter. */
#include "port.h"

#include "board_config.h"
#include "core1.h"
#include "flash_id.h"
#include "rp2040.h"

/* start_clocks() sets up this one; another would make the baud rate and every time wrong. */
#if BOARD_CLOCK_HZ != 125000000u
#error "this port runs at 125 MHz: clockHz of the board must be 125000000"
#endif

extern uint32_t __stack_bottom[], __stack_top[];

void HardFault_Handler(void);
void SysTick_Handler(void);
void UART0_Handler(void);

/* Bytes received while the core computes. The host has one request outstanding, so one request's bytes are enough. */
#define RING_BYTES 2048u
static uint8_t ring[RING_BYTES];
static volatile uint32_t ring_in;
static volatile uint32_t ring_out;

static volatile uint32_t systick_wraps;

#define SYSTICK_RANGE 0x01000000u

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

    REGISTER(RESETS_RESET) |= RESET_PLL_SYS;
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = RESET_PLL_SYS;
    while ((REGISTER(RESETS_RESET_DONE) & RESET_PLL_SYS) == 0u) {
    }
    /* 12 MHz x 125 = 1500 MHz, / 6 / 2 = 125 MHz (datasheet 2.18.2). */
    REGISTER(PLL_SYS_CS) = 1u;
    REGISTER(PLL_SYS_FBDIV) = 125u;
    REGISTER(PLL_SYS_PWR) &= ~(PLL_PD | PLL_VCOPD);
    while ((REGISTER(PLL_SYS_CS) & PLL_LOCK) == 0u) {
    }
    REGISTER(PLL_SYS_PRIM) = (6u << 16) | (2u << 12);
    REGISTER(PLL_SYS_PWR) &= ~PLL_POSTDIVPD;

    REGISTER(CLK_SYS_DIV) = 1u << 8;
    REGISTER(CLK_SYS_CTRL) = 0u; /* the other input: PLL */
    REGISTER(CLK_SYS_CTRL) = CLK_SOURCE_AUX;
    while (REGISTER(CLK_SYS_SELECTED) != (1u << CLK_SOURCE_AUX)) {
    }
    REGISTER(CLK_PERI_CTRL) = CLK_PERI_ENABLE; /* from clk_sys */
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
    REGISTER(NVIC_ISER) = 1u << UART0_IRQ;
}

void port_init(void)
{
    start_clocks();
    REGISTER(SYST_RVR) = SYSTICK_RANGE - 1u;
    REGISTER(SYST_CVR) = 0u;
    REGISTER(SYST_CSR) = 7u; /* processor clock, interrupt, enabled */
    /* Counting begins here, whatever was pending. */
    REGISTER(ICSR) = ICSR_SYSTICK_CLEAR;
    systick_wraps = 0;
    start_uart();
}

void UART0_Handler(void)
{
    /* Cleared first: a byte that comes after the last look below asks again. */
    REGISTER(UART0_ICR) = UART_RX_INTERRUPTS;
    while ((REGISTER(UART0_FR) & UART_RX_EMPTY) == 0u) {
        uint8_t byte = (uint8_t)REGISTER(UART0_DR);
        uint32_t in = ring_in;
        if (in - ring_out < RING_BYTES) { /* else the frame is lost, and its checksum tells */
            ring[in % RING_BYTES] = byte;
            ring_in = in + 1u;
        }
    }
}

int port_read(void)
{
    uint32_t out = ring_out;
    uint8_t byte;
    if (out == ring_in) {
        return -1;
    }
    byte = ring[out % RING_BYTES];
    ring_out = out + 1u;
    return byte;
}

void port_idle(void)
{
    /* Interrupts are masked from the last look at the ring until the core sleeps, so that none is slept through; a
     * pending one ends the sleep all the same. */
    __asm volatile("cpsid i" ::: "memory");
    if (ring_out == ring_in) {
        __asm volatile("wfi" ::: "memory");
    }
    __asm volatile("cpsie i" ::: "memory");
}

void port_write(const uint8_t *bytes, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        while ((REGISTER(UART0_FR) & UART_TX_FULL) != 0u) {
        }
        REGISTER(UART0_DR) = bytes[i];
    }
}

void SysTick_Handler(void)
{
    systick_wraps++;
}

uint64_t port_cycles(void)
{
    uint32_t masked;
    uint32_t wraps;
    uint32_t left;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    wraps = systick_wraps;
    left = REGISTER(SYST_CVR);
    if ((REGISTER(ICSR) & ICSR_SYSTICK_PENDING) != 0u) {
        /* It reached 0 and its interrupt has not been served: before or after the look above, so look again. */
        wraps++;
        left = REGISTER(SYST_CVR);
    }
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return (uint64_t)wraps * SYSTICK_RANGE + (SYSTICK_RANGE - 1u - left);
}

uint32_t port_cycles_per_second(void)
{
    return BOARD_CLOCK_HZ;
}

uint32_t port_stack_size(void)
{
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__stack_bottom);
}

uint32_t port_stack_high_water(void)
{
    const uint32_t *word = __stack_bottom;
    while (word < __stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

static char hex_digit(uint32_t value)
{
    return (char)(value < 10u ? '0' + value : 'a' + value - 10u);
}

void port_serial_number(char text[33])
{
    uint8_t id[FLASH_ID_BYTES];
    uint32_t i;
    text[0] = 0;
    if (!flash_read_id(id)) {
        return;
    }
    for (i = 0; i < FLASH_ID_BYTES; i++) {
        text[2u * i] = hex_digit(id[i] >> 4);
        text[2u * i + 1u] = hex_digit(id[i] & 15u);
    }
    text[2u * FLASH_ID_BYTES] = 0;
}

/* Starts the chip again as power-on does, except for the oscillators: through the boot ROM. */
__attribute__((noreturn)) static void restart(void)
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

/* Says so on the link, where any terminal shows it and no decoder takes it for a frame, and starts again. */
__attribute__((used, noreturn)) void hard_fault(const uint32_t *frame)
{
    static const char text[] = "\r\nhard fault at 0x";
    uint32_t pc = frame[6];
    uint8_t digits[11];
    uint32_t i;
    REGISTER(WATCHDOG_SCRATCH0) = pc; /* outlives the restart, for whoever has a debug probe */
    for (i = 0; i < 8u; i++) {
        digits[i] = (uint8_t)hex_digit((pc >> (28u - 4u * i)) & 15u);
    }
    digits[8] = '\r';
    digits[9] = '\n';
    digits[10] = 0;
    port_write((const uint8_t *)text, sizeof text - 1u);
    port_write(digits, sizeof digits);
    finish_sending();
    restart();
}

__attribute__((naked)) void HardFault_Handler(void)
{
    /* The frame lies on the main stack; the handler itself goes on with a fresh one, for the old may be used up. */
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =__stack_top\n"
                   "msr msp, r1\n"
                   "ldr r1, =%c0\n"
                   "bx r1\n"
                   ".pool\n" ::"i"(hard_fault));
}
