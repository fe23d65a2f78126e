/* Sixteen neurons at a time, two to a word from gathering to firing (rules S2, S3, L1 to L4, B5). Copied unchanged.
 *
 * A wide block is sixteen neighbouring output channels, eight pairs; a pair's low 16 bits are the even channel. Its
 * weights for one input neuron are one row, and an event adds one row:
 *   bytes   four words of biased bytes (weight + 128), read from flash. Channels of word w: 4w, 4w + 2, 4w + 1, 4w + 3.
 *           The even bytes are a pair already, the odd ones after one shift and mask; the whole word is added and the odd
 *           sum times 256 taken off once at the end, which saves the other mask. 25 cycles a row on ARMv6-M.
 *   halves  eight words of pairs, weights in 16 bits with sign, expanded into RAM before the layer runs: no shift, no
 *           mask, no bias, and no waits for flash. 22 cycles a row.
 * All words are sums modulo 2^32 of low + 65536 * high, so carries between the two halves cancel.
 *
 * Rows of halves may serve a group of 2 or 4 inputs: a row for each pattern of them that fires, with the sum of their
 * weights. Neurons that fire together then cost one row together. The plan puts inputs into one group that were seen to
 * fire together; on the shipped network four to a group halve the rows of the last layer.
 *
 * A membrane u is kept as v = u + 32767 - threshold, which rule B5 proves to lie in 0 .. 65535 (the plan takes this kernel
 * only then). So u > threshold says bit 15 of v, and nothing is compared. Rule W5 makes the offset a multiple of 4: then
 * floor(v / 4) is floor(u / 4) and a quarter of the offset, both membranes of a pair leak in one shift and mask, and what
 * the offset has lost comes back with the bias. A pair in which nobody fires takes 9 cycles, against 29 for two neurons one
 * by one.
 *
 * A list holds the events of one step at one position: a header, their number, and the offsets of their rows. In
 * assembly the header is the distance to jump into sixteen unrolled events, so that no event pays for a loop. */
#ifndef FSVAE_WIDE_H
#define FSVAE_WIDE_H

#include "fetch.h"
#include "layer.h"

#define FSVAE_WIDE 16u
#define FSVAE_WIDE_PAIRS 8u
#define FSVAE_UNROLLED 16u /* events that one jump reaches */
#define FSVAE_LIST_HEAD 2u /* halfwords before a list's events */
#define FSVAE_MOST_WIDE_TAPS 4u
#define FSVAE_MOST_GROUP 4u
#define FSVAE_BYTES_BYTES 16u  /* of a row of bytes */
#define FSVAE_HALVES_BYTES 32u /* of a row of halves */

/* Bytes of code in the assembly: of one event, and from the jump to the last sixteen of them. */
#if defined(FSVAE_ARMV6M)
#define FSVAE_WIDE_ASSEMBLY 1
#define FSVAE_BYTES_EVENT 40u
#define FSVAE_BYTES_SKIP 666u
#define FSVAE_HALVES_EVENT 26u
#define FSVAE_HALVES_SKIP 442u
#elif defined(FSVAE_ARMV7EM)
#define FSVAE_WIDE_ASSEMBLY 1
#define FSVAE_BYTES_EVENT 40u
#define FSVAE_BYTES_SKIP 672u
#define FSVAE_HALVES_EVENT 30u
#define FSVAE_HALVES_SKIP 546u
#define FSVAE_HALVES_SINGLE 516u /* from the jump to what adds one event */
#endif

/* One block while it runs. */
typedef struct {
    uint32_t membranes[FSVAE_WIDE_PAIRS]; /* each u + 32767 - threshold */
    uint32_t rest[FSVAE_WIDE_PAIRS];      /* each 32767 - threshold: a membrane of 0 */
    uint32_t trains[FSVAE_WIDE_PAIRS];
} fsvae_wide_cells;

/* What a run of steps works on. Taps lie in the last slots. The assembly knows this layout, and that of the cells. */
typedef struct {
    fsvae_wide_cells *cells;
    uint32_t step;
    uint32_t end;
    const uint32_t *init;          /* 8 words: what the sums begin with, from sum 3 on, then 0 to 2 */
    const uint32_t *correction;    /* bytes: for each step, from `step` on, what takes the events' bias off a pair */
    uint32_t taps;                 /* 1 to 4; 3 does not occur */
    uint32_t stride;               /* bytes from one step's events to the next one's */
    const uint16_t *list[FSVAE_MOST_WIDE_TAPS];
    const uint32_t *rows[FSVAE_MOST_WIDE_TAPS];
} fsvae_wide_run;

/* Halfwords of one step's list of at most so many events. */
static FSVAE_INLINE uint32_t fsvae_list_halfwords(uint32_t events)
{
    return FSVAE_LIST_HEAD + events;
}

#if defined(FSVAE_WIDE_ASSEMBLY)
/* Header of a list of at most sixteen events: past as many of the last sixteen as it lacks. */
#define FSVAE_SKIP(count, event, skip) ((uint16_t)((FSVAE_UNROLLED - (count)) * (event) + (skip)))
#endif

#if defined(FSVAE_ARMV7EM)
#define FSVAE_HALVES_HEADER(count) FSVAE_SKIP(count, FSVAE_HALVES_EVENT, FSVAE_HALVES_SKIP)
/* By number of events: one alone has code of its own. */
static const uint16_t fsvae_halves_header[FSVAE_UNROLLED + 1u] = {
    FSVAE_HALVES_HEADER(0u),  FSVAE_HALVES_SINGLE,      FSVAE_HALVES_HEADER(2u),  FSVAE_HALVES_HEADER(3u),
    FSVAE_HALVES_HEADER(4u),  FSVAE_HALVES_HEADER(5u),  FSVAE_HALVES_HEADER(6u),  FSVAE_HALVES_HEADER(7u),
    FSVAE_HALVES_HEADER(8u),  FSVAE_HALVES_HEADER(9u),  FSVAE_HALVES_HEADER(10u), FSVAE_HALVES_HEADER(11u),
    FSVAE_HALVES_HEADER(12u), FSVAE_HALVES_HEADER(13u), FSVAE_HALVES_HEADER(14u), FSVAE_HALVES_HEADER(15u),
    FSVAE_HALVES_HEADER(16u),
};
#endif

