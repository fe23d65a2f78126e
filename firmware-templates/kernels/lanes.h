/* Sums of weights for eight output channels at a time (rules S2 and S3). Copied unchanged.
 *
 * A block is eight neighbouring output channels. Its weights for one input neuron are one row: two words of biased
 * bytes (weight + 128) or one word of biased nibbles (weight + 8). An event is an input that fires; it costs one row.
 *
 * Two channels share a 32-bit word as 16-bit lanes. Adding rows lane by lane lets a carry run from the low lane into
 * the high one, but nothing is lost: the word holds low + 65536 * high modulo 2^32, and once the bias of all events is
 * taken off, both true sums fit 16 bits with sign (rule B1 proves it), so the low lane is read back exactly and what
 * remains is the high one.
 *
 * Bytes of a row: channel 0, 2, 1, 3 in the first word, 4, 6, 5, 7 in the second. The even bytes (0 and 2) are lanes
 * already; the odd ones need one shift and mask. The even ones need no mask at all: the whole word is added, and the
 * odd sum times 256 is taken off once at the end. Nibbles: channels 0, 2, 4, 6, 1, 3, 5, 7 from the lowest. */
#ifndef FSVAE_LANES_H
#define FSVAE_LANES_H

#include "fsvae_int.h"

#define FSVAE_BLOCK 8

/* Lane accumulators: channels (0,1), (2,3), (4,5), (6,7); low lane first. */
typedef struct {
    uint32_t lane[FSVAE_BLOCK / 2];
} fsvae_lanes;

/* Plain accumulators, for layers whose sums may leave 16 bits. */
typedef struct {
    int32_t sum[FSVAE_BLOCK];
} fsvae_sums;

/* Where one kernel position stands in its events: `list` and `count` of the step to come. */
typedef struct {
    const uint32_t *rows;  /* row of input 0 */
    const uint16_t *list;  /* this step's events: offsets of rows in bytes */
    const uint16_t *count; /* this step's number of events */
} fsvae_cursor;

static FSVAE_INLINE const uint32_t *fsvae_row(const uint32_t *rows, uint16_t event)
{
    return rows + event / 4u;
}

/* Adds one row of bytes for each event of one step at every kernel position, and moves the cursors on to the next step.
 * sums: takes the biased sums. stride: bytes from one step's events to the next one's. Returns the number of events. */
#if defined(FSVAE_ARMV6M)
uint32_t fsvae_gather_bytes(fsvae_lanes *sums, fsvae_cursor *cursor, const fsvae_cursor *end, uint32_t stride);
#else
static FSVAE_OUT_OF_LINE uint32_t fsvae_gather_bytes(fsvae_lanes *sums, fsvae_cursor *cursor, const fsvae_cursor *end,
                                                     uint32_t stride)
{
    uint32_t whole0 = 0, odd0 = 0, whole1 = 0, odd1 = 0, total = 0;
    for (; cursor != end; cursor++) {
        const uint32_t *rows = cursor->rows;
        const uint16_t *event = cursor->list;
        const uint16_t *last = event + *cursor->count;
        total += *cursor->count;
        cursor->list += stride / 2u;
        cursor->count++;
        while (event != last) {
            const uint32_t *row = fsvae_row(rows, *event++);
            uint32_t a = row[0];
            uint32_t b = row[1];
            whole0 += a;
            odd0 += (a >> 8) & 0x00ff00ffu;
            whole1 += b;
            odd1 += (b >> 8) & 0x00ff00ffu;
        }
    }
    sums->lane[0] = whole0 - (odd0 << 8);
    sums->lane[1] = odd0;
    sums->lane[2] = whole1 - (odd1 << 8);
    sums->lane[3] = odd1;
    return total;
}
#endif

/* The same for rows of nibbles. */
static FSVAE_OUT_OF_LINE uint32_t fsvae_gather_nibbles(fsvae_lanes *sums, fsvae_cursor *cursor, const fsvae_cursor *end,
                                                       uint32_t stride)
{
    uint32_t l0 = 0, l1 = 0, l2 = 0, l3 = 0, total = 0;
    for (; cursor != end; cursor++) {
        const uint32_t *rows = cursor->rows;
        const uint16_t *event = cursor->list;
        const uint16_t *last = event + *cursor->count;
        total += *cursor->count;
        cursor->list += stride / 2u;
        cursor->count++;
        while (event != last) {
            uint32_t row = *fsvae_row(rows, *event++);
            l0 += row & 0x000f000fu;
            l1 += (row >> 4) & 0x000f000fu;
            l2 += (row >> 8) & 0x000f000fu;
            l3 += (row >> 12) & 0x000f000fu;
        }
    }
    sums->lane[0] = l0;
    sums->lane[1] = l1;
    sums->lane[2] = l2;
    sums->lane[3] = l3;
    return total;
}

/* Takes the bias of `count` events off every lane. bias: 128 for bytes, 8 for nibbles. */
static inline void fsvae_unbias(fsvae_lanes *lanes, uint32_t count, uint32_t bias)
{
    uint32_t off = count * bias * 0x00010001u;
    lanes->lane[0] -= off;
    lanes->lane[1] -= off;
    lanes->lane[2] -= off;
    lanes->lane[3] -= off;
}

/* The two sums of an unbiased lane word. */
static inline int32_t fsvae_low_sum(uint32_t word)
{
    return fsvae_s16(word);
}

static inline int32_t fsvae_high_sum(uint32_t word)
{
    return fsvae_high_s16(word - (uint32_t)fsvae_s16(word));
}

/* Where byte or nibble of channel c sits in a row: channel 2p is the low lane, 2p + 1 the high lane of pair p. */
static inline int32_t fsvae_byte_weight(const uint32_t *row, unsigned c)
{
    unsigned shift = ((c >> 1) & 1u) * 8u + (c & 1u) * 16u;
    return (int32_t)((row[c >> 2] >> shift) & 0xffu) - 128;
}

static inline int32_t fsvae_nibble_weight(const uint32_t *row, unsigned c)
{
    unsigned shift = (c >> 1) * 4u + (c & 1u) * 16u;
    return (int32_t)((row[0] >> shift) & 0xfu) - 8;
}

/* The plain twin of both: no lanes, 32-bit sums without bias. Same bits wherever lanes are allowed. */
static inline void fsvae_gather_plain(fsvae_sums *sums, fsvae_cursor *cursor, const fsvae_cursor *end, uint32_t stride,
                                      unsigned weight_bits)
{
    for (unsigned c = 0; c < FSVAE_BLOCK; c++) {
        sums->sum[c] = 0;
    }
    for (; cursor != end; cursor++) {
        for (uint32_t i = 0; i < *cursor->count; i++) {
            const uint32_t *row = fsvae_row(cursor->rows, cursor->list[i]);
            for (unsigned c = 0; c < FSVAE_BLOCK; c++) {
                sums->sum[c] += weight_bits == 8u ? fsvae_byte_weight(row, c) : fsvae_nibble_weight(row, c);
            }
        }
        cursor->list += stride / 2u;
        cursor->count++;
    }
}

#endif
