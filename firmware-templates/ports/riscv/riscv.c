#include "riscv.h"

#include "board_config.h"
#include "port.h"

#define GUARD_BYTES 0x10000u

/* 3.7 physical memory protection: 64 KB below the stack, naturally aligned, without any permission, in machine mode too. An
 * overflow of the stack, which lies at the bottom of RAM, then faults. */
#define PMP_LOCKED_NAPOT_NONE 0x98u

void guard_stack(void)
{
    uintptr_t guard = (uintptr_t)__stack_bottom - GUARD_BYTES;
    __asm volatile("csrw pmpaddr0, %0" ::"r"((guard >> 2) | (GUARD_BYTES / 8u - 1u)));
    __asm volatile("csrs pmpcfg0, %0" ::"r"(PMP_LOCKED_NAPOT_NONE));
}

__attribute__((weak)) uint64_t ticks(void)
{
    uint32_t high;
    uint32_t low;
    uint32_t again;
    do {
        __asm volatile("csrr %0, mcycleh" : "=r"(high));
        __asm volatile("csrr %0, mcycle" : "=r"(low));
        __asm volatile("csrr %0, mcycleh" : "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

uint64_t port_cycles(void)
{
    return ticks();
}

uint32_t port_cycles_per_second(void)
{
    return BOARD_CLOCK_HZ;
}

void enable_interrupts(void)
{
    __asm volatile("csrs mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
}

__attribute__((weak)) void sleep_unless(int (*something)(void))
{
    /* Interrupts are masked from the last look until the core sleeps, so that none is slept through; a pending one ends
     * the sleep all the same (3.3.3). */
    __asm volatile("csrc mstatus, %0" ::"r"(MSTATUS_MIE) : "memory");
    if (!something()) {
        __asm volatile("wfi" ::: "memory");
    }
    enable_interrupts();
}

__attribute__((used, noreturn)) void fault_handler(uint32_t pc, uint32_t address);

/* `address`: mtval (3.1.16). */
void fault_handler(uint32_t pc, uint32_t address)
{
    if ((uint32_t)(uintptr_t)__stack_bottom - address - 1u < GUARD_BYTES) {
        report_overflow();
    } else {
        report_fault(pc);
    }
    uart_finish();
    restart();
}
