/* The autoregressive prior (rule P1), step by step because each step's input is the step before. Copied unchanged.
 *
 * Hidden layers run in full. Of the last layer, k times as wide as the latent, only the chosen neurons matter, and the
 * choices are known before the network runs: a chosen neuron is evaluated when it is chosen, and only then. */
#ifndef FSVAE_PRIOR_H
#define FSVAE_PRIOR_H

#include "wide.h"

/* One step of a hidden layer, eight channels at a time.
 *
 * carried: one membrane for each output, kept between steps. events: this step's inputs. fired: takes one byte for each
 * block, bit c for its channel c (rule T1). */
static inline void fsvae_td_linear_step(const fsvae_layer *layer, fsvae_membrane *carried, const uint16_t *events,
                                        uint32_t count, uint8_t *fired, unsigned step, const fsvae_watch *watch)
{
    uint32_t block_words = layer->inputs * fsvae_row_words(layer);
    uint16_t this_step = (uint16_t)count;
    for (uint32_t block = 0; block < fsvae_blocks(layer); block++) {
        uint32_t first = block * FSVAE_BLOCK;
        uint32_t channels = layer->outputs - first < FSVAE_BLOCK ? layer->outputs - first : FSVAE_BLOCK;
        fsvae_cell cells[FSVAE_BLOCK];
        int32_t membranes[FSVAE_BLOCK];
        fsvae_sums sums;
        fsvae_cursor tap;
        uint32_t bits = 0;
        fsvae_load_cells(layer, block, cells);
        tap.rows = layer->weights + block * block_words;
        tap.list = events;
        tap.count = &this_step;
        if (layer->kernel != FSVAE_KERNEL_PLAIN) {
            fsvae_lanes lanes;
            fsvae_gather_lanes(layer, &lanes, &tap, &tap + 1, 0);
            fsvae_unpack(&lanes, &sums);
        } else {
            fsvae_gather_plain(&sums, &tap, &tap + 1, 0, layer->weight_bits);
        }
        for (uint32_t c = 0; c < channels; c++) {
            cells[c].carried = carried[first + c];
        }
        fsvae_membranes(cells, &sums, layer->fraction_bits, membranes);
        for (uint32_t c = 0; c < channels; c++) {
            fsvae_lif(&cells[c], sums.sum[c], layer->fraction_bits, 1u);
            carried[first + c] = (fsvae_membrane)cells[c].carried;
            bits |= (cells[c].train & 1u) << c;
        }
        fired[block] = (uint8_t)bits;
        if (fsvae_probing(watch, layer->row, step)) {
            fsvae_probe_block(watch, cells, membranes, 1u, first, channels);
        }
    }
}

/* Lists the neurons of a step that fired, `scale` apart: the events of the layer that reads them, as a list of
 * wide.h where that layer is a wide one. Returns how many. */
static inline uint32_t fsvae_list_fired(const uint8_t *fired, uint32_t neurons, uint32_t scale, unsigned wide,
                                        uint16_t *list)
{
    uint16_t *next = wide != 0u ? list + FSVAE_LIST_HEAD : list;
    uint32_t count = 0;
    uint32_t offset = 0;
    for (uint32_t i = 0; i < (neurons + 7u) / 8u; i++, offset += 8u * scale) {
        uint32_t event = offset;
        for (uint32_t bits = fired[i]; bits != 0u; bits >>= 1, event += scale) {
            if ((bits & 1u) != 0u) {
                *next++ = (uint16_t)event;
                count++;
            }
        }
    }
    if (wide != 0u) {
        fsvae_seal_list(list, count, 0);
    }
    return count;
}

/* The last layer, evaluated neuron by neuron. Its weights are rows by output: for each neuron its inputs' weights. */
typedef struct {
    const int8_t *weights;   /* 8 bits: outputs x inputs; 4 bits: outputs x ceil(inputs / 2), low nibble first */
    const uint32_t *params;  /* as in fsvae_layer, not padded */
    uint32_t inputs;
    uint32_t outputs;
    int32_t lowest;          /* no membrane is ever below this (rule B2) */
    uint8_t weight_bits;
    uint8_t fraction_bits;
    uint8_t wide_params;
    uint8_t row;
} fsvae_lazy_layer;

