/* What `picotool info` shows of the image: a header within the first 256 bytes after the boot code leads to records. */
#include <stdint.h>

#include "fsvae.h"

#define ID_AND_STRING 6
#define TAG_RASPBERRY_PI 0x5052 /* "RP" */

typedef struct {
    uint16_t type;
    uint16_t tag;
    uint32_t id;
    const char *text;
} record;

static const record name = {ID_AND_STRING, TAG_RASPBERRY_PI, 0x02031c86u, "FSVAE " FSVAE_MODEL_NAME};
static const record version = {ID_AND_STRING, TAG_RASPBERRY_PI, 0x11a9bc3au, "fsvae-codegen " FSVAE_GENERATOR_VERSION};
static const record about = {ID_AND_STRING, TAG_RASPBERRY_PI, 0xb6a07c19u, "model " FSVAE_MODEL_HASH};
static const record *const records[] = {&name, &version, &about};

/* Where what is copied to RAM came from; ends with 0. No record lies in RAM. */
static const uint32_t copied_to_ram[] = {0};

__attribute__((section(".binary_info_header"), used)) static const struct {
    uint32_t start_marker;
    const record *const *first;
    const record *const *end;
    const uint32_t *copied;
    uint32_t end_marker;
} header = {0x7188ebf2u, records, records + sizeof records / sizeof records[0], copied_to_ram, 0xe71aa390u};
