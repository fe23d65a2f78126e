/* The registers of the STM32F4 that this port uses, by the names of the reference manuals: RM0090 for F405 and F407, RM0368
 * for F401, RM0390 for F446. Section numbers are those of RM0090; the registers lie at the same places in all of them. */
#ifndef STM32F4_H
#define STM32F4_H

#include "cortex_m.h"

/* 3.9 flash interface */
#define FLASH_ACR 0x40023c00u
#define FLASH_CACHES_PREFETCH ((1u << 10) | (1u << 9) | (1u << 8))

/* 7.3 reset and clock control */
#define RCC_CR 0x40023800u
#define RCC_HSION (1u << 0)
#define RCC_HSIRDY (1u << 1)
#define RCC_PLLON (1u << 24)
#define RCC_PLLRDY (1u << 25)
#define RCC_PLLCFGR 0x40023804u
#define RCC_PLLN_SHIFT 6u
#define RCC_PLLP_SHIFT 16u
#define RCC_PLLQ_8 (8u << 24) /* of the 48 MHz clock, which nothing here uses */
#define RCC_PLLR_2 (2u << 28) /* F446: its least; elsewhere reserved bits that are to keep this, their value after reset */
#define RCC_CFGR 0x40023808u
#define RCC_SW_PLL 2u
#define RCC_SWS_MASK (3u << 2)
#define RCC_SWS_PLL (2u << 2)
#define RCC_PPRE1_SHIFT 10u
#define RCC_PPRE2_SHIFT 13u
#define RCC_AHB1ENR 0x40023830u
#define RCC_APB1ENR 0x40023840u
#define RCC_APB2ENR 0x40023844u

/* 8.4 GPIO: ports 0x400 apart */
#define GPIO(pin) (0x40020000u + 0x400u * ((pin) / 16u))
#define GPIO_MODER(pin) (GPIO(pin) + 0x00u)
#define GPIO_PUPDR(pin) (GPIO(pin) + 0x0cu)
#define GPIO_AFR(pin) (GPIO(pin) + 0x20u + 4u * ((pin) % 16u / 8u))
#define GPIO_MODE_ALTERNATE 2u
#define GPIO_PULL_UP 1u
#define GPIO_FUNCTION_USART 7u /* of USART1 to USART3 */

/* 30.6 USART */
#define USART_SR (BOARD_UART + 0x00u)
#define USART_DR (BOARD_UART + 0x04u)
#define USART_BRR (BOARD_UART + 0x08u)
#define USART_CR1 (BOARD_UART + 0x0cu)
#define USART_OVERRUN (1u << 3)
#define USART_RXNE (1u << 5)
#define USART_TC (1u << 6)
#define USART_TXE (1u << 7)
#define USART_CR1_ON ((1u << 13) | (1u << 5) | (1u << 3) | (1u << 2)) /* with the interrupt of received bytes */
#define USART1 0x40011000u
#define USART2 0x40004400u
#define USART3 0x40004800u

/* 39.1 the 96 bits of the chip's unique id */
#define UNIQUE_ID 0x1fff7a10u

#endif