typedef struct {
    fsvae_membrane *carried; /* outputs: membrane after the last step whose outcome is known exactly */
    uint8_t *known;          /* outputs: how many steps are known; 0: none, the neuron rests at 0 */
    const uint16_t *events;  /* T x inputs: the inputs that fired, step by step */
    const uint16_t *count;   /* T */
} fsvae_lazy_state;

/* Sum of the bytes of a row that the events name, four a turn. */
static FSVAE_OUT_OF_LINE int32_t fsvae_sum_bytes(const int8_t *row, const uint16_t *event, uint32_t count)
{
    int32_t sum = 0;
    for (; count >= 4u; count -= 4u, event += 4) {
        sum += row[event[0]];
        sum += row[event[1]];
        sum += row[event[2]];
        sum += row[event[3]];
    }
    for (; count != 0u; count--) {
        sum += row[*event++];
    }
    return sum;
}

static inline int32_t fsvae_lazy_current(const fsvae_lazy_layer *layer, const fsvae_lazy_state *state, uint32_t neuron,
                                  unsigned step, int32_t bias)
{
    const uint16_t *events = state->events + step * layer->inputs;
    const uint16_t *end = events + state->count[step];
    int32_t sum = 0;
    if (layer->weight_bits == 8u) {
        sum = fsvae_sum_bytes(layer->weights + neuron * layer->inputs, events, state->count[step]);
    } else {
        const int8_t *row = layer->weights + neuron * ((layer->inputs + 1u) / 2u);
        while (events != end) {
            uint32_t i = *events++;
            sum += (int32_t)((((uint32_t)(uint8_t)row[i >> 1]) >> ((i & 1u) * 4u)) & 15u) - 8;
        }
    }
    return sum * (int32_t)(1u << layer->fraction_bits) + bias;
}

/* Does this neuron fire at this step?
 *
 * Its membrane depends on all steps before. But the leak shrinks what is unknown about an old membrane, so begin with
 * an interval that certainly holds it - from the proven lowest value to the threshold, beyond which it would have fired
 * and been reset - a few steps back, and carry the interval through leak, current, firing and reset. As soon as the
 * whole interval lies on one side of the threshold at the step asked for, the answer is certain; while it straddles,
 * begin one step further back. At the latest this ends where the membrane is known exactly. Leak and addition keep
 * order, so the ends of the interval bound everything inside it. The answer is the same, case by case.
 *
 * exact: go back to what is known exactly at once, so that the membrane is exact (for probes).
 * membrane: takes the membrane before reset, or its lower bound where that is enough to know. */
static inline int fsvae_lazy_fires(const fsvae_lazy_layer *layer, fsvae_lazy_state *state, uint32_t neuron, unsigned step,
                            int exact, int32_t *membrane)
{
    int32_t current[FSVAE_TIME_STEPS];
    int32_t bias, threshold, low, high;
    unsigned known = state->known[neuron];
    unsigned from = step;
    if (layer->wide_params != 0u) {
        bias = (int32_t)layer->params[2u * neuron];
        threshold = (int32_t)layer->params[2u * neuron + 1u];
    } else {
        bias = fsvae_s16(layer->params[neuron]);
        threshold = fsvae_high_s16(layer->params[neuron]);
    }
    for (;;) {
        int fires;
        current[from] = fsvae_lazy_current(layer, state, neuron, from, bias);
        if (exact && from > known) {
            from--;
            continue;
        }
        if (from == known) {
            low = known == 0u ? 0 : state->carried[neuron];
            high = low;
        } else {
            low = layer->lowest;
            high = threshold;
        }
        for (unsigned t = from; t < step; t++) {
            low = fsvae_leak(low) + current[t];
            high = fsvae_leak(high) + current[t];
            if (low > threshold) {
                low = 0;
                high = 0;
            } else if (high > threshold) { /* may or may not have fired */
                low = low < 0 ? low : 0;
                high = threshold;
            }
        }
        low = fsvae_leak(low) + current[step];
        high = fsvae_leak(high) + current[step];
        if (low > threshold || high <= threshold) {
            *membrane = low;
            fires = low > threshold;
            if (fires) {
                low = 0;
                high = 0;
            }
            if (low == high) {
                state->carried[neuron] = (fsvae_membrane)low;
                state->known[neuron] = (uint8_t)(step + 1u);
            }
            return fires;
        }
        from--; /* straddles: from > known here, because a known membrane is a single point */
    }
}

#endif