/* Completes a list whose events are in place. */
static FSVAE_INLINE void fsvae_seal_list(uint16_t *list, uint32_t count, unsigned halves)
{
#if defined(FSVAE_WIDE_ASSEMBLY)
    uint32_t header = 0;
    if (count <= FSVAE_UNROLLED) {
#if defined(FSVAE_ARMV7EM)
        header = halves != 0u ? fsvae_halves_header[count] : FSVAE_SKIP(count, FSVAE_BYTES_EVENT, FSVAE_BYTES_SKIP);
#else
        header = halves != 0u ? FSVAE_SKIP(count, FSVAE_HALVES_EVENT, FSVAE_HALVES_SKIP)
                              : FSVAE_SKIP(count, FSVAE_BYTES_EVENT, FSVAE_BYTES_SKIP);
#endif
    }
    list[0] = (uint16_t)header;
#else
    (void)halves;
    list[0] = 0;
#endif
    list[1] = (uint16_t)count;
}

/* Events of one position: a list for each step. */
typedef struct {
    uint16_t *next[FSVAE_TIME_STEPS];
} fsvae_list_writer;

static inline void fsvae_begin_lists(fsvae_list_writer *writer, uint16_t *list, uint32_t halfwords)
{
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++, list += halfwords) {
        writer->next[t] = list + FSVAE_LIST_HEAD;
    }
}

static inline void fsvae_seal_lists(const fsvae_list_writer *writer, uint16_t *list, uint32_t halfwords,
                                    unsigned halves)
{
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++, list += halfwords) {
        fsvae_seal_list(list, (uint32_t)(writer->next[t] - (list + FSVAE_LIST_HEAD)), halves);
    }
}

#if defined(FSVAE_WIDE_ASSEMBLY)
void fsvae_scatter_trains(fsvae_list_writer *writer, const fsvae_train *trains, uint32_t inputs, uint32_t row_bytes);
void fsvae_scatter_pairs(fsvae_list_writer *writer, const fsvae_train *trains, const uint16_t *members,
                         uint32_t groups);
void fsvae_scatter_quads(fsvae_list_writer *writer, const fsvae_train *trains, const uint16_t *members,
                         uint32_t groups);
#else
/* Appends the offset of each input's row to the list of each step at which it fires. */
static inline void fsvae_scatter_trains(fsvae_list_writer *writer, const fsvae_train *trains, uint32_t inputs,
                                        uint32_t row_bytes)
{
    uint32_t offset = 0;
    for (uint32_t i = 0; i < inputs; i++, offset += row_bytes) {
        uint32_t train = trains[i];
        for (unsigned t = 0; train != 0u; t++, train >>= 1) {
            if ((train & 1u) != 0u) {
                *writer->next[t]++ = (uint16_t)offset;
            }
        }
    }
}

/* The same for groups of inputs, by the pattern of those that fire: an event for each group of which somebody does. */
static inline void fsvae_scatter_groups(fsvae_list_writer *writer, const fsvae_train *trains, const uint16_t *members,
                                        uint32_t groups, uint32_t group)
{
    uint32_t before = 0u - FSVAE_HALVES_BYTES; /* where pattern 0 of the group would lie */
    for (; groups != 0u; groups--, members += group) {
        uint32_t train[FSVAE_MOST_GROUP];
        uint32_t any = 0;
        for (uint32_t m = 0; m < group; m++) {
            train[m] = trains[members[m]];
            any |= train[m];
        }
        for (unsigned t = 0; (any >> t) != 0u; t++) {
            uint32_t pattern = 0;
            for (uint32_t m = 0; m < group; m++) {
                pattern |= ((train[m] >> t) & 1u) << m;
            }
            if (pattern != 0u) {
                *writer->next[t]++ = (uint16_t)(before + pattern * FSVAE_HALVES_BYTES);
            }
        }
        before += ((1u << group) - 1u) * FSVAE_HALVES_BYTES;
    }
}

static inline void fsvae_scatter_pairs(fsvae_list_writer *writer, const fsvae_train *trains, const uint16_t *members,
                                       uint32_t groups)
{
    fsvae_scatter_groups(writer, trains, members, groups, 2);
}

static inline void fsvae_scatter_quads(fsvae_list_writer *writer, const fsvae_train *trains, const uint16_t *members,
                                       uint32_t groups)
{
    fsvae_scatter_groups(writer, trains, members, groups, 4);
}
#endif

/* Turns the trains of one position into lists, one for each step. row_bytes: of the layer that reads them. */
static FSVAE_OUT_OF_LINE void fsvae_list_trains(const fsvae_train *trains, uint32_t inputs, uint32_t row_bytes,
                                                unsigned halves, uint16_t *list)
{
    const uint32_t halfwords = fsvae_list_halfwords(inputs);
    fsvae_list_writer writer;
    fsvae_begin_lists(&writer, list, halfwords);
    fsvae_scatter_trains(&writer, trains, inputs, row_bytes);
    fsvae_seal_lists(&writer, list, halfwords, halves);
}

/* The same for groups of 2 or 4 inputs. members: inputs, group by group. */
static FSVAE_OUT_OF_LINE void fsvae_list_groups(const fsvae_train *trains, const uint16_t *members, uint32_t inputs,
                                                unsigned group_bits, uint16_t *list)
{
    const uint32_t groups = inputs >> group_bits;
    const uint32_t halfwords = fsvae_list_halfwords(groups);
    fsvae_list_writer writer;
    fsvae_begin_lists(&writer, list, halfwords);
    if (group_bits == 1u) {
        fsvae_scatter_pairs(&writer, trains, members, groups);
    } else {
        fsvae_scatter_quads(&writer, trains, members, groups);
    }
    fsvae_seal_lists(&writer, list, halfwords, 1);
}

