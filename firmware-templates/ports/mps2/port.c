/* Arm's MPS2 boards under the serial application: one UART of the Cortex-M System Design Kit, a 64-bit counter.
 *
 * The port counts nanoseconds, by SysTick. QEMU models no cycles, and DWT's cycle counter reads 0 there; but started with
 * `-icount shift=0` it lets each instruction take one nanosecond. So what is counted are instructions, in steps of a
 * tick: 40 at 25 MHz. */
#include "port.h"

#include "board_config.h"
#include "cortex_m.h"
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

int port_read(void)
{
    return next_received();
}

void port_idle(void)
{
    sleep_unless(any_received);
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

uint64_t port_cycles(void)
{
    return ticks() * COUNTS_PER_TICK;
}

uint32_t port_cycles_per_second(void)
{
    return COUNTS_PER_SECOND;
}

const fsvae_fetcher *port_fetcher(void)
{
    return NULL;
}

const fsvae_team *port_team(void)
{
    return NULL;
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

__attribute__((used, noreturn)) void hard_fault(const uint32_t *frame)
{
    static const char overflow[] = "\r\nhard fault: the stack overflowed\r\n";
    if (frame < __stack_bottom) { /* then there was no room for the frame, and no pc in it */
        port_write((const uint8_t *)overflow, sizeof overflow);
    } else {
        report_fault(frame[6]);
    }
    finish_sending();
    restart();
}
