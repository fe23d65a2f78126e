/* Digests of spikes (rule T3): one CRC-32 for each time step, over spikes packed eight to a byte (rule T1). Only traces
 * use it, so it is small rather than fast: a table of 16 entries. Copied unchanged. */
#ifndef FSVAE_DIGEST_H
#define FSVAE_DIGEST_H

#include "fsvae_int.h"

/* CRC-32 (IEEE 802.3) of one more byte; begins with all ones and ends with a complement. */
static inline uint32_t fsvae_crc32_byte(uint32_t crc, uint32_t byte)
{
    static const uint32_t nibble[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    crc ^= byte;
    crc = (crc >> 4) ^ nibble[crc & 15u];
    return (crc >> 4) ^ nibble[crc & 15u];
}

typedef struct {
    uint32_t crc[FSVAE_TIME_STEPS];
    uint32_t byte[FSVAE_TIME_STEPS];
    uint32_t filled; /* bits in each byte so far */
    uint32_t spikes;
} fsvae_digest;

static inline void fsvae_digest_begin(fsvae_digest *digest)
{
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
        digest->crc[t] = 0xffffffffu;
        digest->byte[t] = 0;
    }
    digest->filled = 0;
    digest->spikes = 0;
}

static inline void fsvae_digest_flush(fsvae_digest *digest)
{
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
        digest->crc[t] = fsvae_crc32_byte(digest->crc[t], digest->byte[t]);
        digest->byte[t] = 0;
    }
    digest->filled = 0;
}

/* The next neurons, in order. */
static inline void fsvae_digest_trains(fsvae_digest *digest, const fsvae_train *trains, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t train = trains[i];
        for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++, train >>= 1) {
            digest->byte[t] |= (train & 1u) << digest->filled;
            digest->spikes += train & 1u;
        }
        if (++digest->filled == 8u) {
            fsvae_digest_flush(digest);
        }
    }
}

static inline void fsvae_digest_end(fsvae_digest *digest, uint32_t out[FSVAE_TIME_STEPS])
{
    if (digest->filled != 0u) {
        fsvae_digest_flush(digest);
    }
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
        out[t] = ~digest->crc[t];
    }
}

#endif