/* Rules S2, S3, L1 and L2 for one step of a block: its membranes before it fires. step: from the run's lists on. */
static FSVAE_INLINE void fsvae_wide_integrate(const fsvae_wide_run *run, unsigned halves, uint32_t step, uint32_t correction,
                                        uint32_t membranes[FSVAE_WIDE_PAIRS])
{
    for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
        membranes[p] = run->init[(p + 5u) & 7u];
    }
    for (unsigned tap = FSVAE_MOST_WIDE_TAPS - run->taps; tap < FSVAE_MOST_WIDE_TAPS; tap++) {
        const uint16_t *list = run->list[tap] + step * (run->stride / 2u);
        const uint16_t *event = list + FSVAE_LIST_HEAD;
        for (const uint16_t *end = event + list[1]; event != end; event++) {
            const uint32_t *row = fsvae_row(run->rows[tap], *event);
            if (halves != 0u) {
                for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
                    membranes[p] += row[p];
                }
            } else {
                for (unsigned w = 0; w < FSVAE_WIDE_PAIRS / 2u; w++) {
                    membranes[2u * w] += row[w];
                    membranes[2u * w + 1u] += (row[w] >> 8) & 0x00ff00ffu;
                }
            }
        }
    }
    for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
        if (halves == 0u) {
            membranes[p] += correction - ((p & 1u) == 0u ? membranes[p + 1u] << 8 : 0u);
        }
        membranes[p] += (run->cells->membranes[p] >> 2) & 0x3fff3fffu;
    }
}

#if defined(FSVAE_WIDE_ASSEMBLY)
void fsvae_run_wide_bytes(const fsvae_wide_run *run);
void fsvae_run_wide_halves(const fsvae_wide_run *run);
#else
static FSVAE_INLINE void fsvae_run_wide(const fsvae_wide_run *run, unsigned halves)
{
    fsvae_wide_cells *cells = run->cells;
    for (uint32_t step = run->step; step != run->end; step++) {
        uint32_t at = step - run->step;
        uint32_t v[FSVAE_WIDE_PAIRS];
        fsvae_wide_integrate(run, halves, at, halves != 0u ? 0u : run->correction[at], v);
        for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
            uint32_t fires = (v[p] >> 15) & 0x00010001u;
            uint32_t reset = (fires << 16) - fires; /* all bits of the halves that fire */
            cells->trains[p] |= fires << step;
            cells->membranes[p] = (v[p] & ~reset) | (cells->rest[p] & reset);
        }
    }
}

static FSVAE_RAM_CODE("fsvae_run_wide_bytes") void fsvae_run_wide_bytes(const fsvae_wide_run *run)
{
    fsvae_run_wide(run, 0);
}

static FSVAE_OUT_OF_LINE void fsvae_run_wide_halves(const fsvae_wide_run *run)
{
    fsvae_run_wide(run, 1);
}
#endif

typedef void (*fsvae_wide_kernel)(const fsvae_wide_run *run);

/* Through a variable: a branch does not reach from flash to RAM, where rows of bytes are added, nor back. */
static FSVAE_INLINE void fsvae_run_wide_kernel(const fsvae_layer *layer, const fsvae_wide_run *run)
{
    volatile fsvae_wide_kernel kernel =
        layer->kernel == FSVAE_KERNEL_HALVES ? fsvae_run_wide_halves : fsvae_run_wide_bytes;
    kernel(run);
}

/* Rows of one kernel position as the kernel reads them, in words. */
static FSVAE_INLINE uint32_t fsvae_wide_tap_words(const fsvae_layer *layer)
{
    uint32_t group = 1u << layer->group_bits;
    return layer->kernel == FSVAE_KERNEL_HALVES
               ? (layer->inputs >> layer->group_bits) * ((1u << group) - 1u) * FSVAE_WIDE_PAIRS
               : layer->inputs * (FSVAE_BYTES_BYTES / 4u);
}

/* Halfwords of one step's list. */
static FSVAE_INLINE uint32_t fsvae_wide_halfwords(const fsvae_layer *layer)
{
    return fsvae_list_halfwords(layer->inputs >> layer->group_bits);
}

/* A block's 16 words of parameters: what its sums begin with (fsvae_wide_run), and its membranes at rest. */
static FSVAE_INLINE const uint32_t *fsvae_wide_params(const fsvae_layer *layer, uint32_t block)
{
    return layer->params + block * 2u * FSVAE_WIDE_PAIRS;
}

static FSVAE_INLINE void fsvae_wide_load(fsvae_wide_cells *cells, const uint32_t *params)
{
    for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
        cells->rest[p] = params[FSVAE_WIDE_PAIRS + p];
    }
}

static FSVAE_INLINE void fsvae_wide_rest(fsvae_wide_cells *cells)
{
    for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
        cells->membranes[p] = cells->rest[p];
        cells->trains[p] = 0;
    }
}

/* What takes the bias of `events` bytes off a pair. */
static FSVAE_INLINE uint32_t fsvae_wide_correction(uint32_t events)
{
    return 0u - events * 0x00800080u;
}

/* Steps first .. last - 1; the run's lists and corrections are those of step 0. */
static inline void fsvae_wide_steps(const fsvae_layer *layer, const fsvae_wide_run *run, uint32_t first, uint32_t last)
{
    fsvae_wide_run part = *run;
    part.step = first;
    part.end = last;
    part.correction += first;
    for (unsigned tap = FSVAE_MOST_WIDE_TAPS - run->taps; tap < FSVAE_MOST_WIDE_TAPS; tap++) {
        part.list[tap] += first * (run->stride / 2u);
    }
    if (first != last) {
        fsvae_run_wide_kernel(layer, &part);
    }
}

/* Step `step` for a probe: the membranes before it fires are those of the C, the spikes are the kernel's own. */
static FSVAE_OUT_OF_LINE void fsvae_wide_probe(const fsvae_layer *layer, const fsvae_wide_run *run, uint32_t step,
                                               uint32_t neuron, const fsvae_watch *watch)
{
    uint32_t before[FSVAE_WIDE_PAIRS];
    fsvae_wide_integrate(run, layer->kernel == FSVAE_KERNEL_HALVES, step, run->correction[step], before);
    fsvae_wide_steps(layer, run, step, step + 1u);
    for (unsigned c = 0; c < FSVAE_WIDE; c++) {
        unsigned p = c / 2u;
        unsigned half = 16u * (c & 1u);
        int32_t u = (int32_t)((before[p] >> half) & 0xffffu) - (int32_t)((run->cells->rest[p] >> half) & 0xffffu);
        fsvae_probe(watch->monitor, neuron + c, u, (int)((run->cells->trains[p] >> (half + step)) & 1u));
    }
}

