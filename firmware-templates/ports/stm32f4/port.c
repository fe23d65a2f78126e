/* Chips of the STM32F4 family under the serial application: the internal oscillator of 16 MHz and the PLL, so that no board's
 * crystal matters; one USART. */
#include "port.h"

#include "board_config.h"
#include "stm32f4.h"

#if !defined(BOARD_UART_ALONE) || !defined(BOARD_TX_PIN)
#error "this port has a USART and nothing else: link.kind of the board must be uart, link.uart.pins given"
#endif

#define OSCILLATOR_HZ 16000000u

/* The PLL's own frequency is to be 100 to 432 MHz (RM0090, 7.3.2), on an F401 192 to 432 MHz (RM0368), and the core's is that
 * divided by 2 or 4. */
#if BOARD_CLOCK_HZ >= 96000000u && BOARD_CLOCK_HZ <= 168000000u
#define PLL_DIVISOR 2u
#elif BOARD_CLOCK_HZ >= 48000000u && BOARD_CLOCK_HZ < 96000000u
#define PLL_DIVISOR 4u
#else
#error "this port runs at 48 to 168 MHz: see clockHz of the board"
#endif

#define PLL_INPUT_HZ 1000000u /* 2 MHz would mean less jitter, but an F401's multiple must be 192 or more */
#define PLL_MULTIPLE (BOARD_CLOCK_HZ * PLL_DIVISOR / PLL_INPUT_HZ)
#if BOARD_CLOCK_HZ * PLL_DIVISOR % PLL_INPUT_HZ != 0u
#error "the PLL makes whole MHz: see clockHz of the board"
#endif

/* Waits for flash at 2.7 V and more (RM0090, 3.5.1; an F446's manual has the same table). */
#define FLASH_WAITS ((BOARD_CLOCK_HZ - 1u) / 30000000u)

/* Peripheral buses: at most 42 and 84 MHz on an F405, of which no F4 allows less. */
#if BOARD_CLOCK_HZ > 84000000u
#define APB1_DIVISOR 4u
#define APB1_PRESCALER 5u
#define APB2_DIVISOR 2u
#define APB2_PRESCALER 4u
#else
#define APB1_DIVISOR 2u
#define APB1_PRESCALER 4u
#define APB2_DIVISOR 1u
#define APB2_PRESCALER 0u
#endif

#if BOARD_UART == USART1
#define USART_CLOCK_REGISTER RCC_APB2ENR
#define USART_CLOCK_BIT (1u << 4)
#define USART_CLOCK_HZ (BOARD_CLOCK_HZ / APB2_DIVISOR)
#elif BOARD_UART == USART2 || BOARD_UART == USART3
#define USART_CLOCK_REGISTER RCC_APB1ENR
#define USART_CLOCK_BIT (BOARD_UART == USART2 ? 1u << 17 : 1u << 18)
#define USART_CLOCK_HZ (BOARD_CLOCK_HZ / APB1_DIVISOR)
#else
#error "this port knows USART1, USART2 and USART3: see link.uart.registers of the board"
#endif

void UART_Handler(void);

/* Waits for bits of a register, though not for ever: QEMU has no clock control, whose registers read 0 there. Where a chip does
 * not come up, the program goes on at the oscillator's pace, and the line's rate is wrong. */
static void await(uint32_t address, uint32_t mask, uint32_t value)
{
    uint32_t rounds = 100000u;
    while ((REGISTER(address) & mask) != value && rounds != 0u) {
        rounds--;
    }
}

