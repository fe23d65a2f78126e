/* Random choices (rules G1 to G3). PCG32 is pcg32 (XSH RR 64/32) by M. E. O'Neill, 2014. Copied unchanged. */
#ifndef FSVAE_PCG32_H
#define FSVAE_PCG32_H

#include <stdint.h>

typedef struct {
    uint64_t state;
} fsvae_pcg32;

#define FSVAE_PCG32_MULTIPLIER 6364136223846793005u
#define FSVAE_PCG32_INCREMENT ((54u << 1) | 1u)

/* Rule G1. Uniform in 0 .. 2^32 - 1. */
static inline uint32_t fsvae_pcg32_next(fsvae_pcg32 *generator)
{
    uint64_t old = generator->state;
    generator->state = old * FSVAE_PCG32_MULTIPLIER + FSVAE_PCG32_INCREMENT;
    uint32_t mixed = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t rotation = (uint32_t)(old >> 59);
    return (mixed >> rotation) | (mixed << ((32u - rotation) & 31u));
}

static inline void fsvae_pcg32_seed(fsvae_pcg32 *generator, uint64_t seed)
{
    generator->state = 0;
    (void)fsvae_pcg32_next(generator);
    generator->state += seed;
    (void)fsvae_pcg32_next(generator);
}

/* Rule G2. Uniform in 0 .. bound - 1; bound is 1 .. 256, so the 40-bit product fits two 32-bit halves and needs no
 * 64-bit multiply. `reject` is 2^32 mod bound, computed by the generator of this code. */
static inline uint32_t fsvae_pcg32_below(fsvae_pcg32 *generator, uint32_t bound, uint32_t reject)
{
    for (;;) {
        uint32_t x = fsvae_pcg32_next(generator);
        uint32_t middle = (x >> 16) * bound + (((x & 0xffffu) * bound) >> 16);
        if (x * bound >= reject) {
            return middle >> 16;
        }
    }
}

#endif
