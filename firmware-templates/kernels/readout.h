/* From spike trains to pixels (rules R1 to R4). Copied unchanged.
 *
 * The last convolution and the output membrane are linear: each train becomes one small integer, looked up by its
 * bytes, and one convolution of those replaces T convolutions of spikes. */
#ifndef FSVAE_READOUT_H
#define FSVAE_READOUT_H

#include "layer.h"

#if FSVAE_TIME_STEPS <= 16
#define FSVAE_TRAIN_BYTES 2
#else
#define FSVAE_TRAIN_BYTES 4
#endif
#define FSVAE_PIXEL_THRESHOLDS 255
#define FSVAE_READOUT_TAPS 9

typedef struct {
    const int8_t *weights;         /* 8 bits: channel x 9 x inputs; 4 bits: the same, two to a byte, low nibble first */
    const int32_t *bias;           /* channels */
    const int32_t *thresholds;     /* channels x 255, ascending */
    const uint16_t *coefficients;  /* T */
    uint32_t inputs;
    uint32_t channels;
    uint32_t size;
    uint8_t weight_bits;
} fsvae_readout_layer;

/* Rule R1 as tables: for each byte of a train and each of its values the sum of the coefficients of its set bits. */
static inline void fsvae_fill_coefficient_tables(const fsvae_readout_layer *layer, uint16_t *tables)
{
    for (unsigned byte = 0; byte < FSVAE_TRAIN_BYTES; byte++) {
        uint16_t *table = tables + byte * 256u;
        table[0] = 0;
        for (unsigned bit = 0; bit < 8u; bit++) {
            unsigned t = byte * 8u + bit;
            uint32_t coefficient = t < FSVAE_TIME_STEPS ? layer->coefficients[t] : 0u;
            for (uint32_t i = 0; i < (1u << bit); i++) {
                table[(1u << bit) + i] = (uint16_t)(table[i] + coefficient);
            }
        }
    }
}

/* Rule R1 for one train. */
static inline int32_t fsvae_weight_train(const uint16_t *tables, uint32_t train)
{
    int32_t sum = tables[train & 0xffu];
    for (unsigned byte = 1; byte < FSVAE_TRAIN_BYTES; byte++) {
        sum += tables[byte * 256u + ((train >> (8u * byte)) & 0xffu)];
    }
    return sum;
}

/* Past the next `more` thresholds, if the last of them is reached. */
static FSVAE_INLINE const int32_t *fsvae_reach(const int32_t *threshold, int32_t membrane, unsigned more)
{
    return threshold[more - 1u] <= membrane ? threshold + more : threshold;
}

/* Rule R4. Of 2^8 - 1 thresholds in order each comparison decides one bit of how many are reached. */
static inline uint8_t fsvae_pixel(const int32_t *thresholds, int32_t membrane)
{
    const int32_t *reached = fsvae_reach(thresholds, membrane, 128);
    reached = fsvae_reach(reached, membrane, 64);
    reached = fsvae_reach(reached, membrane, 32);
    reached = fsvae_reach(reached, membrane, 16);
    reached = fsvae_reach(reached, membrane, 8);
    reached = fsvae_reach(reached, membrane, 4);
    reached = fsvae_reach(reached, membrane, 2);
    reached = fsvae_reach(reached, membrane, 1);
    return (uint8_t)(reached - thresholds);
}

/* Weights of the last convolution as the kernel reads them: for each channel and input nine, one a tap, in words; or, where
 * ARMv7E-M multiplies halves of words, which have signs, in halves, ten for the sake of whole words. */
#if defined(FSVAE_ARMV7EM) && FSVAE_TRAIN_BYTES == 2 && FSVAE_MOST_WEIGHTED <= 32767
#define FSVAE_READOUT_HALVES 1
#define FSVAE_READOUT_ROW 10u
typedef int16_t fsvae_readout_weight;
#else
#define FSVAE_READOUT_ROW 9u
typedef int32_t fsvae_readout_weight;
#endif

static inline void fsvae_expand_readout(const fsvae_readout_layer *layer, fsvae_readout_weight *expanded)
{
    for (uint32_t o = 0; o < layer->channels; o++) {
        for (uint32_t i = 0; i < layer->inputs; i++, expanded += FSVAE_READOUT_ROW) {
            for (uint32_t tap = 0; tap < FSVAE_READOUT_TAPS; tap++) {
                uint32_t at = (o * FSVAE_READOUT_TAPS + tap) * layer->inputs + i;
                if (layer->weight_bits == 8u) {
                    expanded[tap] = layer->weights[at];
                } else {
                    uint32_t byte = (uint8_t)layer->weights[at >> 1];
                    expanded[tap] = (fsvae_readout_weight)((int32_t)((byte >> ((at & 1u) * 4u)) & 15u) - 8);
                }
            }
        }
    }
}

/* The inputs of one row, for one channel. The assembly knows this layout. */
typedef struct {
    const uint16_t *tables;
    const fsvae_readout_weight *expanded; /* inputs x FSVAE_READOUT_ROW */
    uint32_t inputs;
    uint32_t size;
    int32_t *above; /* membranes of the row above, of this one and of the one below, from the column before the first */
    int32_t *here;
    int32_t *below;
} fsvae_readout_run;

/* Adds to the membranes what a row of inputs gives them: for each position nine sums, one a tap, over its inputs. Not one
 * dot product for each pixel and tap: so a train is looked up once for nine products, and one without spikes, two to
 * nine in ten, costs next to nothing. */
