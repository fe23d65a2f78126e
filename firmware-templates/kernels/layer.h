/* What the kernels share: a layer's description, event lists, spike trains, the neuron. Copied unchanged.
 *
 * The including file defines, from the model:
 *   FSVAE_TIME_STEPS          T, 1 to 32
 *   fsvae_train               unsigned, at least T bits: the spikes of one neuron over time, step t in bit t
 *   fsvae_membrane            signed: every membrane that is kept between steps fits it (rule B2)
 *   FSVAE_LEAK_MULTIPLIER, FSVAE_LEAK_SHIFT   rule L1 */
#ifndef FSVAE_LAYER_H
#define FSVAE_LAYER_H

#include "digest.h"
#include "lanes.h"

/* Which kernel runs a layer; the plan chooses, from what rule B proves. */
enum {
    FSVAE_KERNEL_PLAIN,  /* td_block.h: plain 32-bit sums */
    FSVAE_KERNEL_LANES,  /* td_block.h: eight channels a block, sums in 16-bit lanes (rule B3) */
    FSVAE_KERNEL_BYTES,  /* wide.h: sixteen channels a block, rows of bytes (rule B5) */
    FSVAE_KERNEL_HALVES  /* wide.h: the same with rows expanded to pairs in RAM (rule B5) */
};

typedef struct {
    const uint32_t *weights; /* blocks of 8 or 16 output channels; each: kernel positions x inputs x row words. Of a cached
                              * layer (row_cache.h): inputs x blocks x row words */
    const uint32_t *params;  /* blocks of 8: for each channel, padded to whole blocks, bias and threshold; of 16: wide.h */
    const uint16_t *members; /* halves with groups of inputs: the inputs, group by group; else NULL */
    uint32_t inputs;         /* input channels */
    uint32_t outputs;        /* output channels */
    uint32_t block_words;    /* linear layers: from one block's row to the next one's */
    uint32_t in_size;        /* height and width of the input map; 1 for a linear layer */
    uint8_t weight_bits;     /* 8 or 4 */
    uint8_t fraction_bits;   /* F of rule W2 */
    uint8_t kernel;          /* FSVAE_KERNEL_... */
    uint8_t group_bits;      /* wide kernels: 2^group_bits inputs share one row, 1, 2 or 4 */
    uint8_t wide_params;     /* blocks of 8; 0: a word is bias (low half) and threshold (high half); 1: a word each */
    uint8_t row;             /* this layer's row in a trace */
} fsvae_layer;

/* Words of one row, and bytes: the unit of events. */
static inline uint32_t fsvae_row_words(const fsvae_layer *layer)
{
    return layer->weight_bits == 8u ? 2u : 1u;
}

static inline uint32_t fsvae_row_bytes(const fsvae_layer *layer)
{
    return 4u * fsvae_row_words(layer);
}

static inline uint32_t fsvae_blocks(const fsvae_layer *layer)
{
    return (layer->outputs + FSVAE_BLOCK - 1u) / FSVAE_BLOCK;
}

/* Events of one input position, for each step: offsets of the rows to add. list[t * inputs] begins step t. */
typedef struct {
    const uint16_t *list;
    const uint16_t *count; /* T counts */
} fsvae_events;

/* Turns the trains of one position into event lists. scale: row bytes of the layer that reads them. */
static inline void fsvae_list_events(const fsvae_train *trains, uint32_t inputs, uint32_t scale, uint16_t *list,
                                     uint16_t *count)
{
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
        count[t] = 0;
    }
    for (uint32_t i = 0; i < inputs; i++) {
        uint32_t train = trains[i];
        for (unsigned t = 0; train != 0u; t++, train >>= 1) {
            if ((train & 1u) != 0u) {
                list[t * inputs + count[t]++] = (uint16_t)(i * scale);
            }
        }
    }
}

/* Rule L1. */
static FSVAE_INLINE int32_t fsvae_leak(int32_t v)
{
#if FSVAE_LEAK_MULTIPLIER == 1
    return v >> FSVAE_LEAK_SHIFT;
#else
    return (v * FSVAE_LEAK_MULTIPLIER) >> FSVAE_LEAK_SHIFT;
#endif
}

/* One neuron while it runs. */
typedef struct {
    int32_t bias;
    int32_t threshold;
    int32_t carried; /* membrane after reset */
    uint32_t train;  /* bit t: it fired at step t */
} fsvae_cell;

/* The eight neurons of a block, at rest. */
static inline void fsvae_load_cells(const fsvae_layer *layer, uint32_t block, fsvae_cell cells[FSVAE_BLOCK])
{
    const uint32_t *params = layer->params + block * FSVAE_BLOCK * (1u + layer->wide_params);
    for (unsigned c = 0; c < FSVAE_BLOCK; c++) {
        cells[c].carried = 0;
        cells[c].train = 0;
        if (layer->wide_params != 0u) {
            cells[c].bias = (int32_t)params[2u * c];
            cells[c].threshold = (int32_t)params[2u * c + 1u];
        } else {
            cells[c].bias = fsvae_s16(params[c]);
            cells[c].threshold = fsvae_high_s16(params[c]);
        }
    }
}

