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

/* Rule R4. */
static inline uint8_t fsvae_pixel(const int32_t *thresholds, int32_t membrane)
{
    uint32_t low = 0;
    uint32_t high = FSVAE_PIXEL_THRESHOLDS;
    while (low < high) {
        uint32_t middle = (low + high) >> 1;
        if (thresholds[middle] <= membrane) {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return (uint8_t)low;
}

/* Weights of the last convolution as the kernel reads them: for each channel and input nine words, one a tap. */
static inline void fsvae_expand_readout(const fsvae_readout_layer *layer, int32_t *expanded)
{
    for (uint32_t o = 0; o < layer->channels; o++) {
        for (uint32_t i = 0; i < layer->inputs; i++) {
            for (uint32_t tap = 0; tap < FSVAE_READOUT_TAPS; tap++) {
                uint32_t at = (o * FSVAE_READOUT_TAPS + tap) * layer->inputs + i;
                if (layer->weight_bits == 8u) {
                    *expanded++ = layer->weights[at];
                } else {
                    uint32_t byte = (uint8_t)layer->weights[at >> 1];
                    *expanded++ = (int32_t)((byte >> ((at & 1u) * 4u)) & 15u) - 8;
                }
            }
        }
    }
}

/* The inputs of one row, for one channel. The assembly knows this layout. */
typedef struct {
    const uint16_t *tables;
    const int32_t *expanded; /* inputs x 9 */
    uint32_t inputs;
    uint32_t size;
    int32_t *above; /* membranes of the row above, of this one and of the one below, from the column before the first */
    int32_t *here;
    int32_t *below;
} fsvae_readout_run;

/* Adds to the membranes what a row of inputs gives them: for each position nine sums, one a tap, over its inputs. Not one
 * dot product for each pixel and tap: so a train is looked up once for nine products, and one without spikes, which is
 * two in five, costs next to nothing. */
#if defined(__ARM_ARCH_6M__) && !defined(FSVAE_PLAIN_C) && FSVAE_TRAIN_BYTES == 2
void fsvae_readout_add(const fsvae_readout_run *run, const fsvae_train *trains);
#else
static FSVAE_OUT_OF_LINE void fsvae_readout_add(const fsvae_readout_run *run, const fsvae_train *trains)
{
    for (uint32_t x = 0; x < run->size; x++) {
        const int32_t *weight = run->expanded;
        int32_t sums[FSVAE_READOUT_TAPS] = {0};
        for (uint32_t i = 0; i < run->inputs; i++, weight += FSVAE_READOUT_TAPS) {
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

/* What the readout works with. */
typedef struct {
    const uint16_t *tables;
    const int32_t *expanded; /* channels x inputs x 9 */
    int32_t *membranes;      /* channels x 4 x (size + 2): row r at slot r & 3, with a column to spare at either end */
} fsvae_readout_state;

static inline int32_t *fsvae_readout_membranes(const fsvae_readout_layer *layer, const fsvae_readout_state *state,
                                               uint32_t o, uint32_t row)
{
    return state->membranes + (o * 4u + (row & 3u)) * (layer->size + 2u);
}

/* Rule R3: membranes begin with the bias. */
static inline void fsvae_readout_begin_row(const fsvae_readout_layer *layer, const fsvae_readout_state *state,
                                           uint32_t row)
{
    for (uint32_t o = 0; o < layer->channels; o++) {
        int32_t *membrane = fsvae_readout_membranes(layer, state, o, row);
        for (uint32_t x = 0; x < layer->size + 2u; x++) {
            membrane[x] = layer->bias[o];
        }
    }
}

static inline void fsvae_readout_pixels(const fsvae_readout_layer *layer, const fsvae_readout_state *state, uint32_t row,
                                        uint8_t *image)
{
    for (uint32_t o = 0; o < layer->channels; o++) {
        const int32_t *membrane = fsvae_readout_membranes(layer, state, o, row) + 1;
        for (uint32_t x = 0; x < layer->size; x++) {
            image[(o * layer->size + row) * layer->size + x] =
                fsvae_pixel(layer->thresholds + o * FSVAE_PIXEL_THRESHOLDS, membrane[x]);
        }
    }
}

/* Rules R1 and R2 for the inputs of one row, in order from row 0: adds them to the membranes of rows y - 1, y and y + 1,
 * and turns into pixels (rule R4) what is complete then. Membranes beyond the map are added to and never read.
 *
 * trains: size x inputs. image: channel-major. */
static inline void fsvae_readout_row(const fsvae_readout_layer *layer, const fsvae_readout_state *state,
                                     const fsvae_train *trains, uint32_t y, uint8_t *image)
{
    fsvae_readout_run run;
    run.tables = state->tables;
    run.inputs = layer->inputs;
    run.size = layer->size;
    if (y == 0u) {
        fsvae_readout_begin_row(layer, state, 3); /* the slot of row -1 */
        fsvae_readout_begin_row(layer, state, 0);
    }
    fsvae_readout_begin_row(layer, state, y + 1u);
    for (uint32_t o = 0; o < layer->channels; o++) {
        run.expanded = state->expanded + o * layer->inputs * FSVAE_READOUT_TAPS;
        run.above = fsvae_readout_membranes(layer, state, o, y + 3u); /* y - 1: slots are counted modulo 4 */
        run.here = fsvae_readout_membranes(layer, state, o, y);
        run.below = fsvae_readout_membranes(layer, state, o, y + 1u);
        fsvae_readout_add(&run, trains);
    }
    if (y > 0u) {
        fsvae_readout_pixels(layer, state, y - 1u, image);
    }
    if (y + 1u == layer->size) {
        fsvae_readout_pixels(layer, state, y, image);
    }
}

#endif
