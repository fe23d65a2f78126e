/* Eight neurons at one position, over all time steps (rules S2, S3, L1 to L4). Copied unchanged.
 *
 * Layer by layer instead of step by step: a spiking layer needs nothing from the layer after it, so one neuron can run
 * through all T steps while its membrane sits in a register, and its spikes leave as one word, its spike train. No map
 * of membranes exists anywhere, and the block's weights are read T times while they are near. */
#ifndef FSVAE_TD_BLOCK_H
#define FSVAE_TD_BLOCK_H

#include "layer.h"

/* Most kernel positions that meet in one output (rule S3; with an encoder the including file says more). */
#ifndef FSVAE_MOST_TAPS
#define FSVAE_MOST_TAPS 4
#endif

/* Rules L2 to L4 for the eight neurons, sums in lanes. Written out: no index, no loop, one base register. */
static inline void fsvae_lif_lanes(fsvae_cell cells[FSVAE_BLOCK], const fsvae_lanes *sums, unsigned fraction_bits,
                                   uint32_t bit)
{
    fsvae_lif(&cells[0], fsvae_low_sum(sums->lane[0]), fraction_bits, bit);
    fsvae_lif(&cells[1], fsvae_high_sum(sums->lane[0]), fraction_bits, bit);
    fsvae_lif(&cells[2], fsvae_low_sum(sums->lane[1]), fraction_bits, bit);
    fsvae_lif(&cells[3], fsvae_high_sum(sums->lane[1]), fraction_bits, bit);
    fsvae_lif(&cells[4], fsvae_low_sum(sums->lane[2]), fraction_bits, bit);
    fsvae_lif(&cells[5], fsvae_high_sum(sums->lane[2]), fraction_bits, bit);
    fsvae_lif(&cells[6], fsvae_low_sum(sums->lane[3]), fraction_bits, bit);
    fsvae_lif(&cells[7], fsvae_high_sum(sums->lane[3]), fraction_bits, bit);
}

/* All steps, sums in 16-bit lanes. fraction_bits: the layer's; its callers pass a constant 0 where it is 0. */
static inline void fsvae_run_lanes(const fsvae_layer *layer, fsvae_cell cells[FSVAE_BLOCK], fsvae_cursor *taps,
                                   const fsvae_cursor *end, unsigned fraction_bits, uint32_t neuron, uint32_t channels,
                                   const fsvae_watch *watch)
{
    uint32_t stride = 2u * layer->inputs;
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
        fsvae_lanes lanes;
        fsvae_gather_lanes(layer, &lanes, taps, end, stride);
        if (fsvae_probing(watch, layer->row, t)) {
            int32_t membranes[FSVAE_BLOCK];
            fsvae_sums sums;
            fsvae_unpack(&lanes, &sums);
            fsvae_membranes(cells, &sums, fraction_bits, membranes);
            fsvae_lif_lanes(cells, &lanes, fraction_bits, (uint32_t)1 << t);
            fsvae_probe_block(watch, cells, membranes, (uint32_t)1 << t, neuron, channels);
        } else {
            fsvae_lif_lanes(cells, &lanes, fraction_bits, (uint32_t)1 << t);
        }
    }
}

/* All steps, plain 32-bit sums. */
static inline void fsvae_run_plain(const fsvae_layer *layer, fsvae_cell cells[FSVAE_BLOCK], fsvae_cursor *taps,
                                   const fsvae_cursor *end, uint32_t neuron, uint32_t channels,
                                   const fsvae_watch *watch)
{
    uint32_t stride = 2u * layer->inputs;
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
        fsvae_sums sums;
        int32_t membranes[FSVAE_BLOCK];
        fsvae_gather_plain(&sums, taps, end, stride, layer->weight_bits);
        fsvae_membranes(cells, &sums, layer->fraction_bits, membranes);
        for (unsigned c = 0; c < FSVAE_BLOCK; c++) {
            fsvae_lif(&cells[c], sums.sum[c], layer->fraction_bits, (uint32_t)1 << t);
        }
        if (fsvae_probing(watch, layer->row, t)) {
            fsvae_probe_block(watch, cells, membranes, (uint32_t)1 << t, neuron, channels);
        }
    }
}

