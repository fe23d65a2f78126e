/* QEMU's RISC-V board "virt" under the serial application. Registers and interrupts are those of its device tree; the UART is
 * a National Semiconductor 16550, the interrupt controller the RISC-V PLIC (specification 1.0.0).
 *
 * QEMU models no cycles; but started with `-icount shift=0` its mcycle counts instructions, exactly. */
#include "port.h"

#include "board_config.h"
#include "riscv.h"

#if !defined(BOARD_UART_ALONE)
#error "this port has a UART and nothing else: link.kind of the board must be uart"
#endif

#define BYTE_REGISTER(address) (*(volatile uint8_t *)(uintptr_t)(address))

#define UART_DATA (BOARD_UART + 0u)
#define UART_INTERRUPTS (BOARD_UART + 1u)
#define UART_FIFO (BOARD_UART + 2u)
#define UART_LINE (BOARD_UART + 3u)
#define UART_STATE (BOARD_UART + 5u)
#define UART_8_BITS 3u
#define UART_DIVISOR_LATCH 0x80u
#define UART_RECEIVED 1u
#define UART_CAN_SEND (1u << 5)
#define UART_ALL_SENT (1u << 6)
#define UART_CLOCK_HZ 3686400u
#define DIVISOR ((UART_CLOCK_HZ + 8u * BOARD_BAUD) / (16u * BOARD_BAUD))

#define PLIC 0x0c000000u
#define PLIC_PRIORITY (PLIC + 4u * BOARD_UART_INTERRUPT)
#define PLIC_ENABLE (PLIC + 0x2000u + 4u * (BOARD_UART_INTERRUPT / 32u))
#define PLIC_THRESHOLD (PLIC + 0x200000u)
#define PLIC_CLAIM (PLIC + 0x200004u)

/* SiFive's test device: this value starts the machine again. */
#define TEST_DEVICE 0x00100000u
#define TEST_RESET 0x7777u

void port_init(void)
{
    BYTE_REGISTER(UART_LINE) = UART_DIVISOR_LATCH | UART_8_BITS;
    BYTE_REGISTER(UART_DATA) = (uint8_t)DIVISOR;
    BYTE_REGISTER(UART_INTERRUPTS) = (uint8_t)(DIVISOR >> 8);
    BYTE_REGISTER(UART_LINE) = UART_8_BITS;
    BYTE_REGISTER(UART_FIFO) = 1u;
    BYTE_REGISTER(UART_INTERRUPTS) = 1u; /* received bytes */
    REGISTER(PLIC_PRIORITY) = 1u;
    REGISTER(PLIC_ENABLE) = 1u << (BOARD_UART_INTERRUPT % 32u);
    REGISTER(PLIC_THRESHOLD) = 0u;
    __asm volatile("csrs mie, %0" ::"r"(MIE_EXTERNAL));
    enable_interrupts();
}

void interrupt(uint32_t number)
{
    uint32_t claimed = REGISTER(PLIC_CLAIM);
    (void)number; /* no other is enabled */
    while ((BYTE_REGISTER(UART_STATE) & UART_RECEIVED) != 0u) {
        keep_received(BYTE_REGISTER(UART_DATA));
    }
    REGISTER(PLIC_CLAIM) = claimed;
}

void uart_send(uint8_t byte)
{
    while ((BYTE_REGISTER(UART_STATE) & UART_CAN_SEND) == 0u) {
    }
    BYTE_REGISTER(UART_DATA) = byte;
}

void uart_finish(void)
{
    while ((BYTE_REGISTER(UART_STATE) & UART_ALL_SENT) == 0u) {
    }
}

void enter_boot_loader(void)
{
}

void restart(void)
{
    REGISTER(TEST_DEVICE) = TEST_RESET;
    for (;;) {
    }
}

void port_serial_number(char text[33])
{
    text[0] = 0;
}
