/* Prints for each seed what the lazy layer of a library evaluated, which the test has made count: neurons times steps, and
 * weights read.
 *
 *   count FIRST COUNT count */
#include <stdio.h>
#include <stdlib.h>

#include "fsvae.h"

extern unsigned lazy_evaluations, lazy_operations;
unsigned lazy_evaluations, lazy_operations;

static uint64_t arena[(FSVAE_ARENA_BYTES + 7) / 8];

int main(int argc, char **argv)
{
    uint8_t image[FSVAE_IMAGE_BYTES];
    if (argc != 4) {
        return 2;
    }
    uint64_t first = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    for (uint64_t i = 0; i < count; i++) {
        lazy_evaluations = 0;
        lazy_operations = 0;
        if (fsvae_sample(arena, sizeof arena, first + i, image, NULL) != FSVAE_OK) {
            return 1;
        }
        printf("%u %u\n", lazy_evaluations, lazy_operations);
    }
    return 0;
}
