/* The autoregressive prior (rule P1), step by step because each step's input is the step before. Copied unchanged.
 *
 * Hidden layers run in full. Of the last layer, k times as wide as the latent, only the chosen neurons matter, and the
 * choices are known before the network runs: a chosen neuron is evaluated when it is chosen, and only then. */
#ifndef FSVAE_PRIOR_H
#define FSVAE_PRIOR_H

#include "row_cache.h"

/* One step of a hidden layer, eight channels at a time.
 *
 * carried: one membrane for each output, kept between steps. taps: this step's inputs, block 0. fired: takes one byte for each
 * block, bit c for its channel c (rule T1). */
static inline void fsvae_td_linear_step(const fsvae_layer *layer, fsvae_membrane *carried, const fsvae_cursor *taps,
                                        unsigned tap_count, uint8_t *fired, unsigned step, const fsvae_watch *watch)
{
    for (uint32_t block = 0; block < fsvae_blocks(layer); block++) {
        uint32_t first = block * FSVAE_BLOCK;
        uint32_t channels = layer->outputs - first < FSVAE_BLOCK ? layer->outputs - first : FSVAE_BLOCK;
        fsvae_cell cells[FSVAE_BLOCK];
        int32_t membranes[FSVAE_BLOCK];
        fsvae_sums sums;
        fsvae_cursor block_taps[FSVAE_MOST_STEP_TAPS];
        const fsvae_cursor *end = block_taps + tap_count;
        uint32_t bits = 0;
        fsvae_load_cells(layer, block, cells);
        for (unsigned tap = 0; tap < tap_count; tap++) {
            block_taps[tap] = taps[tap];
            block_taps[tap].rows += block * layer->block_words;
        }
        if (layer->kernel != FSVAE_KERNEL_PLAIN) {
            fsvae_lanes lanes;
            fsvae_gather_lanes(layer, &lanes, block_taps, end, 0);
            fsvae_unpack(&lanes, &sums);
        } else {
            fsvae_gather_plain(&sums, block_taps, end, 0, layer->weight_bits);
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
#if defined(FSVAE_ARMV7EM)
        for (uint32_t bits = fired[i]; bits != 0u; bits &= bits - 1u) { /* from spike to spike */
            *next++ = (uint16_t)(event + (uint32_t)__builtin_ctz(bits) * scale);
            count++;
        }
#else
        for (uint32_t bits = fired[i]; bits != 0u; bits >>= 1, event += scale) {
            if ((bits & 1u) != 0u) {
                *next++ = (uint16_t)event;
                count++;
            }
        }
#endif
    }
    if (wide != 0u) {
        fsvae_seal_list(list, count, 0);
    }
    return count;
}

/* The last layer, evaluated neuron by neuron. Each neuron has a row: its inputs' weights, then bias and threshold as in
 * fsvae_layer. All that an evaluation needs of the constants is thus read in one piece. */
typedef struct {
    const uint32_t *rows;    /* outputs x row_words */
    const int16_t *sums;     /* outputs: half the sum of all weights of a row, rounded down; NULL: they take more bits */
    uint32_t row_words;
    uint32_t weight_words;   /* of them weights. 8 bits, with 128 added: input i in byte i; 4 bits, with 8 added: see
                              * fsvae_spread_nibbles */
    uint32_t inputs;
    uint32_t outputs;
    int32_t lowest;          /* no membrane is ever below this (rule B2) */
    uint8_t weight_bits;
    uint8_t fraction_bits;
    uint8_t wide_params;
    uint8_t row;
} fsvae_lazy_layer;

/* Choices that are evaluated at the same time: one for each of two processors. */
#define FSVAE_MOST_ABREAST 2u

typedef struct {
    fsvae_lazy_layer layer;  /* a copy: the original may be out of reach */
    fsvae_watch watch;       /* likewise */
    fsvae_fetcher fetcher;   /* likewise; begin NULL: none, and rows are read where they lie */
    fsvae_membrane *carried; /* outputs: membrane after the last step whose outcome is known exactly */
    uint8_t *known;          /* outputs: how many steps are known; 0: none, the neuron rests at 0 */
    const uint16_t *events;  /* T x inputs: the inputs that fired, step by step, as fsvae_lazy_prepare() leaves them */
    const uint16_t *count;   /* T */
    uint32_t *fetched[2][FSVAE_MOST_ABREAST]; /* row_words each: rows that are evaluated and those under way, in turns */
    uint32_t *spread[FSVAE_MOST_ABREAST];     /* 4 bits: the row's weights in bytes */
    uint32_t turn;           /* which of `fetched` are evaluated next */
    uint32_t abreast;        /* 1, or 2 where two processors share the work */
#if defined(FSVAE_ARMV7EM)
    const uint32_t *masks[FSVAE_TIME_STEPS]; /* of a step's events: see fsvae_lazy_prepare(); NULL: there are none */
    int32_t offset[FSVAE_TIME_STEPS];        /* what fsvae_lazy_sum() adds to a distance */
#endif
} fsvae_lazy_state;

/* Sum of the bytes of a row that the events name. */
#if defined(FSVAE_ARMV6M)
uint32_t fsvae_sum_bytes(const uint8_t *row, const uint16_t *event, uint32_t count);
#else
static FSVAE_RAM_CODE("fsvae_sum_bytes") uint32_t fsvae_sum_bytes(const uint8_t *row, const uint16_t *event,
                                                                  uint32_t count)
{
    uint32_t sum = 0;
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
#endif

#if defined(FSVAE_ARMV7EM)
/* Sum of the differences between the bytes of a row and masks, each without its sign. inputs: a multiple of 16. 6
 * instructions for sixteen inputs, where an event takes 3. */
uint32_t fsvae_distance(const uint32_t *row, const uint32_t *masks, uint32_t inputs);
#endif

static FSVAE_INLINE int32_t fsvae_lazy_bias(const fsvae_lazy_layer *layer)
{
    return layer->weight_bits == 8u ? 128 : 8;
}

/* Makes a step's events ready for as many sums as they take part in. events: room for all inputs, of which `count`,
 * ascending, are there.
 *
 * On ARMv7E-M many events become masks: for each input a byte, 0 where it fired and 255 elsewhere. They come to lie in the
 * second half of the room, written from the last one on: event i, at byte 2i, is read before anything is written there. */
static inline void fsvae_lazy_prepare(fsvae_lazy_state *state, unsigned step, uint16_t *events, uint32_t count)
{
#if defined(FSVAE_ARMV7EM)
    const uint32_t inputs = state->layer.inputs;
    state->masks[step] = NULL;
    if (state->layer.sums != NULL && inputs % 16u == 0u && 8u * count >= inputs) {
        const int32_t bias = fsvae_lazy_bias(&state->layer);
        uint32_t *words = (uint32_t *)(void *)(events + inputs / 2u);
        uint8_t *masks = (uint8_t *)words;
        uint32_t i = inputs;
        state->masks[step] = words;
        state->offset[step] = (bias - 255) * (int32_t)inputs + (255 - 2 * bias) * (int32_t)count + 1;
        while (count > inputs / 2u) { /* what of the events lies where the masks will */
            uint32_t event = events[--count];
            while (--i != event) {
                masks[i] = 0xff;
            }
            masks[i] = 0;
        }
        while (i % 4u != 0u) {
            masks[--i] = 0xff;
        }
        while (i != 0u) {
            i -= 4u;
            words[i / 4u] = 0xffffffffu;
        }
        while (count != 0u) {
            masks[events[--count]] = 0;
        }
    }
#else
    (void)state;
    (void)step;
    (void)events;
    (void)count;
#endif
}

/* What the events of a step sum up to. row: biased bytes of `neuron`.
 *
 * The distance to the masks is the sum of the bytes that fired, plus 255 for each of the others, less their bytes. With the
 * sum of all bytes on top, which depends on the neuron alone, those cancel, and twice the sum wanted is left: an even number,
 * so that of the neuron's sum half is enough. No byte is masked, and nothing but adding is done for each. */
static FSVAE_INLINE int32_t fsvae_lazy_sum(const fsvae_lazy_state *state, const uint32_t *row, uint32_t neuron,
                                           unsigned step, int32_t count)
{
    const fsvae_lazy_layer *layer = &state->layer;
#if defined(FSVAE_ARMV7EM)
    if (state->masks[step] != NULL) {
        int32_t distance = (int32_t)fsvae_distance(row, state->masks[step], layer->inputs);
        return (distance + 2 * layer->sums[neuron] + state->offset[step]) >> 1;
    }
#else
    (void)neuron;
#endif
    return (int32_t)fsvae_sum_bytes((const uint8_t *)row, state->events + step * layer->inputs, (uint32_t)count) -
           fsvae_lazy_bias(layer) * count;
}

/* A row of nibbles as bytes, so that it can be summed as one, as often as the neuron looks back. Nibble n of a word is
 * input n of eight in the order 0, 4, 1, 5, 2, 6, 3, 7: two masks make two words of it. */
static FSVAE_INLINE void fsvae_spread_nibbles(const uint32_t *row, uint32_t words, uint32_t *bytes)
{
    for (const uint32_t *end = row + words; row != end; bytes += 2) {
        uint32_t word = *row++;
        bytes[0] = word & 0x0f0f0f0fu;
        bytes[1] = (word >> 4) & 0x0f0f0f0fu;
    }
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
static FSVAE_INLINE int fsvae_lazy_fires(fsvae_lazy_state *state, const uint32_t *row, uint32_t *spread,
                                         uint32_t neuron, unsigned step, int exact, int32_t *membrane)
{
    const fsvae_lazy_layer *layer = &state->layer;
    const uint32_t *params = row + layer->weight_words;
    const uint32_t *weights = row;
    const int32_t unit = (int32_t)(1u << layer->fraction_bits);
    int32_t current[FSVAE_TIME_STEPS];
    int32_t bias, threshold, low, high;
    unsigned known = state->known[neuron];
    unsigned from = step;
    if (layer->wide_params != 0u) {
        bias = (int32_t)params[0];
        threshold = (int32_t)params[1];
    } else {
        bias = fsvae_s16(params[0]);
        threshold = fsvae_high_s16(params[0]);
    }
    if (layer->weight_bits != 8u) {
        fsvae_spread_nibbles(row, layer->weight_words, spread);
        weights = spread;
    }
    for (;;) {
        int fires;
        int32_t count = state->count[from];
        int32_t sum = fsvae_lazy_sum(state, weights, neuron, from, count);
        current[from] = sum * unit + bias;
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

static FSVAE_INLINE uint32_t fsvae_lazy_neuron(uint32_t channel, uint32_t choice)
{
    return channel * FSVAE_CHOICES + choice;
}

/* Choices that are evaluated at the same time, from `channel` on. */
typedef struct {
    fsvae_lazy_state *state;
    const uint8_t *choices; /* of this step, by channel */
    const uint32_t *second; /* NULL, or a row to fetch after the one under way */
    uint32_t channel;
    uint32_t last;          /* channel that is not evaluated */
    unsigned step;
    int exact;
    uint8_t fires[FSVAE_MOST_ABREAST];
    int32_t membrane[FSVAE_MOST_ABREAST];
} fsvae_lazy_job;

static FSVAE_RAM_CODE("fsvae_lazy_member") void fsvae_lazy_member(void *work, uint32_t member, uint32_t members)
{
    fsvae_lazy_job *job = (fsvae_lazy_job *)work;
    fsvae_lazy_state *state = job->state;
    const uint32_t channel = job->channel + member;
    (void)members;
    if (channel < job->last) {
        const uint32_t neuron = fsvae_lazy_neuron(channel, job->choices[channel]);
        const uint32_t *row = state->fetcher.begin != NULL ? state->fetched[state->turn][member]
                                                           : state->layer.rows + neuron * state->layer.row_words;
        job->fires[member] = (uint8_t)fsvae_lazy_fires(state, row, state->spread[member], neuron, job->step, job->exact,
                                                       &job->membrane[member]);
    }
    if (member == 0u && job->second != NULL) {
        state->fetcher.wait();
        state->fetcher.begin(state->fetched[state->turn ^ 1u][1], job->second, state->layer.row_words);
    }
}

/* The choices of channels first .. last - 1 at a step, while the rows of those after them are fetched. choices: of this
 * step, followed by those of the next. fired: takes the channels that fire; their number is returned. */
static FSVAE_RAM_CODE("fsvae_lazy_run") uint32_t fsvae_lazy_run(fsvae_lazy_state *state, const uint8_t *choices,
                                                                uint32_t first, uint32_t last, unsigned step, int exact,
                                                                int32_t *membrane, uint16_t *fired)
{
    fsvae_lazy_job job;
    uint32_t count = 0;
    job.state = state;
    job.choices = choices;
    job.last = last;
    job.step = step;
    job.exact = exact;
    for (job.channel = first; job.channel < last; job.channel += state->abreast) {
        uint32_t next = job.channel + state->abreast; /* where it leaves this step, counted on into the next one's choices */
        int under_way = 0;
        if (next >= FSVAE_LATENT_CHANNELS) {
            next = FSVAE_LATENT_CHANNELS;
        }
        job.second = NULL;
        if (state->fetcher.begin != NULL && (next != FSVAE_LATENT_CHANNELS || step + 1u != FSVAE_TIME_STEPS)) {
            const uint32_t channel = next != FSVAE_LATENT_CHANNELS ? next : 0u;
            const fsvae_lazy_layer *layer = &state->layer;
            state->fetcher.begin(state->fetched[state->turn ^ 1u][0],
                                 layer->rows + fsvae_lazy_neuron(channel, choices[next]) * layer->row_words,
                                 layer->row_words);
            if (state->abreast > 1u && channel + 1u < FSVAE_LATENT_CHANNELS) {
                job.second = layer->rows + fsvae_lazy_neuron(channel + 1u, choices[next + 1u]) * layer->row_words;
            }
            under_way = 1;
        }
        fsvae_share(&state->watch, fsvae_lazy_member, &job);
        if (under_way) {
            state->fetcher.wait();
        }
        state->turn ^= 1u;
        for (uint32_t member = 0; member < state->abreast && job.channel + member < last; member++) {
            if (job.fires[member] != 0u) {
                fired[count++] = (uint16_t)(job.channel + member);
            }
        }
    }
    *membrane = job.membrane[0];
    return count;
}

/* Before the first choices. The state's buffers are set. */
static inline void fsvae_lazy_begin(fsvae_lazy_state *state, const fsvae_lazy_layer *layer, const uint8_t *choices,
                                    const fsvae_watch *watch)
{
    state->layer = *layer;
    state->watch = *watch;
    state->fetcher = fsvae_fetcher_in_ram(watch->fetcher);
    state->turn = 0;
    state->abreast = watch->both != NULL ? FSVAE_MOST_ABREAST : 1u;
    for (uint32_t i = 0; i < layer->outputs; i++) {
        state->known[i] = 0;
    }
    for (uint32_t c = 0; watch->fetcher != NULL && c < state->abreast && c < FSVAE_LATENT_CHANNELS; c++) {
        fsvae_fetch(watch->fetcher, state->fetched[0][c],
                    layer->rows + fsvae_lazy_neuron(c, choices[c]) * layer->row_words, layer->row_words);
    }
}

/* One step of the latent: which channels fire, in order, in `fired`; their number is returned. choices: as above. */
static inline uint32_t fsvae_lazy_step(fsvae_lazy_state *state, const uint8_t *choices, unsigned step, uint16_t *fired,
                                       const fsvae_watch *watch)
{
    uint32_t (*volatile run)(fsvae_lazy_state *, const uint8_t *, uint32_t, uint32_t, unsigned, int, int32_t *,
                             uint16_t *) = fsvae_lazy_run;
    int32_t membrane;
    uint32_t count = 0;
    if (!fsvae_probing(watch, state->layer.row, step)) {
#if defined(FSVAE_ARMV7EM)
        if (state->fetcher.begin == NULL && state->watch.both == NULL) { /* nothing to wait for, nobody to share with */
            const uint32_t row_words = state->layer.row_words;
            for (uint32_t c = 0; c < FSVAE_LATENT_CHANNELS; c++) {
                const uint32_t neuron = fsvae_lazy_neuron(c, choices[c]);
                if (fsvae_lazy_fires(state, state->layer.rows + neuron * row_words, state->spread[0], neuron, step, 0,
                                     &membrane)) {
                    fired[count++] = (uint16_t)c;
                }
            }
            return count;
        }
#endif
        return run(state, choices, 0, FSVAE_LATENT_CHANNELS, step, 0, &membrane, fired);
    }
    for (uint32_t c = 0; c < FSVAE_LATENT_CHANNELS; c++) {
        uint32_t fires = run(state, choices, c, c + 1u, step, 1, &membrane, fired + count);
        fsvae_probe(watch->monitor, c, membrane, fires != 0u);
        count += fires;
    }
    return count;
}

#endif
