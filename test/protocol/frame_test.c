/* Drives firmware-templates/app/frame.c from the command line, for frame.test.ts.
 *
 *   frame_test check FILE         every line of vectors.txt, decoded and encoded; prints what is wrong, exits with 1
 *   frame_test decode CAPACITY    stdin: bytes from the wire; stdout: one line an event
 *   frame_test encode             stdin: lines "TYPE STATUS ID BODY"; stdout: one line of WIRE each
 */
#include "frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 8192 };

static char line[4 * MOST];
static uint8_t wire[2 * MOST];
static size_t wire_length;

static void collect(const uint8_t *bytes, size_t count)
{
    if (wire_length + count > sizeof wire) abort();
    memcpy(wire + wire_length, bytes, count);
    wire_length += count;
}

static size_t from_hex(const char *text, uint8_t *bytes)
{
    size_t count = 0;
    unsigned value;
    if (strcmp(text, "-") == 0) return 0;
    for (; sscanf(text, "%2x", &value) == 1; text += 2) bytes[count++] = (uint8_t)value;
    return count;
}

static void encode(const char *type, const char *status, const char *id, const char *body)
{
    static uint8_t bytes[MOST];
    fsvae_frame_encoder encoder;
    size_t count = from_hex(body, bytes);
    size_t half = count / 2;
    wire_length = 0;
    fsvae_frame_begin(&encoder, collect, (uint8_t)strtoul(type, NULL, 16), (int8_t)atoi(status), (uint16_t)atoi(id));
    fsvae_frame_put(&encoder, bytes, half);
    fsvae_frame_put(&encoder, bytes + half, count - half);
    fsvae_frame_end(&encoder);
}

/* Feeds bytes and appends one line an event to `events`. The decoder's memory is its own allocation, so that the
 * sanitizer sees any byte written past its end. */
static void decode(const uint8_t *bytes, size_t count, size_t capacity, FILE *events)
{
    fsvae_frame_decoder decoder;
    uint8_t *memory = malloc(capacity);
    size_t i, k;
    if (memory == NULL) abort();
    fsvae_frame_decoder_init(&decoder, memory, capacity);
    for (i = 0; i < count; i++) {
        switch (fsvae_frame_decoder_push(&decoder, bytes[i])) {
        case FSVAE_FRAME_PENDING:
            break;
        case FSVAE_FRAME_BAD:
            fputs("bad\n", events);
            break;
        case FSVAE_FRAME_QUERY:
            fputs("query\n", events);
            break;
        case FSVAE_FRAME_READY:
            fprintf(events, "%02x %d %u ", decoder.bytes[0], (int8_t)decoder.bytes[1],
                    (unsigned)fsvae_frame_get_u16(decoder.bytes + 2));
            for (k = FSVAE_FRAME_HEADER; k < decoder.length - FSVAE_FRAME_CRC; k++) {
                fprintf(events, "%02x", decoder.bytes[k]);
            }
            fputs(decoder.length == FSVAE_FRAME_HEADER + FSVAE_FRAME_CRC ? "-\n" : "\n", events);
            break;
        }
    }
    free(memory);
}

static int check(const char *path)
{
    static char expected[4 * MOST], found[4 * MOST];
    static uint8_t bytes[MOST];
    int checked = 0, wrong = 0;
    FILE *file = fopen(path, "r");
    if (file == NULL) return 2;
    while (fgets(line, sizeof line, file) != NULL) {
        char *word[8] = {0};
        size_t words = 0, count;
        char *next;
        FILE *events;
        for (next = strtok(line, " \n"); next != NULL && words < 8; next = strtok(NULL, " \n")) word[words++] = next;
        if (words == 0 || word[0][0] == '#') continue;
        checked++;
        count = from_hex(word[words - 1], bytes);
        memset(found, 0, sizeof found);
        events = fmemopen(found, sizeof found - 1, "w");
        if (events == NULL) return 2;
        decode(bytes, count, MOST, events);
        fclose(events);
        expected[0] = 0;
        if (words == 7) {
            snprintf(expected, sizeof expected, "%s %s %s %s\n", word[2], word[3], word[4], word[5]);
            encode(word[2], word[3], word[4], word[5]);
            if (strcmp(word[0], "frame") == 0 && (wire_length != count || memcmp(wire, bytes, count) != 0)) {
                printf("%s: encoded differently\n", word[1]);
                wrong++;
            }
        } else if (strcmp(word[0], "none") != 0) {
            snprintf(expected, sizeof expected, "%s\n", word[0]);
        }
        if (strcmp(expected, found) != 0) {
            printf("%s: expected %s found %s", word[1], expected, found);
            wrong++;
        }
    }
    fclose(file);
    printf("%d lines checked, %d wrong\n", checked, wrong);
    return wrong != 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "check") == 0) return check(argv[2]);
    if (argc == 3 && strcmp(argv[1], "decode") == 0) {
        static uint8_t input[1 << 20];
        size_t count = fread(input, 1, sizeof input, stdin);
        decode(input, count, (size_t)atoi(argv[2]), stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "encode") == 0) {
        static char body[4 * MOST];
        char type[8], status[8], id[8];
        size_t i;
        while (scanf("%7s %7s %7s %32767s", type, status, id, body) == 4) {
            encode(type, status, id, body);
            for (i = 0; i < wire_length; i++) printf("%02x", wire[i]);
            puts("");
        }
        return 0;
    }
    return 2;
}
