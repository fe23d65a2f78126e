/* From spike trains to pixels (rules R1 to R4). Copied unchanged.
 *
 * The last convolution and the output membrane are linear: each train becomes one small integer, looked up by its
 * bytes, and one convolution of those replaces T convolutions of spikes. */
#ifndef FSVAE_READOUT_H
#define FSVAE_READOUT_H

#include "layer.h"

#define FSVAE_TRAIN_BYTES ((FSVAE_TIME_STEPS + 7) / 8)
#define FSVAE_PIXEL_THRESHOLDS 255

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

static inline void fsvae_weight_trains(const uint16_t *tables, const fsvae_train *trains, uint32_t count, uint16_t *weighted)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t train = trains[i];
        uint32_t sum = tables[train & 0xffu];
        for (unsigned byte = 1; byte < FSVAE_TRAIN_BYTES; byte++) {
            sum += tables[byte * 256u + ((train >> (8u * byte)) & 0xffu)];
        }
        weighted[i] = (uint16_t)sum;
    }
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

static FSVAE_OUT_OF_LINE int32_t fsvae_readout_dot(const fsvae_readout_layer *layer, uint32_t first, const uint16_t *weighted)
{
    int32_t sum = 0;
    if (layer->weight_bits == 8u) {
        const int8_t *weight = layer->weights + first;
        uint32_t i = layer->inputs;
        for (; i >= 4u; i -= 4u, weight += 4, weighted += 4) {
            sum += weight[0] * (int32_t)weighted[0];
            sum += weight[1] * (int32_t)weighted[1];
            sum += weight[2] * (int32_t)weighted[2];
            sum += weight[3] * (int32_t)weighted[3];
        }
        for (; i != 0u; i--) {
            sum += *weight++ * (int32_t)*weighted++;
        }
    } else {
        for (uint32_t i = 0; i < layer->inputs; i++) {
            uint32_t at = first + i;
            uint32_t nibble = (((uint32_t)(uint8_t)layer->weights[at >> 1]) >> ((at & 1u) * 4u)) & 15u;
            sum += ((int32_t)nibble - 8) * (int32_t)weighted[i];
        }
    }
    return sum;
}

/* Rules R2 and R4 for one row of pixels.
 *
 * ring: the weighted spikes of rows y - 1, y, y + 1 (where they exist), row r at slot r & 3. image: channel-major. */
static inline void fsvae_readout_row(const fsvae_readout_layer *layer, const uint16_t *ring, uint32_t y, uint8_t *image)
{
    uint32_t row_length = layer->size * layer->inputs;
    for (uint32_t o = 0; o < layer->channels; o++) {
        for (uint32_t x = 0; x < layer->size; x++) {
            int32_t membrane = layer->bias[o];
            for (uint32_t ky = 0; ky < 3u; ky++) {
                uint32_t from_y = y + 1u - ky; /* wraps above the map: then larger than any row */
                if (from_y >= layer->size) {
                    continue;
                }
                for (uint32_t kx = 0; kx < 3u; kx++) {
                    uint32_t from_x = x + 1u - kx;
                    if (from_x >= layer->size) {
                        continue;
                    }
                    membrane += fsvae_readout_dot(layer, ((o * 3u + ky) * 3u + kx) * layer->inputs,
                                                  ring + (from_y & 3u) * row_length + from_x * layer->inputs);
                }
            }
            image[(o * layer->size + y) * layer->size + x] =
                fsvae_pixel(layer->thresholds + o * FSVAE_PIXEL_THRESHOLDS, membrane);
        }
    }
}

#endif