/* Rule L2, with the sum brought to the membrane's unit (rule W2): a product, so that negative sums are defined too. */
static inline int32_t fsvae_integrate(const fsvae_cell *cell, int32_t sum, unsigned fraction_bits)
{
    return fsvae_leak(cell->carried) + sum * (int32_t)(1u << fraction_bits) + cell->bias;
}

/* Rules L2 to L4 for one neuron; bit: 1 << step. */
static inline void fsvae_lif(fsvae_cell *cell, int32_t sum, unsigned fraction_bits, uint32_t bit)
{
    int32_t u = fsvae_integrate(cell, sum, fraction_bits);
    if (u > cell->threshold) {
        cell->train |= bit;
        u = 0;
    }
    cell->carried = u;
}

/* Sums of one step, in lanes, without bias. The layer has lanes. */
static inline void fsvae_gather_lanes(const fsvae_layer *layer, fsvae_lanes *lanes, fsvae_cursor *cursor,
                                      const fsvae_cursor *end, uint32_t stride)
{
    if (layer->weight_bits == 8u) {
        fsvae_unbias(lanes, fsvae_gather_bytes(lanes, cursor, end, stride), 128u);
    } else {
        fsvae_unbias(lanes, fsvae_gather_nibbles(lanes, cursor, end, stride), 8u);
    }
}

/* The sums of a block as plain numbers. */
static inline void fsvae_unpack(const fsvae_lanes *lanes, fsvae_sums *sums)
{
    for (unsigned pair = 0; pair < FSVAE_BLOCK / 2u; pair++) {
        sums->sum[2u * pair] = fsvae_low_sum(lanes->lane[pair]);
        sums->sum[2u * pair + 1u] = fsvae_high_sum(lanes->lane[pair]);
    }
}

/* What a run leaves for whoever watches; see fsvae.h. */
typedef struct {
    fsvae_monitor *monitor; /* NULL: nobody watches */
    const fsvae_fetcher *fetcher; /* NULL: constants are read where they lie */
    uint64_t lap;           /* clock at the end of the last row */
} fsvae_watch;

static inline int fsvae_tracing(const fsvae_watch *watch)
{
    return watch->monitor != NULL && watch->monitor->trace != 0;
}

static inline int fsvae_probing(const fsvae_watch *watch, unsigned row, unsigned step)
{
    const fsvae_monitor *monitor = watch->monitor;
    return monitor != NULL && monitor->probe_layer == (int)row && monitor->probe_step == (int)step;
}

/* Attributes the cycles since the last call to a row. */
static inline void fsvae_lap(fsvae_watch *watch, unsigned row)
{
    if (watch->monitor != NULL && watch->monitor->cycles != NULL) {
        uint64_t now = watch->monitor->cycles();
        watch->monitor->layer_cycles[row] += now - watch->lap;
        watch->lap = now;
    }
}

static inline void fsvae_probe(fsvae_monitor *monitor, uint32_t neuron, int32_t membrane, int fired)
{
    uint32_t i = neuron - monitor->probe_first;
    if (i >= monitor->probe_count) { /* also where neuron < first: unsigned */
        return;
    }
    if (monitor->probe_membrane != NULL) {
        monitor->probe_membrane[i] = membrane;
    }
    if (monitor->probe_spikes != NULL && fired) {
        monitor->probe_spikes[i >> 3] = (uint8_t)(monitor->probe_spikes[i >> 3] | (1u << (i & 7u)));
    }
}

/* A block's membranes before reset, for a probe. To be taken before the neurons fire. */
static inline void fsvae_membranes(const fsvae_cell *cells, const fsvae_sums *sums, unsigned fraction_bits,
                                   int32_t membranes[FSVAE_BLOCK])
{
    for (unsigned c = 0; c < FSVAE_BLOCK; c++) {
        membranes[c] = fsvae_integrate(&cells[c], sums->sum[c], fraction_bits);
    }
}

/* Gives a probe what a block's neurons did: the membranes from before, the spikes as the kernel itself set them. */
static inline void fsvae_probe_block(const fsvae_watch *watch, const fsvae_cell *cells,
                                     const int32_t membranes[FSVAE_BLOCK], uint32_t bit, uint32_t neuron,
                                     uint32_t channels)
{
    for (uint32_t c = 0; c < channels; c++) {
        fsvae_probe(watch->monitor, neuron + c, membranes[c], (cells[c].train & bit) != 0u);
    }
}

#endif
