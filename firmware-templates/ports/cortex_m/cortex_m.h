/* What ports of boards with an Armv6-M or Armv7-M core share: start-up, SysTick as a 64-bit counter, received bytes,
 * the report of a hard fault. Section numbers are those of the Armv7-M architecture reference manual (DDI 0403);
 * Armv6-M (DDI 0419) has the same registers at the same places. */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(uintptr_t)(address))

/* B3.2 system control, B3.3 system timer, B3.4 interrupt controller, B3.5 memory protection */
#define SYST_CSR 0xe000e010u
#define SYST_RVR 0xe000e014u
#define SYST_CVR 0xe000e018u
#define NVIC_ISER(n) (0xe000e100u + 4u * ((n) / 32u))
#define ICSR 0xe000ed04u
#define ICSR_SYSTICK_CLEAR (1u << 25)
#define ICSR_SYSTICK_PENDING (1u << 26)
#define MPU_CTRL 0xe000ed94u
#define MPU_RBAR 0xe000ed9cu
#define MPU_RASR 0xe000eda0u
#define MPU_ON_WITH_DEFAULT_MAP 5u
#define MPU_RBAR_REGION_0 0x10u
#define MPU_RASR_NO_ACCESS_256 0x1000000fu /* execute never, no access, 2^(7 + 1) bytes, enabled: Armv6-M's smallest */
#define MPU_RASR_NO_ACCESS_64K 0x1000001fu /* execute never, no access, 2^(15 + 1) bytes, enabled */

/* Bounds of the stack, from the linker script. */
extern uint32_t __stack_bottom[], __stack_top[];

/* For vector tables. */
typedef union {
    void (*handler)(void);
    uint32_t *stack;
    uintptr_t word;
} vector;

#define IRQ(n) (16u + (n))

void HardFault_Handler(void);
void SysTick_Handler(void);

/* No exception but those that a port names is ever enabled; one that comes all the same is reported as a fault. */
#define UNEXPECTED HardFault_Handler

/* Prepares memory and stack, and runs main(). For Reset_Handler; no variable has its value before. */
__attribute__((noreturn)) void start_program(void);

/* Starts SysTick from 0 at the processor's clock; ticks since then. */
void start_ticks(void);
uint64_t ticks(void);

/* Keeps a received byte. For the interrupt handler of the port's UART; where the host sends more than there is room
 * for, bytes are lost, and the frame's checksum tells. */
void keep_received(uint8_t byte);

/* The next byte kept, or -1; whether there is one. */
int next_received(void);
int any_received(void);

/* Sleeps until an interrupt, unless there is something to do: what came before the call is not slept through. */
void sleep_unless(int (*something)(void));

/* 0 to 15 as a character. */
char hex_digit(uint32_t value);

/* Says on the link where the fault was: any terminal shows it, and no decoder takes it for a frame. */
void report_fault(uint32_t pc);

/* The port's: reports a fault, given what the core pushed, and starts the board again. */
__attribute__((noreturn)) void hard_fault(const uint32_t *frame);

#endif
