/* Rows of a hidden layer of the prior, kept in RAM from step to step. Copied unchanged.
 *
 * Every step reads the rows of the inputs that fire, and mostly the same inputs fire again. So a cached layer's weights lie
 * input by input, each input's rows of all blocks in one piece, and a piece is copied into RAM when its input fires for the
 * first time. Where there are fewer slots than inputs, the piece goes whose input last fired longest ago. If more inputs
 * fire in one step than there are slots, the rest are read where they lie. */
#ifndef FSVAE_ROW_CACHE_H
#define FSVAE_ROW_CACHE_H

#include "fetch.h"
#include "wide.h"

/* Kernel positions that a step's events are given as: what is in RAM, and up to three ranges of what is not, because an
 * event reaches 65,535 bytes. The plan caches no layer that takes more. */
#define FSVAE_MOST_STEP_TAPS 4

typedef struct {
    const fsvae_layer *layer;
    uint32_t *rows;       /* slots x piece_words */
    uint16_t *slot_of;    /* inputs: where its piece is, FSVAE_NO_SLOT: nowhere */
    uint16_t *input_of;   /* slots: whose piece it holds */
    uint8_t *used;        /* slots: 1 + the step of its last use */
    uint16_t *in_place;   /* inputs, and a list's head for each range: events that have no slot */
    uint32_t slots;
    uint32_t filled;      /* slots that hold something */
    uint32_t piece_words; /* of all blocks of one input */
    uint16_t count[FSVAE_MOST_STEP_TAPS];
} fsvae_row_cache;

#define FSVAE_NO_SLOT 0xffffu

static inline void fsvae_cache_begin(fsvae_row_cache *cache, const fsvae_layer *layer, uint32_t slots,
                                     uint32_t piece_words)
{
    cache->layer = layer;
    cache->slots = slots;
    cache->filled = 0;
    cache->piece_words = piece_words;
    for (uint32_t i = 0; i < layer->inputs; i++) {
        cache->slot_of[i] = FSVAE_NO_SLOT;
    }
}

/* A slot for one more piece, free or freed of one that this step does not use; FSVAE_NO_SLOT where there is none. */
static inline uint32_t fsvae_cache_slot(fsvae_row_cache *cache, unsigned step)
{
    uint32_t oldest = 0;
    if (cache->filled != cache->slots) {
        return cache->filled++;
    }
    for (uint32_t slot = 1; slot < cache->slots; slot++) {
        if (cache->used[slot] < cache->used[oldest]) {
            oldest = slot;
        }
    }
    if (cache->used[oldest] == step + 1u) {
        return FSVAE_NO_SLOT;
    }
    cache->slot_of[cache->input_of[oldest]] = FSVAE_NO_SLOT;
    return oldest;
}

/* What a step of a layer reads that is not cached: all its rows where they lie. list: as in fsvae_cache_rows(), but of
 * offsets of rows; count: is kept in `kept`. */
static inline unsigned fsvae_rows_in_place(const fsvae_layer *layer, const uint16_t *list, uint32_t count, uint16_t *kept,
                                           fsvae_cursor taps[FSVAE_MOST_STEP_TAPS])
{
    *kept = (uint16_t)count;
    taps[0].rows = layer->weights;
    taps[0].list = list;
    taps[0].count = kept;
    return 1;
}

#if defined(FSVAE_ARMV7EM)
/* Without a fetcher: rows are read where they lie, since a copy costs as many reads as it saves. As fsvae_cache_rows(). */
static inline unsigned fsvae_rows_by_range(fsvae_row_cache *cache, const uint16_t *events, uint32_t head, uint32_t count,
                                           fsvae_cursor taps[FSVAE_MOST_STEP_TAPS])
{
    const uint32_t piece_bytes = 4u * cache->piece_words;
    const uint32_t reach = 65536u / piece_bytes;
    uint16_t *list = cache->in_place;
    unsigned used = 0;
    uint32_t first = 0; /* input of the range's first row */
    uint32_t n = 0;
    do {
        uint16_t *left = list + head;
        for (; n < count && events[n] - first < reach; n++) {
            *left++ = (uint16_t)((events[n] - first) * piece_bytes);
        }
        cache->count[used] = (uint16_t)(left - list - (ptrdiff_t)head);
        if (cache->count[used] != 0u || n == count) {
            taps[used].rows = cache->layer->weights + first * cache->piece_words;
            taps[used].list = list;
            taps[used].count = &cache->count[used];
            if (head != 0u) {
                fsvae_seal_list(list, cache->count[used], 0);
            }
            list = left;
            used++;
        }
        first += reach;
    } while (n < count);
    return used;
}
#endif

/* Sees to it that this step's rows are in RAM.
 *
 * list: the inputs that fire, ascending, `head` halfwords from its start: 0, or FSVAE_LIST_HEAD where the layer is a wide
 * one and the list is sealed. They become offsets of rows. taps: take what the kernel is to read, block 0. Returns how many
 * there are. */
static inline unsigned fsvae_cache_rows(fsvae_row_cache *cache, const fsvae_fetcher *fetcher, uint16_t *list,
                                        uint32_t head, uint32_t count, unsigned step,
                                        fsvae_cursor taps[FSVAE_MOST_STEP_TAPS])
{
    const uint32_t piece_bytes = 4u * cache->piece_words;
    const uint32_t reach = 65536u / piece_bytes; /* inputs that an event can name in place */
    const uint16_t *events = list + head;
    uint16_t *kept = list + head;
    uint16_t *left = cache->in_place;
    uint32_t range = 0;
    unsigned used = 1;
#if defined(FSVAE_ARMV7EM)
    if (fetcher == NULL) {
        return fsvae_rows_by_range(cache, events, head, count, taps);
    }
#endif
    for (uint32_t n = 0; n < count; n++) {
        uint32_t slot = cache->slot_of[events[n]];
        if (slot != FSVAE_NO_SLOT) {
            cache->used[slot] = (uint8_t)(step + 1u);
        }
    }
    for (uint32_t n = 0; n < count; n++) {
        uint32_t input = events[n];
        uint32_t slot = cache->slot_of[input];
        if (slot == FSVAE_NO_SLOT) {
            slot = fsvae_cache_slot(cache, step);
            if (slot == FSVAE_NO_SLOT) {
                if (used == 1u || input / reach != range) {
                    range = input / reach;
                    taps[used].rows = cache->layer->weights + range * reach * cache->piece_words;
                    taps[used].list = left;
                    taps[used].count = &cache->count[used];
                    cache->count[used] = 0;
                    left += head;
                    used++;
                }
                *left++ = (uint16_t)((input - range * reach) * piece_bytes);
                cache->count[used - 1u]++;
                continue;
            }
            cache->slot_of[input] = (uint16_t)slot;
            cache->input_of[slot] = (uint16_t)input;
            cache->used[slot] = (uint8_t)(step + 1u);
            fsvae_fetch(fetcher, cache->rows + slot * cache->piece_words,
                        cache->layer->weights + input * cache->piece_words, cache->piece_words);
        }
        *kept++ = (uint16_t)(slot * piece_bytes);
    }
    cache->count[0] = (uint16_t)(kept - events);
    taps[0].rows = cache->rows;
    taps[0].list = list;
    taps[0].count = &cache->count[0];
    if (head != 0u) {
        uint16_t *each = list;
        for (unsigned tap = 0; tap < used; tap++) {
            fsvae_seal_list(each, cache->count[tap], 0);
            each = tap == 0u ? cache->in_place : each + head + cache->count[tap];
        }
    }
    return used;
}

#endif
