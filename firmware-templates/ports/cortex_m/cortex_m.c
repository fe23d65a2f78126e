#include "cortex_m.h"

#include "port.h"

extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];

int main(void);

#define STACK_PAINT 0x5afe57acu

/* Words of the stack that start_program() itself may be using while it paints the rest. */
#define STACK_IN_USE 16

#if !defined(__ARM_ARCH_6M__) && !defined(__ARM_ARCH_7M__) && !defined(__ARM_ARCH_7EM__)
#error "the guard below the stack is written for the memory protection unit of Armv6-M and Armv7-M"
#endif

/* An overflow of the stack, which lies at the bottom of RAM, must fault. Below RAM something may answer, such as the
 * RP2040's flash interface, or take stores without a word, as in QEMU. So the 64 KB below RAM are barred. */
static void bar_below_stack(void)
{
    uint32_t guard = (uint32_t)(uintptr_t)__stack_bottom - 0x10000u;
    REGISTER(MPU_RBAR) = guard | MPU_RBAR_REGION_0;
    REGISTER(MPU_RASR) = MPU_RASR_NO_ACCESS_64K;
    REGISTER(MPU_CTRL) = MPU_ON_WITH_DEFAULT_MAP;
    __asm volatile("dsb\n isb" ::: "memory");
}

__attribute__((noreturn, used)) void start_program(void)
{
    uint32_t *to;
    const uint32_t *from = __data_load;
    bar_below_stack();
    for (to = __data_start; to < __data_end;) {
        *to++ = *from++;
    }
    for (to = __bss_start; to < __bss_end;) {
        *to++ = 0;
    }
    /* Painted, so that the deepest use can be found later. */
    to = __stack_bottom;
    while (to < (uint32_t *)__builtin_frame_address(0) - STACK_IN_USE) {
        *to++ = STACK_PAINT;
    }
    (void)main();
    for (;;) {
        __asm volatile("wfi");
    }
}

uint32_t port_stack_size(void)
{
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)__stack_bottom);
}

uint32_t port_stack_high_water(void)
{
    const uint32_t *word = __stack_bottom;
    while (word < __stack_top && *word == STACK_PAINT) {
        word++;
    }
    return (uint32_t)((uintptr_t)__stack_top - (uintptr_t)word);
}

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

/* Bytes received while the core computes. The host has one request outstanding, so one request's bytes are enough. */
#define RING_BYTES 2048u
static uint8_t ring[RING_BYTES];
static volatile uint32_t ring_in;
static volatile uint32_t ring_out;

void keep_received(uint8_t byte)
{
    uint32_t in = ring_in;
    if (in - ring_out < RING_BYTES) {
        ring[in % RING_BYTES] = byte;
        ring_in = in + 1u;
    }
}

int any_received(void)
{
    return ring_out != ring_in;
}

int next_received(void)
{
    uint32_t out = ring_out;
    uint8_t byte;
    if (out == ring_in) {
        return -1;
    }
    byte = ring[out % RING_BYTES];
    ring_out = out + 1u;
    return byte;
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

char hex_digit(uint32_t value)
{
    return (char)(value < 10u ? '0' + value : 'a' + value - 10u);
}

void report_fault(uint32_t pc)
{
    static const char text[] = "\r\nhard fault at 0x";
    /* With the 0x00 that tells a decoder that a frame may begin. */
    uint8_t digits[11] = {0, 0, 0, 0, 0, 0, 0, 0, '\r', '\n', 0};
    for (uint32_t i = 0; i < 8u; i++) {
        digits[i] = (uint8_t)hex_digit((pc >> (28u - 4u * i)) & 15u);
    }
    port_write((const uint8_t *)text, sizeof text - 1u);
    port_write(digits, sizeof digits);
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
