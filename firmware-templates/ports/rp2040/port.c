/* The RP2040 under the serial application: 125 MHz from the crystal, UART0 on GPIO 0 and 1, a 64-bit cycle counter. */
#include "port.h"

#include "board_config.h"
#include "rp2040.h"

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
    /* 1.5 ms for the crystal: cycles / 256 at 12 MHz, rounded up (datasheet 2.16.3), with room for slow crystals. */
    REGISTER(XOSC_STARTUP) = 256u;
    REGISTER(XOSC_CTRL) = XOSC_ENABLE_1_15MHZ;
    while ((REGISTER(XOSC_STATUS) & XOSC_STABLE) == 0u) {
    }
    REGISTER(CLK_REF_CTRL) = 2u; /* crystal */
    while (REGISTER(CLK_REF_SELECTED) != (1u << 2)) {
    }
    REGISTER(CLK_SYS_CTRL) = 0u; /* clk_ref, while the PLL is set up */
    while (REGISTER(CLK_SYS_SELECTED) != (1u << 0)) {
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

    REGISTER(CLK_SYS_CTRL) = 1u; /* PLL */
    while (REGISTER(CLK_SYS_SELECTED) != (1u << 1)) {
    }
    REGISTER(CLK_PERI_CTRL) = CLK_PERI_ENABLE; /* from clk_sys */
}

static void start_uart(void)
{
    const uint32_t blocks = RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0;
    /* Divisor in 64ths, rounded: 16 samples a bit (datasheet 4.2.7.1). */
    const uint32_t divisor = (8u * (BOARD_CLOCK_HZ / BOARD_BAUD) + 1u) / 2u;
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
    start_uart();
}

void UART0_Handler(void)
{
    while ((REGISTER(UART0_FR) & UART_RX_EMPTY) == 0u) {
        uint8_t byte = (uint8_t)REGISTER(UART0_DR);
        uint32_t in = ring_in;
        if (in - ring_out < RING_BYTES) { /* else the frame is lost, and its checksum tells */
            ring[in % RING_BYTES] = byte;
            ring_in = in + 1u;
        }
    }
    REGISTER(UART0_ICR) = UART_RX_INTERRUPTS;
}

int port_read(void)
{
    uint32_t out = ring_out;
    if (out == ring_in) {
        return -1;
    }
    uint8_t byte = ring[out % RING_BYTES];
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
    for (size_t i = 0; i < count; i++) {
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
    uint32_t wraps;
    uint32_t left;
    do {
        wraps = systick_wraps;
        left = REGISTER(SYST_CVR);
    } while (wraps != systick_wraps); /* it wrapped in between */
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

void port_serial_number(char text[33])
{
    /* The flash's unique id can only be read with the flash interface taken out of execute-in-place, by code in RAM;
     * over UART the adapter's own serial number tells boards apart, so this port has none. */
    text[0] = 0;
}

/* A word of the boot ROM, which lies at address 0; the compiler must not take that for a null pointer. */
static uint32_t rom_word(uintptr_t address)
{
    __asm volatile("" : "+r"(address));
    return REGISTER(address);
}

void port_reset(int to_boot_loader)
{
    while ((REGISTER(UART0_FR) & UART_TX_BUSY) != 0u) {
    }
    if (to_boot_loader != 0) {
        /* "Mu" and a version: a real boot ROM. reset_usb_boot has the code 'U', 'B' (datasheet 2.8.3.1). */
        if ((rom_word(ROM_MAGIC) & 0xffffu) != 0x754du) {
            return;
        }
        typedef void *(*lookup)(uint16_t *table, uint32_t code);
        typedef void (*reset_usb_boot)(uint32_t activity_pins, uint32_t disabled_interfaces);
        uint32_t table = rom_word(ROM_FUNCTION_TABLE);
        uint32_t find = rom_word(ROM_LOOKUP);
        lookup rom_lookup = (lookup)(uintptr_t)(find & 0xffffu);
        reset_usb_boot enter =
            (reset_usb_boot)(uintptr_t)rom_lookup((uint16_t *)(uintptr_t)(table & 0xffffu), 'U' | ('B' << 8));
        enter(0, 0);
    }
    REGISTER(AIRCR) = AIRCR_RESET;
    for (;;) {
    }
}

/* Says so on the link, where any terminal shows it and no decoder takes it for a frame, and starts again. */
__attribute__((used, noreturn)) static void hard_fault(const uint32_t *frame)
{
    static const char text[] = "\r\nhard fault at 0x";
    uint32_t pc = frame[6];
    uint8_t digits[11];
    for (unsigned i = 0; i < 8u; i++) {
        uint32_t digit = (pc >> (28u - 4u * i)) & 15u;
        digits[i] = (uint8_t)(digit < 10u ? '0' + digit : 'a' + digit - 10u);
    }
    digits[8] = '\r';
    digits[9] = '\n';
    digits[10] = 0;
    port_write((const uint8_t *)text, sizeof text - 1u);
    port_write(digits, sizeof digits);
    while ((REGISTER(UART0_FR) & UART_TX_BUSY) != 0u) {
    }
    REGISTER(AIRCR) = AIRCR_RESET;
    for (;;) {
    }
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
