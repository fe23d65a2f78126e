/* What ports without an operating system share, whatever the core: start-up, stack figures, received bytes, reports of
 * faults, and for boards with a UART as their only link the whole of it. */
#ifndef BARE_METAL_H
#define BARE_METAL_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* Bounds of the stack, from the linker script. */
extern uint32_t __stack_bottom[], __stack_top[];

/* Prepares memory and stack, and runs main(). For Reset_Handler; no variable has its value before. */
__attribute__((noreturn)) void start_program(void);

/* The core's: makes an overflow of the stack fault. Called first. */
void guard_stack(void);

/* Keeps a received byte. For the interrupt handler of the port's UART; where the host sends more than there is room
 * for, bytes are lost, and the frame's checksum tells. */
void keep_received(uint8_t byte);

/* The next byte kept, or -1; whether there is one. */
int next_received(void);
int any_received(void);

/* The core's: sleeps until an interrupt, unless there is something to do: what came before the call is not slept through. */
void sleep_unless(int (*something)(void));

/* 0 to 15 as a character. */
char hex_digit(uint32_t value);

/* Says on the link where the fault was, or that the stack overflowed: any terminal shows it, and no decoder takes it for a
 * frame. */
void report_fault(uint32_t pc);
void report_overflow(void);

/* What uart_link.c asks of the port of a board whose only link is a UART: to send a byte when there is room; to wait until the
 * last bit is out; to enter the boot loader, from which it returns where there is none. */
void uart_send(uint8_t byte);
void uart_finish(void);
void enter_boot_loader(void);

/* The core's or the port's: starts the board again. */
__attribute__((noreturn)) void restart(void);

#endif
