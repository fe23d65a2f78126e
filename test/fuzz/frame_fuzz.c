/* Coverage-guided fuzzing of the board's side of the link (libFuzzer): the frame decoder with buffers of many sizes, and what
 * it takes for a frame, encoded again.
 *
 *   clang -g -O1 -fsanitize=fuzzer,address,undefined -Ifirmware-templates/app firmware-templates/app/frame.c test/fuzz/frame_fuzz.c
 */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

static uint8_t wire[2048];
static size_t wire_length;

static void collect(const uint8_t *bytes, size_t count)
{
    if (count > sizeof wire - wire_length) abort();
    memcpy(wire + wire_length, bytes, count);
    wire_length += count;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count);

/* The first byte chooses the buffer's size. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t count)
{
    fsvae_frame_decoder decoder;
    size_t capacity, i;
    uint8_t *memory;
    if (count == 0) return 0;
    capacity = FSVAE_FRAME_HEADER + FSVAE_FRAME_CRC + (size_t)bytes[0] * 4u;
    memory = malloc(capacity); /* its own allocation: a byte past its end is found */
    if (memory == NULL) return 0;
    fsvae_frame_decoder_init(&decoder, memory, capacity);
    for (i = 1; i < count; i++) {
        if (fsvae_frame_decoder_push(&decoder, bytes[i]) != FSVAE_FRAME_READY) continue;
        if (decoder.length < FSVAE_FRAME_HEADER + FSVAE_FRAME_CRC || decoder.length > capacity) abort();
        /* What was decoded is encoded to a frame that decodes to the same bytes. */
        {
            fsvae_frame_encoder encoder;
            fsvae_frame_decoder second;
            uint8_t again[2048];
            size_t k;
            int ready = 0;
            wire_length = 0;
            fsvae_frame_begin(&encoder, collect, decoder.bytes[0], (int8_t)decoder.bytes[1],
                              fsvae_frame_get_u16(decoder.bytes + 2));
            fsvae_frame_put(&encoder, decoder.bytes + FSVAE_FRAME_HEADER,
                            decoder.length - FSVAE_FRAME_HEADER - FSVAE_FRAME_CRC);
            fsvae_frame_end(&encoder);
            fsvae_frame_decoder_init(&second, again, sizeof again);
            for (k = 0; k < wire_length; k++) ready |= fsvae_frame_decoder_push(&second, wire[k]) == FSVAE_FRAME_READY;
            if (!ready || second.length != decoder.length || memcmp(again, decoder.bytes, decoder.length) != 0) abort();
        }
    }
    free(memory);
    return 0;
}