/* All steps of a block in a layer that is probed. */
static FSVAE_OUT_OF_LINE void fsvae_wide_probed(const fsvae_layer *layer, const fsvae_wide_run *run, uint32_t neuron,
                                                const fsvae_watch *watch)
{
    uint32_t step = (uint32_t)watch->monitor->probe_step;
    fsvae_wide_steps(layer, run, 0, step);
    fsvae_wide_probe(layer, run, step, neuron, watch);
    fsvae_wide_steps(layer, run, step + 1u, FSVAE_TIME_STEPS);
}

static FSVAE_INLINE int fsvae_wide_probing(const fsvae_layer *layer, const fsvae_watch *watch)
{
    return watch->monitor != NULL && watch->monitor->probe_layer == (int)layer->row;
}

/* Two neighbouring trains, which the wide kernels write as one word: of 16 steps, low half first. */
typedef union {
    uint16_t train[2];
    uint32_t pair;
} fsvae_train_pair;

#if defined(FSVAE_ARMV7EM)
/* From rest, and straight to where the trains belong: neither reads nor writes the cells. */
void fsvae_rest_wide_bytes(const fsvae_wide_run *run, fsvae_train_pair *trains);

/* The same for positions, at least one, whose lists lie hop bytes apart and whose trains train_hop bytes. */
void fsvae_walk_wide_halves(const fsvae_wide_run *run, fsvae_train_pair *trains, uint32_t positions, uint32_t hop,
                            uint32_t train_hop);
#endif

/* All steps of one block at one position; trains of its channels. neuron: index of the first, for probes. */
static FSVAE_INLINE void fsvae_wide_block(const fsvae_layer *layer, const fsvae_wide_run *run, fsvae_train_pair *trains,
                                          uint32_t neuron, const fsvae_watch *watch)
{
    const fsvae_wide_cells *cells = run->cells;
#if defined(FSVAE_ARMV7EM)
    if (layer->kernel != FSVAE_KERNEL_HALVES && !fsvae_wide_probing(layer, watch)) {
        fsvae_rest_wide_bytes(run, trains);
        return;
    }
#endif
    fsvae_wide_rest(run->cells);
    if (fsvae_wide_probing(layer, watch)) {
        void (*volatile probed)(const fsvae_layer *, const fsvae_wide_run *, uint32_t, const fsvae_watch *) =
            fsvae_wide_probed;
        probed(layer, run, neuron, watch);
    } else {
        fsvae_run_wide_kernel(layer, run);
    }
    for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
        trains[p].pair = cells->trains[p];
    }
}

/* Of one more tap, for all steps: what takes the bias of its events off a pair. more: it is not the first. */
static FSVAE_INLINE void fsvae_wide_correct(uint32_t *correction, const uint16_t *list, uint32_t halfwords, int more)
{
    for (unsigned t = 0; t < FSVAE_TIME_STEPS; t++, list += halfwords) {
        correction[t] = fsvae_wide_correction(list[1]) + (more ? correction[t] : 0u);
    }
}

/* Where the rows of a layer come from. Rows of bytes may be fetched into RAM, the next part while this one is computed;
 * from the fetcher's begin() to its wait() everything that is read must lie in RAM, so all this is copied. */
typedef struct {
    fsvae_layer layer;
    fsvae_watch watch;
    fsvae_fetcher fetcher; /* begin NULL: rows are read where they lie */
    uint32_t *room[2];
    uint32_t turn;
} fsvae_wide_source;

/* Fetches the first part, of first_words. room: NULL, or for the layer's parameters and two parts in turn: the first of
 * them takes room_words, the other the rest. */
static inline void fsvae_wide_open(fsvae_wide_source *source, const fsvae_layer *layer, uint32_t *room,
                                   uint32_t room_words, uint32_t first_words, const fsvae_watch *watch)
{
    source->layer = *layer;
    source->watch = *watch;
    source->fetcher = fsvae_fetcher_in_ram(room != NULL && !fsvae_wide_probing(layer, watch) ? watch->fetcher : NULL);
    if (source->fetcher.begin != NULL) {
        source->turn = 0;
        source->room[0] = room + layer->outputs;
        source->room[1] = source->room[0] + room_words;
        source->layer.params = room;
        fsvae_fetch(watch->fetcher, room, layer->params, layer->outputs);
        fsvae_fetch(watch->fetcher, source->room[0], layer->weights, first_words);
    }
}

/* The part at `rows`, which is there. Begins to fetch the part after it, where next_words is not 0. */
static FSVAE_INLINE const uint32_t *fsvae_wide_next(fsvae_wide_source *source, const uint32_t *rows,
                                                    const uint32_t *next, uint32_t next_words)
{
    if (source->fetcher.begin == NULL) {
        return rows;
    }
    rows = source->room[source->turn];
    source->turn ^= 1u;
    if (next_words != 0u) {
        source->fetcher.begin(source->room[source->turn], next, next_words);
    }
    return rows;
}

/* The part is done, and the one after it there. */
static FSVAE_INLINE void fsvae_wide_done(const fsvae_wide_source *source, uint32_t next_words)
{
    if (source->fetcher.begin != NULL && next_words != 0u) {
        source->fetcher.wait();
    }
}

/* A linear layer over all steps: one position, one tap. Blocks first .. last - 1. */
typedef struct {
    const fsvae_layer *layer;
    const fsvae_watch *watch;
    const uint32_t *rows; /* of the first block */
    const uint16_t *list;
    const uint32_t *correction;
    fsvae_train *trains;
    uint32_t first;
    uint32_t last;
} fsvae_wide_linear_job;

static FSVAE_RAM_CODE("fsvae_wide_linear_blocks") void fsvae_wide_linear_blocks(void *work, uint32_t member,
                                                                              uint32_t members)
{
    const fsvae_wide_linear_job *job = (const fsvae_wide_linear_job *)work;
    const fsvae_layer *layer = job->layer;
    fsvae_wide_cells cells;
    fsvae_wide_run run;
    run.step = 0;
    run.end = FSVAE_TIME_STEPS;
    run.cells = &cells;
    run.correction = job->correction;
    run.taps = 1;
    run.stride = 2u * fsvae_wide_halfwords(layer);
    run.list[3] = job->list;
    for (uint32_t block = job->first + member; block < job->last; block += members) {
        const uint32_t neuron = block * FSVAE_WIDE;
        run.init = fsvae_wide_params(layer, block);
        run.rows[3] = job->rows + (block - job->first) * fsvae_wide_tap_words(layer);
        fsvae_wide_load(&cells, run.init);
        fsvae_wide_block(layer, &run, (fsvae_train_pair *)(void *)(job->trains + neuron), neuron, job->watch);
    }
}

