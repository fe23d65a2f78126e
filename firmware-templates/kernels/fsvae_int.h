/* Integer helpers of the generated network. Rule numbers are those of docs/arithmetic.md. Copied unchanged. */
#ifndef FSVAE_INT_H
#define FSVAE_INT_H

#include <stddef.h>
#include <stdint.h>

/* C99 has no static assertion: an array of size -1 is an error that names the assertion. */
#define FSVAE_STATIC_ASSERT(name, condition) typedef char fsvae_assert_##name[(condition) ? 1 : -1]

/* Rule L1 relies on >> of a negative number rounding towards minus infinity, which C99 leaves to the compiler. */
FSVAE_STATIC_ASSERT(arithmetic_shift, (-1 >> 1) == -1 && (-5 >> 2) == -2);

/* Shifts and products of what is narrower than int are computed in int: 16 bits, as on AVR, are too few. */
FSVAE_STATIC_ASSERT(int_width, sizeof(int) >= 4);

/* So does reading a word as a signed number modulo 2^32. */
FSVAE_STATIC_ASSERT(signed_conversion, (int32_t)0x80000000u < 0 && (int32_t)0xffffffffu == -1);

/* Which assembly of this folder takes part; with FSVAE_PLAIN_C none does. */
#if defined(FSVAE_PLAIN_C)
#elif defined(__ARM_ARCH_6M__)
#define FSVAE_ARMV6M 1 /* armv6m.S, wide_armv6m.S, wide_rows_armv6m.S: Cortex-M0, M0+ */
#elif (defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)) && defined(__ARM_FEATURE_DSP)
#define FSVAE_ARMV7EM 1 /* armv7em.S, wide_armv7em.S, wide_rows_armv7em.S: Cortex-M4, M7, and M33 with DSP */
#endif

/* For what is called by code in RAM: a call of its own might lead to flash. */
#if defined(__GNUC__)
#define FSVAE_INLINE inline __attribute__((always_inline))
#else
#define FSVAE_INLINE inline
#endif

/* Low and high 16 bits as signed numbers; one instruction each. */
static FSVAE_INLINE int32_t fsvae_s16(uint32_t word)
{
    return (int32_t)(word << 16) >> 16;
}

static FSVAE_INLINE int32_t fsvae_high_s16(uint32_t word)
{
    return (int32_t)word >> 16;
}

/* Kept out of line where inlining would run the innermost loop out of registers: a Cortex-M0+ has eight good ones. */
#if defined(__GNUC__)
#define FSVAE_OUT_OF_LINE __attribute__((noinline, unused))
#else
#define FSVAE_OUT_OF_LINE
#endif

/* Code that runs while constants cannot be read (fsvae_fetcher of fsvae.h), so on an RP2040 in RAM. It is called through
 * a variable, because a direct branch does not reach from flash to RAM. Elsewhere nothing is fetched. */
#if defined(__ARM_ARCH_6M__)
#define FSVAE_RAM_CODE(name) __attribute__((section(".ramcode." name), noinline, unused))
#else
#define FSVAE_RAM_CODE(name) FSVAE_OUT_OF_LINE
#endif

#endif
