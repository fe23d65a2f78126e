/* Integer helpers of the generated network. Rule numbers are those of docs/arithmetic.md. Copied unchanged. */
#ifndef FSVAE_INT_H
#define FSVAE_INT_H

#include <stddef.h>
#include <stdint.h>

/* C99 has no static assertion: an array of size -1 is an error that names the assertion. */
#define FSVAE_STATIC_ASSERT(name, condition) typedef char fsvae_assert_##name[(condition) ? 1 : -1]

/* Rule L1 relies on >> of a negative number rounding towards minus infinity, which C99 leaves to the compiler. */
FSVAE_STATIC_ASSERT(arithmetic_shift, (-1 >> 1) == -1 && (-5 >> 2) == -2);

/* Low 16 bits as a signed number. Range: all of int16_t. Portable: no implementation-defined conversion. */
static inline int32_t fsvae_s16(uint32_t word)
{
    return (int32_t)((word & 0xffffu) ^ 0x8000u) - 0x8000;
}

#endif
