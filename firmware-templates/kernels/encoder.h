/* What finds the latent of an image: its pixels' convolution and those of spikes (rules E1 and E2). Copied unchanged.
 *
 * Layer by layer, as in the decoder: a position's neurons run through all T steps while their membranes sit in registers, and
 * the event lists that they read serve every block of channels. Two processors share rows of pixels, and blocks of
 * channels. */
#ifndef FSVAE_ENCODER_H
#define FSVAE_ENCODER_H

#include "prior.h"
#include "td_block.h"

/* The first layer, which sees pixels. */
typedef struct {
    const int8_t *weights; /* outputs x 9 kernel positions x channels */
    const int32_t *params; /* for each output bias and threshold, in units of a 255th of a step */
    uint32_t channels;
    uint32_t outputs;
    uint32_t size;         /* height and width of the image */
    uint8_t row;           /* this layer's row in a trace */
} fsvae_pixel_layer;

/* Rule E1 for the nine pixels that meet in output (oy, ox), position-major; outside of the image lies 0. */
static inline void fsvae_pixel_patch(const fsvae_pixel_layer *layer, const uint8_t *image, uint32_t oy, uint32_t ox,
                                     int16_t *patch)
{
    for (uint32_t ky = 0; ky < 3u; ky++) {
        for (uint32_t kx = 0; kx < 3u; kx++) {
            const uint32_t y = 2u * oy + ky; /* counted from the row before the first */
            const uint32_t x = 2u * ox + kx;
            for (uint32_t i = 0; i < layer->channels; i++) {
                *patch++ = (int16_t)(y == 0u || x == 0u
                                         ? 0
                                         : 2 * image[(i * layer->size + y - 1u) * layer->size + x - 1u] - 255);
            }
        }
    }
}

typedef struct {
    const fsvae_pixel_layer *layer;
    const uint8_t *image;
    int16_t *patch;
    fsvae_train *trains;
    const fsvae_watch *watch;
} fsvae_pixel_job;

/* Every `members`-th row of outputs from `member` on. */
static FSVAE_OUT_OF_LINE void fsvae_pixel_rows(void *work, uint32_t member, uint32_t members)
{
    const fsvae_pixel_job *job = (const fsvae_pixel_job *)work;
    const fsvae_pixel_layer *layer = job->layer;
    fsvae_monitor *monitor = job->watch->monitor;
    const uint32_t taps = 9u * layer->channels;
    const uint32_t out_size = layer->size / 2u;
    const int probed = monitor != NULL && monitor->probe_layer == (int)layer->row;
    int16_t *patch = job->patch + member * taps;
    for (uint32_t oy = member; oy < out_size; oy += members) {
        uint32_t neuron = oy * out_size * layer->outputs;
        for (uint32_t ox = 0; ox < out_size; ox++) {
            const int8_t *weight = layer->weights;
            fsvae_pixel_patch(layer, job->image, oy, ox, patch);
            for (uint32_t o = 0; o < layer->outputs; o++, neuron++) {
                const int32_t threshold = layer->params[2u * o + 1u];
                int32_t current = layer->params[2u * o];
                int32_t carried = 0;
                uint32_t train = 0;
                for (uint32_t i = 0; i < taps; i++) {
                    current += *weight++ * patch[i];
                }
                for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++) {
                    const int32_t u = fsvae_leak(carried) + current;
                    const int fires = u > threshold;
                    train |= (uint32_t)fires << t;
                    carried = fires ? 0 : u;
                    if (probed && monitor->probe_step == (int)t) {
                        fsvae_probe(monitor, neuron, u, fires);
                    }
                }
                job->trains[neuron] = (fsvae_train)train;
            }
        }
    }
}

/* Rules E1 and L1 to L4. The image stands still, so a neuron's sum is added up once and then flows in at every step.
 *
 * patch: room for 2 x 9 x channels. trains: takes (size / 2) x (size / 2) x outputs, position-major. */
static inline void fsvae_pixel_conv(const fsvae_pixel_layer *layer, const uint8_t *image, int16_t *patch,
                                    fsvae_train *trains, const fsvae_watch *watch)
{
    fsvae_pixel_job job = {layer, image, patch, trains, watch};
    fsvae_share(watch, fsvae_pixel_rows, &job);
}

/* Event lists of the three rows of the input map that meet in one row of outputs. */
typedef struct {
    uint16_t *list;  /* 3 x size x T x inputs */
    uint16_t *count; /* 3 x size x T */
} fsvae_event_ring;

static inline void fsvae_list_ring_row(const fsvae_layer *layer, const fsvae_train *in, uint32_t y, uint32_t slot,
                                       const fsvae_event_ring *ring)
{
    for (uint32_t x = 0; x < layer->in_size; x++) {
        const uint32_t position = slot * layer->in_size + x;
        fsvae_list_events(in + (y * layer->in_size + x) * layer->inputs, layer->inputs, fsvae_row_bytes(layer),
                          ring->list + position * FSVAE_TIME_STEPS * layer->inputs,
                          ring->count + position * FSVAE_TIME_STEPS);
    }
}