#if (defined(FSVAE_ARMV6M) && FSVAE_TRAIN_BYTES == 2) || defined(FSVAE_READOUT_HALVES)
void fsvae_readout_add(const fsvae_readout_run *run, const fsvae_train *trains);
#else
static FSVAE_OUT_OF_LINE void fsvae_readout_add(const fsvae_readout_run *run, const fsvae_train *trains)
{
    for (uint32_t x = 0; x < run->size; x++) {
        const fsvae_readout_weight *weight = run->expanded;
        int32_t sums[FSVAE_READOUT_TAPS] = {0};
        for (uint32_t i = 0; i < run->inputs; i++, weight += FSVAE_READOUT_ROW) {
            uint32_t train = *trains++;
            if (train != 0u) {
                int32_t weighted = fsvae_weight_train(run->tables, train);
                for (unsigned tap = 0; tap < FSVAE_READOUT_TAPS; tap++) {
                    sums[tap] += weight[tap] * weighted;
                }
            }
        }
        for (uint32_t kx = 0; kx < 3u; kx++) {
            run->above[x + kx] += sums[kx];
            run->here[x + kx] += sums[3u + kx];
            run->below[x + kx] += sums[6u + kx];
        }
    }
}
#endif

/* What the readout works with. Membranes are kept in two parts, what even and what odd rows of inputs give them, so that
 * two processors can add at the same time. */
typedef struct {
    const uint16_t *tables;
    const fsvae_readout_weight *expanded; /* channels x inputs x FSVAE_READOUT_ROW */
    int32_t *membranes;      /* 2 x channels x 4 x (size + 2): row r at slot r & 3, with a column to spare at either end */
} fsvae_readout_state;

static inline int32_t *fsvae_readout_membranes(const fsvae_readout_layer *layer, const fsvae_readout_state *state,
                                               uint32_t part, uint32_t o, uint32_t row)
{
    return state->membranes + ((part * layer->channels + o) * 4u + (row & 3u)) * (layer->size + 2u);
}

/* Rule R3: membranes begin with the bias; in one of their parts. */
static inline void fsvae_readout_begin_row(const fsvae_readout_layer *layer, const fsvae_readout_state *state,
                                           uint32_t part, uint32_t row)
{
    for (uint32_t o = 0; o < layer->channels; o++) {
        int32_t *membrane = fsvae_readout_membranes(layer, state, part, o, row);
        for (uint32_t x = 0; x < layer->size + 2u; x++) {
            membrane[x] = part == 0u ? layer->bias[o] : 0;
        }
    }
}

/* Two rows of inputs, 2y and 2y + 1, and the pixels that are complete after them. */
typedef struct {
    const fsvae_readout_layer *layer;
    const fsvae_readout_state *state;
    const fsvae_train *trains; /* 2 x size x inputs */
    uint32_t y;
    uint8_t *image;
} fsvae_readout_job;

/* Rules R1 and R2: adds what row 2y + part gives to the membranes of the rows above, here and below. Membranes beyond the
 * map are added to and never read. */
static FSVAE_OUT_OF_LINE void fsvae_readout_parts(void *work, uint32_t member, uint32_t members)
{
    const fsvae_readout_job *job = (const fsvae_readout_job *)work;
    const fsvae_readout_layer *layer = job->layer;
    for (uint32_t part = member; part < 2u; part += members) {
        const uint32_t row = 2u * job->y + part;
        fsvae_readout_run run;
        run.tables = job->state->tables;
        run.inputs = layer->inputs;
        run.size = layer->size;
        if (job->y == 0u) {
            fsvae_readout_begin_row(layer, job->state, part, row + 3u); /* the row above: slots are counted modulo 4 */
        }
        fsvae_readout_begin_row(layer, job->state, part, row);
        fsvae_readout_begin_row(layer, job->state, part, row + 1u);
        for (uint32_t o = 0; o < layer->channels; o++) {
            run.expanded = job->state->expanded + o * layer->inputs * FSVAE_READOUT_ROW;
            run.above = fsvae_readout_membranes(layer, job->state, part, o, row + 3u);
            run.here = fsvae_readout_membranes(layer, job->state, part, o, row);
            run.below = fsvae_readout_membranes(layer, job->state, part, o, row + 1u);
            fsvae_readout_add(&run, job->trains + part * layer->size * layer->inputs);
        }
    }
}

/* Rule R4 for rows 2y - 1 and 2y, and for the last of all. */
static FSVAE_OUT_OF_LINE void fsvae_readout_pixels(void *work, uint32_t member, uint32_t members)
{
    const fsvae_readout_job *job = (const fsvae_readout_job *)work;
    const fsvae_readout_layer *layer = job->layer;
    const uint32_t end = 2u * job->y + 2u == layer->size ? layer->size : 2u * job->y + 1u;
    for (uint32_t row = (job->y == 0u ? 0u : 2u * job->y - 1u) + member; row < end; row += members) {
        for (uint32_t o = 0; o < layer->channels; o++) {
            const int32_t *even = fsvae_readout_membranes(layer, job->state, 0, o, row) + 1;
            const int32_t *odd = fsvae_readout_membranes(layer, job->state, 1, o, row) + 1;
            uint8_t *pixel = job->image + (o * layer->size + row) * layer->size;
            for (uint32_t x = 0; x < layer->size; x++) {
                pixel[x] = fsvae_pixel(layer->thresholds + o * FSVAE_PIXEL_THRESHOLDS, even[x] + odd[x]);
            }
        }
    }
}

/* trains: of rows 2y and 2y + 1 of the last map; y in order from 0. image: channel-major. */
static inline void fsvae_readout_rows(const fsvae_readout_layer *layer, const fsvae_readout_state *state,
                                      const fsvae_train *trains, uint32_t y, uint8_t *image, const fsvae_watch *watch)
{
    fsvae_readout_job job = {layer, state, trains, y, image};
    fsvae_share(watch, fsvae_readout_parts, &job);
    fsvae_share(watch, fsvae_readout_pixels, &job);
}

#endif