/* Blocks whose rows are fetched at one go: one for each of two processors. */
#define FSVAE_LINEAR_PART 2u

static FSVAE_RAM_CODE("fsvae_wide_linear_run") void fsvae_wide_linear_run(fsvae_wide_source *source,
                                                                        fsvae_wide_linear_job *job, uint32_t blocks)
{
    const uint32_t words = fsvae_wide_tap_words(job->layer);
    const uint32_t *rows = job->layer->weights;
    for (job->first = 0; job->first < blocks; job->first = job->last) {
        const uint32_t part = blocks - job->first < FSVAE_LINEAR_PART ? blocks - job->first : FSVAE_LINEAR_PART;
        const uint32_t left = blocks - job->first - part;
        const uint32_t next_words = (left < FSVAE_LINEAR_PART ? left : FSVAE_LINEAR_PART) * words;
        job->last = job->first + part;
        job->rows = fsvae_wide_next(source, rows, rows + part * words, next_words);
        fsvae_share(job->watch, fsvae_wide_linear_blocks, job);
        fsvae_wide_done(source, next_words);
        rows += part * words;
    }
}

/* list: events of the inputs. room: NULL, or for the layer's parameters and the rows of four blocks. */
static inline void fsvae_wide_linear(const fsvae_layer *layer, const uint16_t *list, uint32_t *room,
                                     fsvae_train *trains, const fsvae_watch *watch)
{
    void (*volatile run)(fsvae_wide_source *, fsvae_wide_linear_job *, uint32_t) = fsvae_wide_linear_run;
    const uint32_t blocks = layer->outputs / FSVAE_WIDE;
    const uint32_t part_words =
        (blocks < FSVAE_LINEAR_PART ? blocks : FSVAE_LINEAR_PART) * fsvae_wide_tap_words(layer);
    uint32_t correction[FSVAE_TIME_STEPS];
    fsvae_wide_source source;
    fsvae_wide_linear_job job;
    fsvae_wide_correct(correction, list, fsvae_wide_halfwords(layer), 0);
    fsvae_wide_open(&source, layer, room, part_words, part_words, watch);
    job.layer = &source.layer;
    job.watch = &source.watch;
    job.list = list;
    job.correction = correction;
    job.trains = trains;
    run(&source, &job, blocks);
}

/* Lists of rows of the input map, by position: of all rows, or of two neighbouring ones that take turns. */
typedef struct {
    uint16_t *list;
    uint32_t row_mask; /* row y lies at y & row_mask: 1 where two take turns */
} fsvae_wide_lists;

static FSVAE_INLINE uint16_t *fsvae_wide_position(const fsvae_layer *layer, const fsvae_wide_lists *lists, uint32_t y,
                                            uint32_t x)
{
    uint32_t position = (y & lists->row_mask) * layer->in_size + x;
    return lists->list + position * (FSVAE_TIME_STEPS * fsvae_wide_halfwords(layer));
}

typedef struct {
    const fsvae_layer *layer;
    const fsvae_train *in;
    const fsvae_wide_lists *lists;
    uint32_t y;
} fsvae_wide_list_job;

static FSVAE_OUT_OF_LINE void fsvae_wide_list_positions(void *work, uint32_t member, uint32_t members)
{
    const fsvae_wide_list_job *job = (const fsvae_wide_list_job *)work;
    const fsvae_layer *layer = job->layer;
    for (uint32_t x = member; x < layer->in_size; x += members) {
        const fsvae_train *in = job->in + (job->y * layer->in_size + x) * layer->inputs;
        uint16_t *list = fsvae_wide_position(layer, job->lists, job->y, x);
        if (layer->group_bits != 0u) {
            fsvae_list_groups(in, layer->members, layer->inputs, layer->group_bits, list);
        } else if (layer->kernel == FSVAE_KERNEL_HALVES) {
            fsvae_list_trains(in, layer->inputs, FSVAE_HALVES_BYTES, 1, list);
        } else {
            fsvae_list_trains(in, layer->inputs, FSVAE_BYTES_BYTES, 0, list);
        }
    }
}

static inline void fsvae_wide_list_row(const fsvae_layer *layer, const fsvae_train *in, uint32_t y,
                                       const fsvae_wide_lists *lists, const fsvae_watch *watch)
{
    fsvae_wide_list_job job = {layer, in, lists, y};
    fsvae_share(watch, fsvae_wide_list_positions, &job);
}

#if defined(FSVAE_WIDE_ASSEMBLY)
void fsvae_expand_bytes(const uint32_t *from, uint32_t *to, uint32_t rows);
void fsvae_expand_pairs(const uint32_t *from, const uint16_t *members, uint32_t *rows, uint32_t groups);
void fsvae_expand_quads(const uint32_t *from, const uint16_t *members, uint32_t *rows, uint32_t groups);
#else
/* Rows of bytes as rows of pairs. */
static inline void fsvae_expand_bytes(const uint32_t *from, uint32_t *to, uint32_t rows)
{
    for (const uint32_t *end = to + rows * FSVAE_WIDE_PAIRS; to != end;) {
        uint32_t word = *from++;
        *to++ = (word & 0x00ff00ffu) - 0x00800080u;
        *to++ = ((word >> 8) & 0x00ff00ffu) - 0x00800080u;
    }
}
#endif

/* A row of nibbles as a row of pairs: two words of eight channels, as in lanes.h. */
static inline void fsvae_expand_nibbles(const uint32_t *from, uint32_t *to)
{
    for (unsigned w = 0; w < FSVAE_WIDE_PAIRS / 4u; w++) {
        uint32_t word = *from++;
        *to++ = (word & 0x000f000fu) - 0x00080008u;
        *to++ = ((word >> 4) & 0x000f000fu) - 0x00080008u;
        *to++ = ((word >> 8) & 0x000f000fu) - 0x00080008u;
        *to++ = ((word >> 12) & 0x000f000fu) - 0x00080008u;
    }
}

