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

typedef struct {
    const uint32_t *weights; /* blocks of 8 output channels; each: kernel positions x inputs x row words */
    const uint32_t *params;  /* for each channel, padded to whole blocks: bias and threshold */
    uint32_t inputs;         /* input channels */
    uint32_t outputs;        /* output channels */
    uint32_t in_size;        /* height and width of the input map; 1 for a linear layer */
    uint8_t weight_bits;     /* 8 or 4 */
    uint8_t fraction_bits;   /* F of rule W2 */
    uint8_t lanes;           /* 1: sums fit 16 bits (rule B1); 0: plain 32-bit sums */
    uint8_t wide_params;     /* 0: a word is bias (low half) and threshold (high half); 1: a word each */
    uint8_t row;             /* this layer's row in a trace */
} fsvae_layer;

static inline uint32_t fsvae_row_words(const fsvae_layer *layer)
{
    return layer->weight_bits == 8u ? 2u : 1u;
}

static inline uint32_t fsvae_blocks(const fsvae_layer *layer)
{
    return (layer->outputs + FSVAE_BLOCK - 1u) / FSVAE_BLOCK;
}

/* Events of one input position, for each step: which rows to add. list[t * capacity] begins step t. */
typedef struct {
    const uint16_t *list;
    const uint16_t *count; /* T counts */
    uint32_t capacity;
} fsvae_events;

/* Turns the trains of one position into event lists. scale: row words of the layer that reads them. */
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

/* Bias and threshold of the eight channels of a block. */
typedef struct {
    int32_t bias[FSVAE_BLOCK];
    int32_t threshold[FSVAE_BLOCK];
} fsvae_params;

static inline void fsvae_load_params(const fsvae_layer *layer, uint32_t block, fsvae_params *params)
{
    for (unsigned c = 0; c < FSVAE_BLOCK; c++) {
        uint32_t channel = block * FSVAE_BLOCK + c;
        if (layer->wide_params != 0u) {
            params->bias[c] = (int32_t)layer->params[2u * channel];
            params->threshold[c] = (int32_t)layer->params[2u * channel + 1u];
        } else {
            uint32_t word = layer->params[channel];
            params->bias[c] = fsvae_s16(word);
            params->threshold[c] = fsvae_s16(word >> 16);
        }
    }
}

/* Rule L1. */
static inline int32_t fsvae_leak(int32_t v)
{
#if FSVAE_LEAK_MULTIPLIER == 1
    return v >> FSVAE_LEAK_SHIFT;
#else
    return (v * FSVAE_LEAK_MULTIPLIER) >> FSVAE_LEAK_SHIFT;
#endif
}

/* Adds one event list to a block's sums: lanes or plain as the layer says. */
typedef struct {
    fsvae_lanes lanes;
    fsvae_sums sums;
    uint32_t count;
} fsvae_accumulator;

static inline void fsvae_clear(fsvae_accumulator *acc)
{
    for (unsigned i = 0; i < FSVAE_BLOCK / 2; i++) {
        acc->lanes.lane[i] = 0;
    }
    for (unsigned i = 0; i < FSVAE_BLOCK; i++) {
        acc->sums.sum[i] = 0;
    }
    acc->count = 0;
}

static inline void fsvae_accumulate(const fsvae_layer *layer, fsvae_accumulator *acc, const uint32_t *rows,
                                    const uint16_t *events, uint32_t count)
{
    if (count == 0u) {
        return;
    }
    acc->count += count;
    if (layer->lanes == 0u) {
        fsvae_add_plain(&acc->sums, rows, events, count, layer->weight_bits);
    } else if (layer->weight_bits == 8u) {
        fsvae_add_bytes(&acc->lanes, rows, events, count);
    } else {
        fsvae_add_nibbles(&acc->lanes, rows, events, count);
    }
}

static inline void fsvae_finish(const fsvae_layer *layer, fsvae_accumulator *acc)
{
    if (layer->lanes != 0u && acc->count != 0u) {
        fsvae_unpack_lanes(&acc->lanes, acc->count, layer->weight_bits == 8u ? 128u : 8u, &acc->sums);
    }
}

/* Sum in units of the membrane (rule W2): a multiplication by a power of two, defined for negative sums too. */
static inline int32_t fsvae_current(const fsvae_layer *layer, int32_t sum, int32_t bias)
{
    return sum * (int32_t)(1u << layer->fraction_bits) + bias;
}

/* What a run leaves for whoever watches; see fsvae.h. */
typedef struct {
    fsvae_monitor *monitor; /* NULL: nobody watches */
    uint64_t lap;           /* clock at the end of the last row */
} fsvae_watch;

static inline int fsvae_tracing(const fsvae_watch *watch)
{
    return watch->monitor != NULL && watch->monitor->trace != 0;
}

static inline int fsvae_probing(const fsvae_watch *watch, unsigned row)
{
    return watch->monitor != NULL && watch->monitor->probe_layer == (int)row;
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

#endif
