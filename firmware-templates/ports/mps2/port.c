/* Arm's MPS2 boards under the serial application: one UART of the Cortex-M System Design Kit, a 64-bit counter.
 *
 * The port counts nanoseconds, by SysTick. QEMU models no cycles, and DWT's cycle counter reads 0 there; but started with
 * `-icount shift=0` it lets each instruction take one nanosecond. So what is counted are instructions, in steps of a
 * tick: 40 at 25 MHz. */
#include "port.h"

#include "board_config.h"
#include "mps2.h"

#define COUNTS_PER_SECOND 1000000000u
#define COUNTS_PER_TICK (COUNTS_PER_SECOND / BOARD_CLOCK_HZ)

#if COUNTS_PER_SECOND % BOARD_CLOCK_HZ != 0u
#error "this port counts whole nanoseconds: clockHz of the board must divide 1000000000"
#endif

/* DDI 0479, 4.3.3: less is no valid divisor. */
#define LEAST_DIVISOR 16u
#define DIVISOR ((BOARD_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD)
#if DIVISOR < LEAST_DIVISOR
#error "link.baud of the board is more than a sixteenth of its clockHz"
#endif

extern uint32_t __stack_bottom[], __stack_top[];

void HardFault_Handler(void);
void SysTick_Handler(void);
void UART_Handler(void);

/* Bytes received while the core computes. The host has one request outstanding, so one request's bytes are enough. */
#define RING_BYTES 2048u
static uint8_t ring[RING_BYTES];
static volatile uint32_t ring_in;
static volatile uint32_t ring_out;

static volatile uint32_t systick_wraps;

#define SYSTICK_RANGE 0x01000000u

void port_init(void)
{
    REGISTER(SYST_RVR) = SYSTICK_RANGE - 1u;
    REGISTER(SYST_CVR) = 0u;
    REGISTER(SYST_CSR) = 7u; /* processor clock, interrupt, enabled */
    /* Counting begins here, whatever was pending. */
    REGISTER(ICSR) = ICSR_SYSTICK_CLEAR;
    systick_wraps = 0;

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
        uint8_t byte = (uint8_t)REGISTER(UART_DATA);
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
        while ((REGISTER(UART_STATE) & UART_TX_FULL) != 0u) {
        }
        REGISTER(UART_DATA) = bytes[i];
    }
}

void SysTick_Handler(void)
{
    systick_wraps++;
}

static uint64_t ticks(void)
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

uint64_t port_cycles(void)
{
    return ticks() * COUNTS_PER_TICK;
}

uint32_t port_cycles_per_second(void)
{
    return COUNTS_PER_SECOND;
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
    text[0] = 0; /* the boards have none that a program can read */
}

__attribute__((noreturn)) static void restart(void)
{
    __asm volatile("dsb" ::: "memory");
    REGISTER(AIRCR) = AIRCR_KEY | AIRCR_SYSTEM_RESET;
    for (;;) {
    }
}

/* The UART tells when it takes another byte, not when the last one is out: that is ten bits later. The count is no less
 * than it should be, since a round takes more than a cycle. */
static void finish_sending(void)
{
    volatile uint32_t cycles;
    while ((REGISTER(UART_STATE) & UART_TX_FULL) != 0u) {
    }
    for (cycles = 0; cycles < 10u * DIVISOR; cycles++) {
    }
}

void port_reset(int to_boot_loader)
{
    if (to_boot_loader != 0) {
        return; /* there is none */
    }
    finish_sending();
    restart();
}

/* Says so on the link, where any terminal shows it and no decoder takes it for a frame, and starts again. */
__attribute__((used, noreturn)) static void hard_fault(const uint32_t *frame)
{
    static const char overflow[] = "\r\nhard fault: the stack overflowed\r\n";
    static const char text[] = "\r\nhard fault at 0x";
    /* With the 0x00 that tells a decoder that a frame may begin. */
    uint8_t digits[11] = {0, 0, 0, 0, 0, 0, 0, 0, '\r', '\n', 0};
    uint32_t i;
    if (frame < __stack_bottom) { /* then there was no room for the frame, and no pc in it */
        port_write((const uint8_t *)overflow, sizeof overflow);
    } else {
        uint32_t pc = frame[6];
        for (i = 0; i < 8u; i++) {
            uint32_t digit = (pc >> (28u - 4u * i)) & 15u;
            digits[i] = (uint8_t)(digit < 10u ? '0' + digit : 'a' + digit - 10u);
        }
        port_write((const uint8_t *)text, sizeof text - 1u);
        port_write(digits, sizeof digits);
    }
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
