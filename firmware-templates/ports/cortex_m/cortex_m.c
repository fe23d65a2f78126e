#include "cortex_m.h"

#include "board_config.h"
#include "port.h"

/* An overflow of the stack, which lies at the bottom of RAM, must fault. */
#if defined(__ARM_ARCH_8M_MAIN__)
/* Armv8-M has a limit for it. */
void guard_stack(void)
{
    REGISTER(VTOR) = (uint32_t)(uintptr_t)__vectors;
    __asm volatile("msr msplim, %0" ::"r"(__stack_bottom));
}

static int stack_overflowed(const uint32_t *frame)
{
    (void)frame;
    return (REGISTER(CFSR) & CFSR_STACK_OVERFLOW) != 0u;
}
#elif defined(__ARM_ARCH_6M__) || defined(__ARM_ARCH_7M__) || defined(__ARM_ARCH_7EM__)
/* Below RAM something may answer, such as the RP2040's flash interface, or take stores without a word, as in QEMU. So the
 * 64 KB below RAM are barred. */
void guard_stack(void)
{
    uint32_t guard = (uint32_t)(uintptr_t)__stack_bottom - 0x10000u;
#if !defined(__ARM_ARCH_6M__)
    REGISTER(VTOR) = (uint32_t)(uintptr_t)__vectors; /* a boot loader may have left its own */
#endif
    REGISTER(MPU_RBAR) = guard | MPU_RBAR_REGION_0;
    REGISTER(MPU_RASR) = MPU_RASR_NO_ACCESS_64K;
    REGISTER(MPU_CTRL) = MPU_ON_WITH_DEFAULT_MAP;
    __asm volatile("dsb\n isb" ::: "memory");
}

#if defined(BOARD_UART_ALONE)
static int stack_overflowed(const uint32_t *frame)
{
    return frame < __stack_bottom; /* then there was no room for the frame, and no pc in it */
}
#endif
#else
#error "the guard below the stack is written for Armv6-M, Armv7-M and Armv8-M with the main extension"
#endif

#define SYSTICK_RANGE 0x01000000u

static volatile uint32_t systick_wraps;

void start_ticks(void)
{
    REGISTER(SYST_RVR) = SYSTICK_RANGE - 1u;
    REGISTER(SYST_CVR) = 0u;
    REGISTER(SYST_CSR) = 7u; /* processor clock, interrupt, enabled */
    /* Counting begins here, whatever was pending. */
    REGISTER(ICSR) = ICSR_SYSTICK_CLEAR;
    systick_wraps = 0;
}

void SysTick_Handler(void)
{
    systick_wraps++;
}

uint64_t ticks(void)
{
    uint32_t masked;
    uint32_t wraps;
    uint32_t left;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    wraps = systick_wraps;
    left = REGISTER(SYST_CVR);
    if ((REGISTER(ICSR) & ICSR_SYSTICK_PENDING) != 0u) {
        /* It reached 0 and its interrupt has not been served: before or after the look above, so look again. */
        wraps++;
        left = REGISTER(SYST_CVR);
    }
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    return (uint64_t)wraps * SYSTICK_RANGE + (SYSTICK_RANGE - 1u - left);
}

void sleep_unless(int (*something)(void))
{
    /* Interrupts are masked from the last look until the core sleeps, so that none is slept through; a pending one ends
     * the sleep all the same. */
    __asm volatile("cpsid i" ::: "memory");
    if (!something()) {
        __asm volatile("wfi" ::: "memory");
    }
    __asm volatile("cpsie i" ::: "memory");
}

__attribute__((naked)) void HardFault_Handler(void)
{
    /* The frame lies on the main stack; the handler itself goes on with a fresh one, for the old may be used up. */
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =__stack_top\n"
                   "msr msp, r1\n"
                   "ldr r1, =%c0\n"
                   "bx r1\n"
                   ".pool\n" ::"i"(hard_fault));
}

#if defined(BOARD_UART_ALONE)
#if defined(BOARD_COUNTS_INSTRUCTIONS)
/* QEMU models no cycles, and DWT's cycle counter reads 0 there; but started with `-icount shift=0` it lets each instruction
 * take one nanosecond. So nanoseconds are instructions, in steps of a tick. */
#define COUNTS_PER_SECOND 1000000000u
#define MHZ 1000000u
#if BOARD_CLOCK_HZ % MHZ != 0u
#error "nanoseconds are counted in whole MHz: clockHz of the board must be a multiple of 1000000"
#endif

uint64_t port_cycles(void)
{
    return ticks() * (COUNTS_PER_SECOND / MHZ) / (BOARD_CLOCK_HZ / MHZ);
}
#else
#define COUNTS_PER_SECOND BOARD_CLOCK_HZ

uint64_t port_cycles(void)
{
    return ticks();
}
#endif

uint32_t port_cycles_per_second(void)
{
    return COUNTS_PER_SECOND;
}

/* B3.2.6 system reset */
__attribute__((noreturn)) void restart(void)
{
    __asm volatile("dsb" ::: "memory");
    REGISTER(AIRCR) = AIRCR_KEY | AIRCR_SYSTEM_RESET;
    for (;;) {
    }
}

__attribute__((used, noreturn)) void hard_fault(const uint32_t *frame)
{
    if (stack_overflowed(frame)) {
        report_overflow();
    } else {
        report_fault(frame[6]);
    }
    uart_finish();
    restart();
}
#endif