typedef struct {
    const fsvae_layer *layer;
    const fsvae_event_ring *ring;
    uint32_t slots[3]; /* where the rows 2 oy - 1, 2 oy and 2 oy + 1 are listed */
    uint32_t oy;
    fsvae_train *out;
    const fsvae_watch *watch;
} fsvae_conv_job;

/* Rule E2, turned around: the output at (oy, ox) gathers from the inputs (2 oy + ky - 1, 2 ox + kx - 1), where they exist.
 * Block by block, so that the nine rows of a block's weights stay near while a row of outputs is computed. */
static FSVAE_OUT_OF_LINE void fsvae_td_conv_blocks(void *work, uint32_t member, uint32_t members)
{
    const fsvae_conv_job *job = (const fsvae_conv_job *)work;
    const fsvae_layer *layer = job->layer;
    const uint32_t tap_words = layer->inputs * fsvae_row_words(layer);
    const uint32_t out_size = layer->in_size / 2u;
    for (uint32_t block = member; block < fsvae_blocks(layer); block += members) {
        const uint32_t *weights = layer->weights + block * 9u * tap_words;
        for (uint32_t ox = 0; ox < out_size; ox++) {
            const uint32_t neuron = (job->oy * out_size + ox) * layer->outputs + block * FSVAE_BLOCK;
            fsvae_cursor taps[FSVAE_MOST_TAPS];
            unsigned count = 0;
            for (uint32_t ky = job->oy == 0u ? 1u : 0u; ky < 3u; ky++) {
                for (uint32_t kx = ox == 0u ? 1u : 0u; kx < 3u; kx++) {
                    const uint32_t position = job->slots[ky] * layer->in_size + 2u * ox + kx - 1u;
                    taps[count].rows = weights + (ky * 3u + kx) * tap_words;
                    taps[count].list = job->ring->list + position * FSVAE_TIME_STEPS * layer->inputs;
                    taps[count].count = job->ring->count + position * FSVAE_TIME_STEPS;
                    count++;
                }
            }
            fsvae_td_block(layer, block, taps, count, job->out + neuron, neuron, job->watch);
        }
    }
}

/* A whole convolution, map to map. Not to be repeated for each layer: that would be kilobytes. */
static FSVAE_OUT_OF_LINE void fsvae_td_conv(const fsvae_layer *layer, const fsvae_train *in,
                                            const fsvae_event_ring *ring, fsvae_train *out, const fsvae_watch *watch)
{
    fsvae_conv_job job = {layer, ring, {0, 1, 2}, 0, out, watch};
    for (; job.oy < layer->in_size / 2u; job.oy++) {
        const uint32_t above = job.slots[0];
        fsvae_list_ring_row(layer, in, 2u * job.oy, job.slots[1], ring);
        fsvae_list_ring_row(layer, in, 2u * job.oy + 1u, job.slots[2], ring);
        fsvae_share(watch, fsvae_td_conv_blocks, &job);
        job.slots[0] = job.slots[2]; /* the lowest row is the next one's highest */
        job.slots[2] = job.slots[1];
        job.slots[1] = above;
    }
}

/* One step of a hidden layer of the posterior, its rows read where they lie. As fsvae_td_linear_step(), and not to be repeated
 * for each layer either. */
static FSVAE_OUT_OF_LINE void fsvae_posterior_step(const fsvae_layer *layer, fsvae_membrane *carried, const uint16_t *list,
                                                   uint32_t count, uint8_t *fired, unsigned step,
                                                   const fsvae_watch *watch)
{
    fsvae_cursor taps[FSVAE_MOST_STEP_TAPS];
    uint16_t kept;
    unsigned tap_count = fsvae_rows_in_place(layer, list, count, &kept, taps);
    fsvae_td_linear_step(layer, carried, taps, tap_count, fired, step, watch);
}

/* Rule E4: the inputs of the posterior at a step, as events `scale` apart: of the image's spikes, then of z one step before.
 * seen: one train for each of `channels`. z: the channels that fired, ascending. Returns how many. */
static inline uint32_t fsvae_list_posterior(const fsvae_train *seen, uint32_t channels, unsigned step, const uint16_t *z,
                                            uint32_t z_count, uint32_t scale, uint16_t *list)
{
    uint32_t count = 0;
    for (uint32_t c = 0; c < channels; c++) {
        if ((((uint32_t)seen[c] >> step) & 1u) != 0u) {
            list[count++] = (uint16_t)(c * scale);
        }
    }
    for (uint32_t i = 0; i < z_count; i++) {
        list[count++] = (uint16_t)((channels + z[i]) * scale);
    }
    return count;
}

#endif