/* For each group of inputs a row for each pattern of them that fires, of bytes or nibbles. */
static FSVAE_OUT_OF_LINE void fsvae_expand_groups(const uint32_t *from, const uint16_t *members, uint32_t *rows,
                                                  uint32_t groups, uint32_t group, unsigned weight_bits)
{
    rows -= FSVAE_WIDE_PAIRS; /* of pattern 0, which is no row */
    for (; groups != 0u; groups--, rows += FSVAE_WIDE_PAIRS * ((1u << group) - 1u)) {
        for (uint32_t m = 0; m < group; m++) {
            uint32_t *row = rows + (FSVAE_WIDE_PAIRS << m);
            const uint32_t *flash = from + *members++ * (weight_bits / 2u);
            if (weight_bits == 8u) {
                fsvae_expand_bytes(flash, row, 1);
            } else {
                fsvae_expand_nibbles(flash, row);
            }
            for (uint32_t i = FSVAE_WIDE_PAIRS; i < (FSVAE_WIDE_PAIRS << m); i++) {
                row[i] = row[i & (FSVAE_WIDE_PAIRS - 1u)] + rows[i];
            }
        }
    }
}

#if !defined(FSVAE_WIDE_ASSEMBLY)
static inline void fsvae_expand_pairs(const uint32_t *from, const uint16_t *members, uint32_t *rows, uint32_t groups)
{
    fsvae_expand_groups(from, members, rows, groups, 2, 8);
}

static inline void fsvae_expand_quads(const uint32_t *from, const uint16_t *members, uint32_t *rows, uint32_t groups)
{
    fsvae_expand_groups(from, members, rows, groups, 4, 8);
}
#endif

/* One kernel position of a block, whose rows are to be expanded, times 2^F. */
typedef struct {
    const fsvae_layer *layer;
    const uint32_t *from; /* the position's rows in flash */
    uint32_t *to;
} fsvae_wide_expand_job;

static FSVAE_OUT_OF_LINE void fsvae_wide_expand_part(void *work, uint32_t member, uint32_t members)
{
    const fsvae_wide_expand_job *job = (const fsvae_wide_expand_job *)work;
    const fsvae_layer *layer = job->layer;
    const unsigned group_bits = layer->group_bits;
    const uint32_t all = layer->inputs >> group_bits;
    const uint32_t first = members == 1u || member == 0u ? 0u : all / 2u;
    const uint32_t groups = (member + 1u == members ? all : all / 2u) - first;
    const uint32_t group_words = FSVAE_WIDE_PAIRS * ((1u << (1u << group_bits)) - 1u);
    const uint16_t *inputs = layer->members + (group_bits != 0u ? first << group_bits : 0u);
    uint32_t *to = job->to + first * group_words;
    if (groups == 0u) {
        return;
    }
    if (group_bits == 0u) {
        const uint32_t *from = job->from + first * (layer->weight_bits / 2u);
        if (layer->weight_bits == 8u) {
            fsvae_expand_bytes(from, to, groups);
        } else {
            for (uint32_t i = 0; i < groups; i++) {
                fsvae_expand_nibbles(from + 2u * i, to + FSVAE_WIDE_PAIRS * i);
            }
        }
    } else if (layer->weight_bits != 8u) {
        fsvae_expand_groups(job->from, inputs, to, groups, 1u << group_bits, 4);
    } else if (group_bits == 1u) {
        fsvae_expand_pairs(job->from, inputs, to, groups);
    } else {
        fsvae_expand_quads(job->from, inputs, to, groups);
    }
    if (layer->fraction_bits != 0u) {
        for (uint32_t *end = to + groups * group_words; to != end; to++) {
            *to <<= layer->fraction_bits;
        }
    }
}

/* Rule S3, turned around: the output at (2y + py, 2x + px) gathers from at most four inputs. An even output coordinate
 * sees kernel index 1 of input y; an odd one sees index 2 of input y and index 0 of input y + 1, where that exists.
 *
 * So the nine kernel positions serve four parities, 1, 2, 2 and 4 of them, and lie in that order: for an even row and
 * column 4; for an odd column 5 and 3; for an odd row 7 and 1; for both 8, 6, 2 and 0. */
#define FSVAE_PARITIES 4u

static FSVAE_INLINE uint32_t fsvae_wide_parity_first(uint32_t parity)
{
    return parity + (parity >> 1) + (parity == 3u ? 1u : 0u);
}

static FSVAE_INLINE uint32_t fsvae_wide_parity_taps(uint32_t parity)
{
    return (1u + (parity & 1u)) << (parity >> 1);
}

/* The outputs of one block and parity, of the input rows first <= y < last, which are listed, as is row `last` where it
 * exists. Columns are dealt out in turns. */
typedef struct {
    const fsvae_layer *layer;
    const fsvae_watch *watch;
    const fsvae_wide_lists *lists;
    const uint32_t *rows; /* of the parity's kernel positions */
    uint32_t block;
    uint32_t parity;
    uint32_t first;
    uint32_t last;
    fsvae_train *out; /* from output row 2 * first on */
} fsvae_wide_conv_job;