static void start_clocks(void)
{
    REGISTER(RCC_CR) |= RCC_HSION;
    await(RCC_CR, RCC_HSIRDY, RCC_HSIRDY);
    /* The regulator stays as reset leaves it: at the scale for the highest clock, whose code differs from chip to chip. */
    REGISTER(RCC_PLLCFGR) = (OSCILLATOR_HZ / PLL_INPUT_HZ) | (PLL_MULTIPLE << RCC_PLLN_SHIFT) |
                            ((PLL_DIVISOR / 2u - 1u) << RCC_PLLP_SHIFT) | RCC_PLLQ_8 | RCC_PLLR_2;
    REGISTER(RCC_CR) |= RCC_PLLON;
    await(RCC_CR, RCC_PLLRDY, RCC_PLLRDY);
    REGISTER(FLASH_ACR) = FLASH_CACHES_PREFETCH | FLASH_WAITS;
    await(FLASH_ACR, 15u, FLASH_WAITS);
    /* Buses first: neither may be too fast at any moment. */
    REGISTER(RCC_CFGR) = (APB1_PRESCALER << RCC_PPRE1_SHIFT) | (APB2_PRESCALER << RCC_PPRE2_SHIFT);
    REGISTER(RCC_CFGR) |= RCC_SW_PLL;
    await(RCC_CFGR, RCC_SWS_MASK, RCC_SWS_PLL);
}

static void give_to_usart(uint32_t pin)
{
    uint32_t at = pin % 16u;
    uint32_t place = 4u * (at % 8u);
    REGISTER(RCC_AHB1ENR) |= 1u << (pin / 16u);
    (void)REGISTER(RCC_AHB1ENR); /* a clock takes some cycles to come on: errata, "delay after an RCC peripheral clock enabling" */
    REGISTER(GPIO_AFR(pin)) = (REGISTER(GPIO_AFR(pin)) & ~(15u << place)) | (GPIO_FUNCTION_USART << place);
    REGISTER(GPIO_PUPDR(pin)) = (REGISTER(GPIO_PUPDR(pin)) & ~(3u << (2u * at))) | (GPIO_PULL_UP << (2u * at));
    REGISTER(GPIO_MODER(pin)) = (REGISTER(GPIO_MODER(pin)) & ~(3u << (2u * at))) | (GPIO_MODE_ALTERNATE << (2u * at));
}

void port_init(void)
{
    start_clocks();
    start_ticks();
    give_to_usart(BOARD_TX_PIN);
    give_to_usart(BOARD_RX_PIN);
    REGISTER(USART_CLOCK_REGISTER) |= USART_CLOCK_BIT;
    (void)REGISTER(USART_CLOCK_REGISTER);
    /* Sixteenths of clock / (16 x rate), rounded: that is clock / rate (RM0090, 30.3.4). */
    REGISTER(USART_BRR) = (USART_CLOCK_HZ + BOARD_BAUD / 2u) / BOARD_BAUD;
    REGISTER(NVIC_ISER(BOARD_UART_INTERRUPT)) = 1u << (BOARD_UART_INTERRUPT % 32u);
    REGISTER(USART_CR1) = USART_CR1_ON;
}

void UART_Handler(void)
{
    /* To read the status and then the data clears both. After an overrun there may be no new byte; the one read is then the
     * last one again, and the frame's checksum tells. */
    uint32_t status = REGISTER(USART_SR);
    if ((status & (USART_RXNE | USART_OVERRUN)) != 0u) {
        uint32_t byte = REGISTER(USART_DR);
        keep_received((uint8_t)byte);
    }
}

void uart_send(uint8_t byte)
{
    while ((REGISTER(USART_SR) & USART_TXE) == 0u) {
    }
    REGISTER(USART_DR) = byte;
}

void uart_finish(void)
{
    while ((REGISTER(USART_SR) & USART_TC) == 0u) {
    }
}

void enter_boot_loader(void)
{
    /* The chip has one, which is entered by the pin BOOT0. */
}

void port_serial_number(char text[33])
{
    uint32_t i;
#if defined(BOARD_COUNTS_INSTRUCTIONS)
    i = 0; /* QEMU has no unique id: to read one there faults */
#else
    for (i = 0; i < 24u; i++) {
        text[i] = hex_digit((REGISTER(UNIQUE_ID + 4u * (i / 8u)) >> (28u - 4u * (i % 8u))) & 15u);
    }
#endif
    text[i] = 0;
}
