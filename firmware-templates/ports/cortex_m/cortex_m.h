/* What ports of boards with an Armv6-M, Armv7-M or Armv8-M core share beside bare_metal.h: the guard below the stack, SysTick
 * as a 64-bit counter, hard faults. Section numbers are those of the Armv7-M architecture reference manual (DDI 0403);
 * Armv6-M (DDI 0419) and Armv8-M (DDI 0553) have the same registers at the same places. */
#ifndef CORTEX_M_H
#define CORTEX_M_H

#include "bare_metal.h"

/* B3.2 system control, B3.3 system timer, B3.4 interrupt controller, B3.5 memory protection */
#define SYST_CSR 0xe000e010u
#define SYST_RVR 0xe000e014u
#define SYST_CVR 0xe000e018u
#define NVIC_ISER(n) (0xe000e100u + 4u * ((n) / 32u))
#define ICSR 0xe000ed04u
#define ICSR_SYSTICK_CLEAR (1u << 25)
#define ICSR_SYSTICK_PENDING (1u << 26)
#define VTOR 0xe000ed08u
#define AIRCR 0xe000ed0cu
#define AIRCR_KEY 0x05fa0000u
#define AIRCR_SYSTEM_RESET (1u << 2)
#define CFSR 0xe000ed28u
#define CFSR_STACK_OVERFLOW (1u << 20) /* Armv8-M */
#define MPU_CTRL 0xe000ed94u
#define MPU_RBAR 0xe000ed9cu
#define MPU_RASR 0xe000eda0u
#define MPU_ON_WITH_DEFAULT_MAP 5u
#define MPU_RBAR_REGION_0 0x10u
#define MPU_RASR_NO_ACCESS_256 0x1000000fu /* execute never, no access, 2^(7 + 1) bytes, enabled: Armv6-M's smallest */
#define MPU_RASR_NO_ACCESS_64K 0x1000001fu /* execute never, no access, 2^(15 + 1) bytes, enabled */

/* Where the linker script puts the section .vectors. */
extern const uint32_t __vectors[];

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

/* Starts SysTick from 0 at the processor's clock; ticks since then. */
void start_ticks(void);
uint64_t ticks(void);

/* Reports a fault, given what the core pushed, and starts the board again. The port's, where it has more than a UART. */
__attribute__((noreturn)) void hard_fault(const uint32_t *frame);

#endif