static FSVAE_RAM_CODE("fsvae_wide_conv_parity") void fsvae_wide_conv_parity(void *work, uint32_t member,
                                                                          uint32_t members)
{
    const fsvae_wide_conv_job *job = (const fsvae_wide_conv_job *)work;
    const fsvae_layer *layer = job->layer;
    const uint32_t size = layer->in_size;
    const uint32_t px = job->parity & 1u;
    const uint32_t py = job->parity >> 1;
    const uint32_t tap_words = fsvae_wide_tap_words(layer);
    const uint32_t halfwords = fsvae_wide_halfwords(layer);
    const uint32_t position_halfwords = FSVAE_TIME_STEPS * halfwords;
    const uint32_t *below = job->rows + (px + 1u) * tap_words; /* after the input itself and the one beside it */
    uint32_t correction[FSVAE_TIME_STEPS];
    fsvae_wide_cells cells;
    fsvae_wide_run run;
    run.step = 0;
    run.end = FSVAE_TIME_STEPS;
    run.cells = &cells;
    run.correction = correction;
    run.stride = 2u * halfwords;
    run.init = fsvae_wide_params(layer, job->block);
    fsvae_wide_load(&cells, run.init);
    for (uint32_t y = job->first; y < job->last; y++) {
        const int has_below = py != 0u && y + 1u < size;
        const uint16_t *list = fsvae_wide_position(layer, job->lists, y, member);
        const uint16_t *list_below = fsvae_wide_position(layer, job->lists, y + 1u, member);
        uint32_t at = ((2u * (y - job->first) + py) * 2u * size + 2u * member + px) * layer->outputs +
                      job->block * FSVAE_WIDE;
        for (uint32_t x = member; x < size; x += members) {
            const int has_beside = px != 0u && x + 1u < size;
            unsigned slot = FSVAE_MOST_WIDE_TAPS - 1u;
            run.rows[slot] = job->rows;
            run.list[slot] = list;
            if (has_beside) {
                slot--;
                run.rows[slot] = job->rows + tap_words;
                run.list[slot] = list + position_halfwords;
            }
            if (has_below) {
                slot--;
                run.rows[slot] = below;
                run.list[slot] = list_below;
                if (has_beside) {
                    slot--;
                    run.rows[slot] = below + tap_words;
                    run.list[slot] = list_below + position_halfwords;
                }
            }
            run.taps = FSVAE_MOST_WIDE_TAPS - slot;
#if defined(FSVAE_ARMV7EM)
            if (layer->kernel == FSVAE_KERNEL_HALVES && !fsvae_wide_probing(layer, job->watch)) {
                /* All positions with as many taps: of an odd column all but the last. */
                const uint32_t end = px == 0u || !has_beside ? size : size - 1u;
                const uint32_t positions = (end - x + members - 1u) / members;
                fsvae_walk_wide_halves(&run, (fsvae_train_pair *)(void *)(job->out + at), positions,
                                       2u * members * position_halfwords, 4u * members * layer->outputs);
                list += positions * members * position_halfwords;
                list_below += positions * members * position_halfwords;
                at += positions * 2u * members * layer->outputs;
                x += (positions - 1u) * members;
                continue;
            }
#endif
            if (layer->kernel != FSVAE_KERNEL_HALVES) {
                for (; slot < FSVAE_MOST_WIDE_TAPS; slot++) {
                    fsvae_wide_correct(correction, run.list[slot], halfwords, slot + run.taps != FSVAE_MOST_WIDE_TAPS);
                }
            }
            fsvae_wide_block(layer, &run, (fsvae_train_pair *)(void *)(job->out + at),
                             4u * job->first * size * layer->outputs + at, job->watch);
            list += members * position_halfwords;
            list_below += members * position_halfwords;
            at += 2u * members * layer->outputs;
        }
    }
}

/* A block's rows of bytes, parity after parity, in RAM where they can be fetched. */
static FSVAE_RAM_CODE("fsvae_wide_conv_bytes") void fsvae_wide_conv_bytes(fsvae_wide_source *source,
                                                                        fsvae_wide_conv_job *job)
{
    const fsvae_layer *layer = &source->layer;
    const uint32_t tap_words = fsvae_wide_tap_words(layer);
    const uint32_t blocks = layer->outputs / FSVAE_WIDE;
    const uint32_t *rows = layer->weights;
    for (job->block = 0; job->block < blocks; job->block++) {
        for (job->parity = 0; job->parity < FSVAE_PARITIES; job->parity++) {
            const uint32_t parity = job->parity;
            const uint32_t *next = rows + fsvae_wide_parity_taps(parity) * tap_words;
            const uint32_t next_words = parity + 1u < FSVAE_PARITIES ? fsvae_wide_parity_taps(parity + 1u) * tap_words
                                                                     : (job->block + 1u < blocks ? tap_words : 0u);
            job->rows = fsvae_wide_next(source, rows, next, next_words);
            fsvae_share(job->watch, fsvae_wide_conv_parity, job);
            fsvae_wide_done(source, next_words);
            rows = next;
        }
    }
}

/* Expands the rows of a block's kernel positions first .. first + taps - 1 into `room`. After them lies room for what one
 * of them is expanded from. */
static inline void fsvae_wide_expand(const fsvae_layer *layer, uint32_t block, uint32_t first, uint32_t taps,
                                     uint32_t *room, const fsvae_watch *watch)
{
    const uint32_t flash_words = layer->inputs * (layer->weight_bits / 2u);
    const uint32_t *from = layer->weights + (block * 9u + first) * flash_words;
    fsvae_wide_expand_job job = {layer, NULL, NULL};
    for (; taps != 0u; taps--, from += flash_words) {
        uint32_t *next = room + fsvae_wide_tap_words(layer);
        const uint32_t *near = from;
        if (watch->fetcher != NULL) {
            fsvae_fetch(watch->fetcher, next, from, flash_words);
            near = next;
        }
        job.from = near;
        job.to = room;
        fsvae_share(watch, fsvae_wide_expand_part, &job);
        room = next;
    }
}

/* Output rows 2y and 2y + 1, of which rows y and y + 1 are listed. rows: in flash, or all as expanded. */
static inline void fsvae_wide_conv_row(const fsvae_layer *layer, const fsvae_wide_lists *lists, const uint32_t *rows,
                                       uint32_t y, fsvae_train *out, const fsvae_watch *watch)
{
    const uint32_t tap_words = fsvae_wide_tap_words(layer);
    fsvae_wide_conv_job job = {layer, watch, lists, rows, 0, 0, y, y + 1u, out};
    for (; job.block < layer->outputs / FSVAE_WIDE; job.block++) {
        for (job.parity = 0; job.parity < FSVAE_PARITIES; job.parity++) {
            fsvae_share(watch, fsvae_wide_conv_parity, &job);
            job.rows += fsvae_wide_parity_taps(job.parity) * tap_words;
        }
    }
}

/* Expands all rows of the last layer, once for all of its map. */
static inline void fsvae_wide_expand_all(const fsvae_layer *layer, uint32_t *room, const fsvae_watch *watch)
{
    for (uint32_t block = 0; block < layer->outputs / FSVAE_WIDE; block++) {
        fsvae_wide_expand(layer, block, 0, 9, room + block * 9u * fsvae_wide_tap_words(layer), watch);
    }
}

/* A whole transposed convolution, map to map. Its map is listed as a whole, or, for rows of bytes, two rows at a time.
 * room: halves: for the rows of the largest parity; bytes: NULL, or for parameters and the rows of two parities. */
