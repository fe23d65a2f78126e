/* What ports of boards with a 32-bit RISC-V core share beside bare_metal.h: the guard below the stack, traps, the cycle
 * counter. Section numbers are those of The RISC-V Instruction Set Manual, volume II (privileged, 20211203). Everything runs
 * in machine mode. */
#ifndef RISCV_H
#define RISCV_H

#include "bare_metal.h"

#define MSTATUS_MIE 8u
#define MIE_EXTERNAL (1u << 11)

/* The port's: serves an interrupt, given the number in mcause (3.1.15). Others than that of its UART are never enabled. */
void interrupt(uint32_t number);

/* Cycles since the core's reset. The port may have its own, where the core has no mcycle. */
uint64_t ticks(void);

/* Lets interrupts in. */
void enable_interrupts(void);

#endif
