#include "bare_metal.h"

#include "port.h"

extern uint32_t __data_start[], __data_end[], __data_load[];
extern uint32_t __bss_start[], __bss_end[];

int main(void);

#define STACK_PAINT 0x5afe57acu

/* Words of the stack that start_program() itself may be using while it paints the rest. */
#define STACK_IN_USE 16

__attribute__((noreturn, used)) void start_program(void)
{
    uint32_t *to;
    const uint32_t *from = __data_load;
    guard_stack();
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
        __asm volatile("wfi"); /* Arm and RISC-V call it the same */
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

void report_overflow(void)
{
    static const char text[] = "\r\nhard fault: the stack overflowed\r\n"; /* its final 0 as above */
    port_write((const uint8_t *)text, sizeof text);
}