static inline void fsvae_wide_conv_transpose(const fsvae_layer *layer, const fsvae_train *in,
                                             const fsvae_wide_lists *lists, uint32_t *room, fsvae_train *out,
                                             const fsvae_watch *watch)
{
    const uint32_t size = layer->in_size;
    const uint32_t tap_words = fsvae_wide_tap_words(layer);
    fsvae_wide_conv_job job = {layer, watch, lists, room, 0, 0, 0, size, out};
    if (lists->row_mask == 1u) {
        fsvae_wide_list_row(layer, in, 0, lists, watch);
        for (uint32_t y = 0; y < size; y++) {
            if (y + 1u < size) {
                fsvae_wide_list_row(layer, in, y + 1u, lists, watch);
            }
            fsvae_wide_conv_row(layer, lists, layer->weights, y, out + 4u * y * size * layer->outputs, watch);
        }
        return;
    }
    for (uint32_t y = 0; y < size; y++) {
        fsvae_wide_list_row(layer, in, y, lists, watch);
    }
    if (layer->kernel == FSVAE_KERNEL_HALVES) {
        for (; job.block < layer->outputs / FSVAE_WIDE; job.block++) {
            for (job.parity = 0; job.parity < FSVAE_PARITIES; job.parity++) {
                fsvae_wide_expand(layer, job.block, fsvae_wide_parity_first(job.parity),
                                  fsvae_wide_parity_taps(job.parity), room, watch);
                fsvae_share(watch, fsvae_wide_conv_parity, &job);
            }
        }
    } else {
        void (*volatile run)(fsvae_wide_source *, fsvae_wide_conv_job *) = fsvae_wide_conv_bytes;
        fsvae_wide_source source;
        fsvae_wide_open(&source, layer, room, 2u * tap_words, tap_words, watch); /* parities of taps: 1 and 2, 2 and 4 */
        job.layer = &source.layer;
        job.watch = &source.watch;
        run(&source, &job);
    }
}

/* The neurons of a hidden layer of the prior, at rest: one fsvae_wide_cells for each block. */
static inline void fsvae_wide_begin(const fsvae_layer *layer, fsvae_wide_cells *cells)
{
    for (uint32_t block = 0; block < layer->outputs / FSVAE_WIDE; block++) {
        fsvae_wide_load(&cells[block], fsvae_wide_params(layer, block));
        fsvae_wide_rest(&cells[block]);
    }
}

/* Which neurons of a block fired at a step, the first in bit 0. */
static FSVAE_INLINE uint32_t fsvae_wide_fired(const fsvae_wide_cells *cells, uint32_t step)
{
    uint32_t bits = 0;
    for (unsigned p = 0; p < FSVAE_WIDE_PAIRS; p++) {
        uint32_t now = cells->trains[p] >> step;
        bits |= ((now & 1u) | ((now >> 15) & 2u)) << (2u * p);
    }
    return bits;
}

#if defined(FSVAE_ARMV7EM)
/* fsvae_run_wide_bytes() for a single step, and which neurons fired at it; the cells' trains are left as they are. */
uint32_t fsvae_step_wide_bytes(const fsvae_wide_run *run);
#endif

/* One step of a hidden layer of the prior. Of a linear layer, which has rows of bytes. */
typedef struct {
    const fsvae_layer *layer;
    const fsvae_watch *watch;
    fsvae_wide_cells *cells;
    const fsvae_wide_run *run; /* of block 0 */
    uint8_t *fired;
} fsvae_wide_step_job;

static FSVAE_OUT_OF_LINE void fsvae_wide_step_blocks(void *work, uint32_t member, uint32_t members)
{
    const fsvae_wide_step_job *job = (const fsvae_wide_step_job *)work;
    const fsvae_layer *layer = job->layer;
    const uint32_t step = job->run->step;
    const int probing = fsvae_probing(job->watch, layer->row, step);
    fsvae_wide_run run = *job->run;
    for (uint32_t block = member; block < layer->outputs / FSVAE_WIDE; block += members) {
        uint32_t bits;
        run.cells = job->cells + block;
        run.init = fsvae_wide_params(layer, block);
        for (unsigned slot = FSVAE_MOST_WIDE_TAPS - run.taps; slot < FSVAE_MOST_WIDE_TAPS; slot++) {
            run.rows[slot] = job->run->rows[slot] + block * layer->block_words;
        }
        if (probing) {
            fsvae_wide_run from_start = run; /* fsvae_wide_probe() counts from step 0 */
            from_start.correction -= step;
            fsvae_wide_probe(layer, &from_start, step, block * FSVAE_WIDE, job->watch);
            bits = fsvae_wide_fired(run.cells, step);
        } else {
#if defined(FSVAE_ARMV7EM)
            bits = fsvae_step_wide_bytes(&run);
#else
            fsvae_run_wide_kernel(layer, &run);
            bits = fsvae_wide_fired(run.cells, step);
#endif
        }
        job->fired[2u * block] = (uint8_t)bits;
        job->fired[2u * block + 1u] = (uint8_t)(bits >> 8);
    }
}

/* cells: kept between steps. taps: lists of this step's events and the rows that they name, block 0. fired: takes bit c for
 * the layer's channel c (rule T1). */
static inline void fsvae_wide_linear_step(const fsvae_layer *layer, fsvae_wide_cells *cells, const fsvae_cursor *taps,
                                          unsigned tap_count, uint8_t *fired, unsigned step, const fsvae_watch *watch)
{
    uint32_t correction[FSVAE_TIME_STEPS];
    uint16_t nothing[FSVAE_LIST_HEAD];
    fsvae_wide_run run;
    fsvae_wide_step_job job = {layer, watch, cells, &run, fired};
    fsvae_seal_list(nothing, 0, 0);
    correction[step] = 0;
    run.cells = cells;
    run.step = step;
    run.end = step + 1u;
    run.init = layer->params;
    run.correction = correction + step;
    run.taps = tap_count == 3u ? 4u : tap_count;
    run.stride = 0;
    for (unsigned tap = 0; tap < run.taps; tap++) {
        unsigned slot = FSVAE_MOST_WIDE_TAPS - 1u - tap;
        run.list[slot] = tap < tap_count ? taps[tap].list : nothing;
        run.rows[slot] = tap < tap_count ? taps[tap].rows : layer->weights;
        correction[step] += fsvae_wide_correction(run.list[slot][1]);
    }
    fsvae_share(watch, fsvae_wide_step_blocks, &job);
}

#endif
