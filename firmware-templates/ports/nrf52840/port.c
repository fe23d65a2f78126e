/* The nRF52840 under the serial application: 64 MHz from the crystal, the UART without DMA (the product specification calls it
 * deprecated; it has a FIFO of six bytes, which the one with DMA has not when bytes come one by one). Registers by the names
 * of the nRF52840 product specification 1.7. */
#include "port.h"

#include "board_config.h"
#include "cortex_m.h"

#if !defined(BOARD_UART_ALONE) || !defined(BOARD_TX_PIN)
#error "this port has a UART and nothing else: link.kind of the board must be uart, link.uart.pins given"
#endif
#if BOARD_CLOCK_HZ != 64000000u
#error "the chip runs at 64 MHz: clockHz of the board must be 64000000"
#endif

/* 4.4 factory information: the chip's id */
#define FICR_DEVICEID 0x10000060u

/* 5.4 clock control */
#define CLOCK_TASKS_HFCLKSTART 0x40000000u
#define CLOCK_EVENTS_HFCLKSTARTED 0x40000100u

/* 6.9 GPIO: two ports of 32 pins, numbered on */
#define GPIO(pin) (0x50000000u + 0x300u * ((pin) / 32u))
#define GPIO_OUTSET(pin) (GPIO(pin) + 0x508u)
#define GPIO_PIN_CNF(pin) (GPIO(pin) + 0x700u + 4u * ((pin) % 32u))
#define PIN_OUTPUT 3u            /* input buffer off */
#define PIN_INPUT_PULLED_UP 0xcu /* input buffer on */

/* 6.33 UART */
#define UART_TASKS_STARTRX (BOARD_UART + 0x000u)
#define UART_TASKS_STARTTX (BOARD_UART + 0x008u)
#define UART_EVENTS_RXDRDY (BOARD_UART + 0x108u)
#define UART_EVENTS_TXDRDY (BOARD_UART + 0x11cu)
#define UART_INTENSET (BOARD_UART + 0x304u)
#define UART_RXDRDY (1u << 2)
#define UART_ENABLE (BOARD_UART + 0x500u)
#define UART_ENABLED 4u
#define UART_PSEL_TXD (BOARD_UART + 0x50cu)
#define UART_PSEL_RXD (BOARD_UART + 0x514u)
#define UART_RXD (BOARD_UART + 0x518u)
#define UART_TXD (BOARD_UART + 0x51cu)
#define UART_BAUDRATE (BOARD_UART + 0x524u)

/* A rate's value is rate * 2^32 / 16 MHz, of which the top 20 bits count, rounded: what the vendor's header (nrf52840_bitfields.h)
 * lists for rates up to 460,800, but for 56,000. The actual rates that it names beside them are 16 MHz divided by the whole part
 * of 2^32 / value: 115,942 for 115,200, and 470,588 for 460,800. */
#define UART_SOURCE_HZ 16000000u
#define BAUDRATE ((0x100000000u * BOARD_BAUD / UART_SOURCE_HZ + 0x800u) & 0xfffff000u)
#define ACTUAL_BAUD (UART_SOURCE_HZ / (0x100000000u / BAUDRATE))
#if BOARD_BAUD > 1000000u || ACTUAL_BAUD * 100u > BOARD_BAUD * 101u || ACTUAL_BAUD * 100u < BOARD_BAUD * 99u
#error "the UART comes no closer than 1 % to this rate, or it is more than 1000000: see link.baud of the board"
#endif

void UART_Handler(void);

static int sending; /* a byte was given whose event has not been seen */

void port_init(void)
{
    REGISTER(CLOCK_EVENTS_HFCLKSTARTED) = 0u;
    REGISTER(CLOCK_TASKS_HFCLKSTART) = 1u;
    while (REGISTER(CLOCK_EVENTS_HFCLKSTARTED) == 0u) {
    }
    start_ticks();
    REGISTER(UART_ENABLE) = 0u; /* a boot loader may have left its own */
    REGISTER(GPIO_OUTSET(BOARD_TX_PIN)) = 1u << (BOARD_TX_PIN % 32u);
    REGISTER(GPIO_PIN_CNF(BOARD_TX_PIN)) = PIN_OUTPUT;
    REGISTER(GPIO_PIN_CNF(BOARD_RX_PIN)) = PIN_INPUT_PULLED_UP;
    REGISTER(UART_PSEL_TXD) = BOARD_TX_PIN;
    REGISTER(UART_PSEL_RXD) = BOARD_RX_PIN;
    REGISTER(UART_BAUDRATE) = (uint32_t)BAUDRATE;
    REGISTER(UART_ENABLE) = UART_ENABLED;
    REGISTER(UART_EVENTS_RXDRDY) = 0u;
    REGISTER(UART_EVENTS_TXDRDY) = 0u;
    REGISTER(UART_INTENSET) = UART_RXDRDY;
    REGISTER(NVIC_ISER(BOARD_UART_INTERRUPT)) = 1u << (BOARD_UART_INTERRUPT % 32u);
    REGISTER(UART_TASKS_STARTRX) = 1u;
    REGISTER(UART_TASKS_STARTTX) = 1u;
}

void UART_Handler(void)
{
    while (REGISTER(UART_EVENTS_RXDRDY) != 0u) {
        REGISTER(UART_EVENTS_RXDRDY) = 0u;
        (void)REGISTER(UART_EVENTS_RXDRDY); /* the write must arrive before the byte is taken, which brings the next event */
        keep_received((uint8_t)REGISTER(UART_RXD));
    }
}

void uart_finish(void)
{
    while (sending && REGISTER(UART_EVENTS_TXDRDY) == 0u) {
    }
    sending = 0;
}

void uart_send(uint8_t byte)
{
    uart_finish();
    REGISTER(UART_EVENTS_TXDRDY) = 0u;
    REGISTER(UART_TXD) = byte;
    sending = 1;
}

void enter_boot_loader(void)
{
    /* Where there is one, it is entered by pressing reset twice. */
}

void port_serial_number(char text[33])
{
    uint32_t i;
    for (i = 0; i < 16u; i++) {
        text[i] = hex_digit((REGISTER(FICR_DEVICEID + 4u * (i / 8u)) >> (28u - 4u * (i % 8u))) & 15u);
    }
    text[i] = 0;
}