#if defined(FSVAE_ARMV6M) && FSVAE_LEAK_MULTIPLIER == 1 && FSVAE_LEAK_SHIFT == 2
#define FSVAE_HAS_RUN_BYTES 1

/* In assembly: the steps whose bits are `first` up to before `last`, for 8-bit weights, lanes, F = 0 and tau = 1/4. */
void fsvae_run_bytes(fsvae_cell *cells, fsvae_cursor *cursor, const fsvae_cursor *end, uint32_t stride, uint32_t first,
                     uint32_t last);

/* All steps. A probe's membranes are taken from before its step; its spikes are those that the assembly sets. */
static inline void fsvae_run_assembly(const fsvae_layer *layer, fsvae_cell cells[FSVAE_BLOCK], fsvae_cursor *taps,
                                      const fsvae_cursor *end, uint32_t neuron, uint32_t channels,
                                      const fsvae_watch *watch)
{
    const uint32_t past = (uint32_t)((uint64_t)1 << FSVAE_TIME_STEPS);
    uint32_t stride = 2u * layer->inputs;
    uint32_t bit = 1;
    if (watch->monitor != NULL && watch->monitor->probe_layer == (int)layer->row) {
        uint32_t step = (uint32_t)1 << watch->monitor->probe_step;
        fsvae_cursor ahead[FSVAE_MOST_TAPS];
        int32_t membranes[FSVAE_BLOCK];
        fsvae_lanes lanes;
        fsvae_sums sums;
        if (step != 1u) {
            fsvae_run_bytes(cells, taps, end, stride, 1, step);
        }
        for (uint32_t i = 0; taps + i != end; i++) {
            ahead[i] = taps[i];
        }
        fsvae_gather_lanes(layer, &lanes, ahead, ahead + (end - taps), stride);
        fsvae_unpack(&lanes, &sums);
        fsvae_membranes(cells, &sums, 0, membranes);
        bit = step << 1;
        fsvae_run_bytes(cells, taps, end, stride, step, bit);
        fsvae_probe_block(watch, cells, membranes, step, neuron, channels);
    }
    if (bit != past) {
        fsvae_run_bytes(cells, taps, end, stride, bit, past);
    }
}
#endif

/* taps: one cursor for each kernel position, at step 0; used up. trains: one for each of the block's channels that exists.
 * neuron: index of the first, for probes. */
static inline void fsvae_td_block(const fsvae_layer *layer, uint32_t block, fsvae_cursor *taps, unsigned tap_count,
                                  fsvae_train *trains, uint32_t neuron, const fsvae_watch *watch)
{
    fsvae_cell cells[FSVAE_BLOCK];
    const fsvae_cursor *end = taps + tap_count;
    uint32_t channels = layer->outputs - block * FSVAE_BLOCK;
    if (channels > FSVAE_BLOCK) {
        channels = FSVAE_BLOCK;
    }
    fsvae_load_cells(layer, block, cells);
    if (layer->kernel == FSVAE_KERNEL_PLAIN) {
        fsvae_run_plain(layer, cells, taps, end, neuron, channels, watch);
#if defined(FSVAE_HAS_RUN_BYTES)
    } else if (layer->weight_bits == 8u && layer->fraction_bits == 0u) {
        fsvae_run_assembly(layer, cells, taps, end, neuron, channels, watch);
#endif
    } else if (layer->fraction_bits == 0u) {
        fsvae_run_lanes(layer, cells, taps, end, 0, neuron, channels, watch);
    } else {
        fsvae_run_lanes(layer, cells, taps, end, layer->fraction_bits, neuron, channels, watch);
    }
    for (uint32_t c = 0; c < channels; c++) {
        trains[c] = (fsvae_train)cells[c].train;
    }
}

/* A linear layer over all steps: one position, one tap. Trains of all outputs, in order. */
static inline void fsvae_td_linear(const fsvae_layer *layer, fsvae_events events, fsvae_train *trains,
                            const fsvae_watch *watch)
{
    uint32_t block_words = layer->inputs * fsvae_row_words(layer);
    for (uint32_t block = 0; block < fsvae_blocks(layer); block++) {
        fsvae_cursor tap;
        tap.rows = layer->weights + block * block_words;
        tap.list = events.list;
        tap.count = events.count;
        fsvae_td_block(layer, block, &tap, 1, trains + block * FSVAE_BLOCK, block * FSVAE_BLOCK, watch);
    }
}

