/* Starts the second core through the boot ROM, which holds it from reset on (RP2040 datasheet, section 2.8.2). A program
 * that does not call port_launch_core1() is linked without any of this. */
#include "core1.h"

#include <stddef.h>

#include "rp2040.h"

/* Below the stack lies what no access reaches: the smallest region of the memory protection unit, aligned to its size. */
#define GUARD_BYTES 256u

#define STACK_WORDS ((GUARD_BYTES + CORE1_STACK_BYTES) / sizeof(uint32_t))

__attribute__((aligned(GUARD_BYTES))) static uint32_t core1_stack[STACK_WORDS];

static void (*volatile core1_entry)(void);

/* As core 0's, on core 1's own stack: that of core 0 is in use. */
__attribute__((naked)) static void core1_hard_fault(void)
{
    __asm volatile("mrs r0, msp\n"
                   "ldr r1, =%c0\n"
                   "msr msp, r1\n"
                   "ldr r1, =%c1\n"
                   "bx r1\n"
                   ".pool\n" ::"i"(core1_stack + STACK_WORDS),
                   "i"(hard_fault));
}

__attribute__((noreturn)) static void core1_start(void)
{
    REGISTER(MPU_RBAR) = (uint32_t)(uintptr_t)core1_stack | MPU_RBAR_REGION_0;
    REGISTER(MPU_RASR) = MPU_RASR_NO_ACCESS_256;
    REGISTER(MPU_CTRL) = MPU_ON_WITH_DEFAULT_MAP;
    __asm volatile("dsb\n isb" ::: "memory");
    core1_entry();
    for (;;) {
        __asm volatile("wfi");
    }
}

/* The system's exceptions: no interrupt is enabled on core 1. */
__attribute__((aligned(256))) static const vector core1_vectors[16] = {
    [0] = {.stack = core1_stack + STACK_WORDS}, [1] = {.handler = core1_start},       [2] = {.handler = core1_hard_fault},
    [3] = {.handler = core1_hard_fault},        [11] = {.handler = core1_hard_fault}, [14] = {.handler = core1_hard_fault},
    [15] = {.handler = core1_hard_fault},
};

static void drain(void)
{
    while ((REGISTER(SIO_FIFO_ST) & FIFO_VALID) != 0u) {
        (void)REGISTER(SIO_FIFO_RD);
    }
}

/* A word in the mailbox wakes nobody, so an event is sent after it. */
static void send(uint32_t word)
{
    while ((REGISTER(SIO_FIFO_ST) & FIFO_READY) == 0u) {
    }
    REGISTER(SIO_FIFO_WR) = word;
    __asm volatile("sev" ::: "memory");
}

static uint32_t receive(void)
{
    while ((REGISTER(SIO_FIFO_ST) & FIFO_VALID) == 0u) {
        __asm volatile("wfe" ::: "memory");
    }
    return REGISTER(SIO_FIFO_RD);
}

void port_launch_core1(void (*entry)(void))
{
    const uintptr_t words[6] = {
        0, 0, 1, (uintptr_t)core1_vectors, core1_vectors[0].word, core1_vectors[1].word,
    };
    size_t next = 0;

    core1_entry = entry;
    /* Core 1 may be running something: after a restart that left it alone, or a launch before this one. */
    REGISTER(PSM_FRCE_OFF + ATOMIC_SET) = PSM_PROC1;
    while ((REGISTER(PSM_FRCE_OFF) & PSM_PROC1) == 0u) {
    }
    drain();
    REGISTER(PSM_FRCE_OFF + ATOMIC_CLEAR) = PSM_PROC1;
    /* It empties its mailbox and says so with a 0. */
    (void)receive();

    while (next < sizeof words / sizeof words[0]) {
        if (words[next] == 0u) {
            drain();
            __asm volatile("sev"); /* core 1 may wait for room in our mailbox */
        }
        send(words[next]);
        next = receive() == words[next] ? next + 1u : 0u; /* another word coming back: from the start */
    }
}
