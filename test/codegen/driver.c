/* Prints what the generated library draws, as bytes on stdout, for the tests to compare with the golden model.
 *
 *   driver FIRST COUNT trace   for each seed: image, then digests (rows x T words), then spikes (rows words); every
 *                              other image with a fetcher
 *   driver FIRST COUNT image   for each seed: image
 *   driver FIRST COUNT probe   for each seed, row and step: packed spikes, then membranes of the whole row
 *   driver 0 COUNT decode      COUNT latents from stdin; for each: image
 *   driver 0 0 checksum        the weight checksum, one word; then the encoder's, if there is one
 *   driver FIRST COUNT encode  COUNT images from stdin, with a seed each; for each: latent, then digests (rows x T words), then
 *                              spikes (rows words), of the encoder's rows; every other image with a fetcher
 *   driver SEED 1 encode-probe an image from stdin; for each of the encoder's rows and steps: packed spikes, then membranes */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fsvae.h"

static uint64_t arena[(FSVAE_ARENA_BYTES + 7) / 8];
static fsvae_monitor monitor;

/* A fetcher that is as late as it may be: what it is to bring is not there before wait(). */
static void *fetch_to;
static const void *fetch_from;
static size_t fetch_bytes;

static void begin_fetch(void *to, const void *from, uint32_t words)
{
    fetch_to = to;
    fetch_from = from;
    fetch_bytes = 4u * (size_t)words;
    memset(to, 0x5a, fetch_bytes);
}

static void wait_for_fetch(void)
{
    memcpy(fetch_to, fetch_from, fetch_bytes);
    fetch_bytes = 0;
}

static const fsvae_fetcher late_fetcher = {begin_fetch, wait_for_fetch};

static void put_words(const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (unsigned b = 0; b < 4; b++) {
            putchar((int)((words[i] >> (8 * b)) & 0xffu));
        }
    }
}

/* Watches one row at one step, and prints it when `run` has run. */
typedef int (*watched_run)(uint64_t seed, const uint8_t *image);

static int probe(watched_run run, uint64_t seed, const uint8_t *image, int row, int step, uint32_t neurons)
{
    uint8_t *spikes = calloc((neurons + 7) / 8, 1);
    int32_t *membrane = calloc(neurons, sizeof *membrane);
    if (spikes == NULL || membrane == NULL) {
        return 1;
    }
    monitor.fetcher = step % 2 == 0 ? &late_fetcher : NULL;
    monitor.probe_layer = row;
    monitor.probe_step = step;
    monitor.probe_first = 0;
    monitor.probe_count = neurons;
    monitor.probe_spikes = spikes;
    monitor.probe_membrane = membrane;
    if (run(seed, image) != FSVAE_OK) {
        return 1;
    }
    fwrite(spikes, 1, (neurons + 7) / 8, stdout);
    put_words((const uint32_t *)(const void *)membrane, neurons);
    free(spikes);
    free(membrane);
    return 0;
}

static int watched_sample(uint64_t seed, const uint8_t *unused)
{
    static uint8_t drawn[FSVAE_IMAGE_BYTES];
    (void)unused;
    return fsvae_sample(arena, sizeof arena, seed, drawn, &monitor);
}

#if defined(FSVAE_ENCODER_LAYERS)
static uint8_t found[FSVAE_LATENT_BYTES];

static int watched_encode(uint64_t seed, const uint8_t *image)
{
    return fsvae_encode(arena, sizeof arena, image, seed, found, &monitor);
}

static int encode_images(uint64_t first, uint64_t count, int probing)
{
    for (uint64_t i = 0; i < count; i++) {
        uint8_t image[FSVAE_IMAGE_BYTES];
        if (fread(image, 1, sizeof image, stdin) != sizeof image) {
            return 1;
        }
        memset(arena, 0xa5, sizeof arena);
        memset(&monitor, 0, sizeof monitor);
        monitor.probe_layer = -1;
        for (int row = 0; probing && row < FSVAE_ENCODER_LAYERS; row++) {
            for (int step = 0; step < FSVAE_TIME_STEPS; step++) {
                if (probe(watched_encode, first + i, image, row, step, fsvae_encoder_layer_neurons[row]) != 0) {
                    return 1;
                }
            }
        }
        if (probing) {
            continue;
        }
        monitor.trace = 1;
        monitor.fetcher = i % 2 == 0 ? &late_fetcher : NULL;
        if (watched_encode(first + i, image) != FSVAE_OK) {
            return 1;
        }
        fwrite(found, 1, sizeof found, stdout);
        for (unsigned row = 0; row < FSVAE_ENCODER_LAYERS; row++) {
            put_words(monitor.digest[row], FSVAE_TIME_STEPS);
        }
        put_words(monitor.spikes, FSVAE_ENCODER_LAYERS);
    }
    return 0;
}
#endif

int main(int argc, char **argv)
{
    uint8_t image[FSVAE_IMAGE_BYTES];
    if (argc != 4) {
        return 2;
    }
    uint64_t first = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    if (strcmp(argv[3], "checksum") == 0) {
        uint32_t checksum = fsvae_weight_checksum();
        put_words(&checksum, 1);
#if defined(FSVAE_ENCODER_LAYERS)
        checksum = fsvae_encoder_weight_checksum();
        put_words(&checksum, 1);
#endif
        return 0;
    }
#if defined(FSVAE_ENCODER_LAYERS)
    if (strncmp(argv[3], "encode", 6) == 0) {
        return encode_images(first, count, strcmp(argv[3], "encode-probe") == 0);
    }
#endif
    for (uint64_t i = 0; i < count; i++) {
        uint64_t seed = first + i;
        memset(arena, 0xa5, sizeof arena); /* nothing may rely on what the arena held before */
        memset(&monitor, 0, sizeof monitor);
        monitor.probe_layer = -1;
        if (strcmp(argv[3], "decode") == 0) {
            uint8_t latent[FSVAE_LATENT_BYTES];
            if (fread(latent, 1, sizeof latent, stdin) != sizeof latent ||
                fsvae_decode(arena, sizeof arena, latent, image, NULL) != FSVAE_OK) {
                return 1;
            }
            fwrite(image, 1, sizeof image, stdout);
        } else if (strcmp(argv[3], "image") == 0) {
            if (fsvae_sample(arena, sizeof arena, seed, image, NULL) != FSVAE_OK) {
                return 1;
            }
            fwrite(image, 1, sizeof image, stdout);
        } else if (strcmp(argv[3], "trace") == 0) {
            monitor.trace = 1;
            monitor.fetcher = i % 2 == 0 ? &late_fetcher : NULL;
            if (fsvae_sample(arena, sizeof arena, seed, image, &monitor) != FSVAE_OK) {
                return 1;
            }
            fwrite(image, 1, sizeof image, stdout);
            for (unsigned row = 0; row < FSVAE_LAYERS; row++) {
                put_words(monitor.digest[row], FSVAE_TIME_STEPS);
            }
            put_words(monitor.spikes, FSVAE_LAYERS);
        } else {
            for (int row = 0; row < FSVAE_LAYERS; row++) {
                for (int step = 0; step < FSVAE_TIME_STEPS; step++) {
                    if (probe(watched_sample, seed, NULL, row, step, fsvae_layer_neurons[row]) != 0) {
                        return 1;
                    }
                }
            }
        }
    }
    return 0;
}