/* Event lists of two neighbouring rows of the input map. Rows with an even y in the first half, odd in the second. */
typedef struct {
    uint16_t *list;  /* 2 x size x T x inputs */
    uint16_t *count; /* 2 x size x T */
} fsvae_event_rows;

static inline fsvae_events fsvae_position_events(const fsvae_layer *layer, const fsvae_event_rows *rows, uint32_t y,
                                          uint32_t x)
{
    uint32_t position = (y & 1u) * layer->in_size + x;
    fsvae_events events;
    events.list = rows->list + position * FSVAE_TIME_STEPS * layer->inputs;
    events.count = rows->count + position * FSVAE_TIME_STEPS;
    return events;
}

static inline void fsvae_list_row(const fsvae_layer *layer, const fsvae_train *in, uint32_t y, const fsvae_event_rows *rows)
{
    for (uint32_t x = 0; x < layer->in_size; x++) {
        uint32_t position = (y & 1u) * layer->in_size + x;
        fsvae_list_events(in + (y * layer->in_size + x) * layer->inputs, layer->inputs, fsvae_row_bytes(layer),
                          rows->list + position * FSVAE_TIME_STEPS * layer->inputs,
                          rows->count + position * FSVAE_TIME_STEPS);
    }
}

/* Rule S3, turned around: the output at (2y + py, 2x + px) gathers from at most four inputs. An even output coordinate
 * sees kernel index 1 of input y; an odd one sees index 2 of input y and index 0 of input y + 1, where that exists.
 *
 * Writes output rows 2y and 2y + 1 (each 2 * in_size positions x outputs) from input rows y and y + 1, which
 * fsvae_list_row() has listed. Block by block, so that the nine rows of a block's weights stay near. */
static inline void fsvae_td_conv_transpose_rows(const fsvae_layer *layer, const fsvae_event_rows *events, uint32_t y,
                                         fsvae_train *out, const fsvae_watch *watch)
{
    uint32_t tap_words = layer->inputs * fsvae_row_words(layer);
    uint32_t out_size = 2u * layer->in_size;
    for (uint32_t block = 0; block < fsvae_blocks(layer); block++) {
        const uint32_t *weights = layer->weights + block * 9u * tap_words;
        for (uint32_t py = 0; py < 2u; py++) {
            for (uint32_t ox = 0; ox < out_size; ox++) {
                fsvae_cursor taps[FSVAE_MOST_TAPS];
                unsigned count = 0;
                uint32_t position = py * out_size + ox;
                for (uint32_t dy = 0; dy <= py && y + dy < layer->in_size; dy++) {
                    uint32_t ky = py == 0u ? 1u : 2u - 2u * dy;
                    for (uint32_t dx = 0; dx <= (ox & 1u) && (ox >> 1) + dx < layer->in_size; dx++) {
                        uint32_t kx = (ox & 1u) == 0u ? 1u : 2u - 2u * dx;
                        fsvae_events at = fsvae_position_events(layer, events, y + dy, (ox >> 1) + dx);
                        taps[count].rows = weights + (ky * 3u + kx) * tap_words;
                        taps[count].list = at.list;
                        taps[count].count = at.count;
                        count++;
                    }
                }
                fsvae_td_block(layer, block, taps, count, out + position * layer->outputs + block * FSVAE_BLOCK,
                               (2u * y * out_size + position) * layer->outputs + block * FSVAE_BLOCK, watch);
            }
        }
    }
}

/* A whole transposed convolution, map to map. */
static inline void fsvae_td_conv_transpose(const fsvae_layer *layer, const fsvae_train *in, const fsvae_event_rows *events,
                                    fsvae_train *out, const fsvae_watch *watch)
{
    fsvae_list_row(layer, in, 0, events);
    for (uint32_t y = 0; y < layer->in_size; y++) {
        if (y + 1u < layer->in_size) {
            fsvae_list_row(layer, in, y + 1u, events);
        }
        fsvae_td_conv_transpose_rows(layer, events, y, out + 4u * y * layer->in_size * layer->outputs, watch);
    }
}

#endif
