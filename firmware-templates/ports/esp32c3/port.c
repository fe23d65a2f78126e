/* The ESP32-C3 under the serial application: 40 MHz straight from the crystal, since how the PLL is tuned is not documented;
 * UART0 on the pins that the boot ROM gave it. Section numbers are those of the technical reference manual, version 1.0. */
#include "port.h"

#include "board_config.h"
#include "riscv.h"

#if !defined(BOARD_UART_ALONE)
#error "this port has a UART and nothing else: link.kind of the board must be uart"
#endif
#if BOARD_CLOCK_HZ != 40000000u
#error "this port runs at the crystal's 40 MHz: clockHz of the board must be 40000000"
#endif

/* 6 clock: the core's from the crystal, undivided */
#define SYSTEM_SYSCLK_CONF 0x600c0058u
#define SYSCLK_FROM_CRYSTAL_BY_1 0u

/* 9 RTC: a reset of the whole chip; its watchdog, and the one that only feeding keeps quiet; 12 those of the two timer groups.
 * The boot ROM leaves some of them running. */
#define RTC_CNTL_OPTIONS0 0x60008000u
#define RTC_CNTL_SW_SYS_RESET (1u << 31)
#define RTC_CNTL_WDTCONFIG0 0x60008090u
#define RTC_CNTL_WDTWPROTECT 0x600080a8u
#define RTC_CNTL_SWD_CONF 0x600080acu
#define RTC_CNTL_SWD_AUTO_FEED (1u << 31)
#define RTC_CNTL_SWD_WPROTECT 0x600080b0u
#define TIMER_GROUP_WDTCONFIG0(n) (0x6001f048u + 0x1000u * (n))
#define TIMER_GROUP_WDTWPROTECT(n) (0x6001f064u + 0x1000u * (n))
#define WATCHDOG_KEY 0x50d83aa1u
#define SUPER_WATCHDOG_KEY 0x8f1d312au

/* 10 system timer: 16 MHz, 52 bits */
#define SYSTIMER_UNIT0_OP 0x60023004u
#define SYSTIMER_UPDATE (1u << 30)
#define SYSTIMER_VALID (1u << 29)
#define SYSTIMER_UNIT0_HIGH 0x60023040u
#define SYSTIMER_UNIT0_LOW 0x60023044u

/* 26 UART */
#define UART_FIFO (BOARD_UART + 0x00u)
#define UART_CLKDIV (BOARD_UART + 0x14u)
#define UART_STATUS (BOARD_UART + 0x1cu)
#define UART_RECEIVED(status) ((status) & 0x3ffu)
#define UART_TO_SEND(status) (((status) >> 16) & 0x3ffu)
#define UART_FIFO_BYTES 128u
#define UART_FSM_STATUS (BOARD_UART + 0x6cu)
#define UART_SENDING 0xf0u
#define UART_CLK_CONF (BOARD_UART + 0x78u)
#define UART_CLOCKS_ON_FROM_CRYSTAL ((1u << 25) | (1u << 24) | (1u << 22) | (3u << 20))
#define UART_ID (BOARD_UART + 0x80u)
#define UART_UPDATE (1u << 31)

static void stop_watchdogs(void)
{
    uint32_t group;
    REGISTER(RTC_CNTL_SWD_WPROTECT) = SUPER_WATCHDOG_KEY;
    REGISTER(RTC_CNTL_SWD_CONF) |= RTC_CNTL_SWD_AUTO_FEED;
    REGISTER(RTC_CNTL_SWD_WPROTECT) = 0u;
    REGISTER(RTC_CNTL_WDTWPROTECT) = WATCHDOG_KEY;
    REGISTER(RTC_CNTL_WDTCONFIG0) = 0u;
    REGISTER(RTC_CNTL_WDTWPROTECT) = 0u;
    for (group = 0; group < 2u; group++) {
        REGISTER(TIMER_GROUP_WDTWPROTECT(group)) = WATCHDOG_KEY;
        REGISTER(TIMER_GROUP_WDTCONFIG0(group)) = 0u;
        REGISTER(TIMER_GROUP_WDTWPROTECT(group)) = 0u;
    }
}

static int uart_sends(void)
{
    return UART_TO_SEND(REGISTER(UART_STATUS)) != 0u || (REGISTER(UART_FSM_STATUS) & UART_SENDING) != 0u;
}

void port_init(void)
{
    /* Sixteenths of clock / rate, rounded (26.3.3). */
    const uint32_t divisor = (uint32_t)((16u * (uint64_t)BOARD_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD);
    stop_watchdogs();
    while (uart_sends()) { /* what the boot ROM said last */
    }
    REGISTER(SYSTEM_SYSCLK_CONF) = SYSCLK_FROM_CRYSTAL_BY_1;
    REGISTER(UART_CLK_CONF) = UART_CLOCKS_ON_FROM_CRYSTAL;
    REGISTER(UART_CLKDIV) = (divisor % 16u) << 20 | divisor / 16u;
    REGISTER(UART_ID) |= UART_UPDATE;
}

/* No interrupt is used: between requests the core looks into the FIFO often enough, and while it computes the host waits. */
void sleep_unless(int (*something)(void))
{
    if (!something()) {
        while (UART_RECEIVED(REGISTER(UART_STATUS)) != 0u) {
            keep_received((uint8_t)REGISTER(UART_FIFO));
        }
    }
}

void interrupt(uint32_t number)
{
    (void)number; /* none is enabled */
}

void uart_send(uint8_t byte)
{
    while (UART_TO_SEND(REGISTER(UART_STATUS)) >= UART_FIFO_BYTES - 1u) {
    }
    REGISTER(UART_FIFO) = byte;
}

void uart_finish(void)
{
    while (uart_sends()) {
    }
}

/* The core has no mcycle. Cycles of the core's 40 MHz, in steps of the timer's 16 MHz: 2 or 3 at a time. */
uint64_t ticks(void)
{
    uint32_t high;
    uint32_t low;
    REGISTER(SYSTIMER_UNIT0_OP) = SYSTIMER_UPDATE;
    while ((REGISTER(SYSTIMER_UNIT0_OP) & SYSTIMER_VALID) == 0u) {
    }
    high = REGISTER(SYSTIMER_UNIT0_HIGH);
    low = REGISTER(SYSTIMER_UNIT0_LOW);
    return ((uint64_t)high << 32 | low) * 5u / 2u;
}

void enter_boot_loader(void)
{
    /* It is entered by the pin GPIO9 at a reset. */
}

void restart(void)
{
    REGISTER(RTC_CNTL_OPTIONS0) = RTC_CNTL_SW_SYS_RESET;
    for (;;) {
    }
}

void port_serial_number(char text[33])
{
    text[0] = 0; /* the MAC address in its fuses is not read */
}
