/* A WebAssembly module under the serial application. fsvae.mjs, beside this file, instantiates it.
 *
 * Two ways in. receive() is the serial link: requests go in as bytes, and answers come out by the import write() before it
 * returns. sample(), decode() and, of a model with an encoder, encode() are the library alone, for whoever wants images. Each
 * way has an arena of its own, so that one does not disturb what is kept for the other.
 *
 * Nothing is allocated and the memory never grows. The stack lies below all data: what overflows it is a trap. */
#include "port.h"

#include "board_config.h"

#if !defined(BOARD_CALLED)
#error "this port is called with bytes: core of the board must begin with wasm"
#endif

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("port"), import_name(name)))

#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))
#define INPUT_BYTES ((uint32_t)MAX_OF(MAX_OF(FSVAE_LATENT_BYTES, FSVAE_IMAGE_BYTES), 4096))

IMPORT("write") void import_write(const uint8_t *bytes, size_t count);
IMPORT("nanoseconds") uint64_t import_nanoseconds(void);

EXPORT("input") uint8_t *module_input(void);
EXPORT("inputBytes") uint32_t module_input_bytes(void);
EXPORT("latentBytes") uint32_t module_latent_bytes(void);
EXPORT("channels") uint32_t module_channels(void);
EXPORT("imageSize") uint32_t module_image_size(void);
EXPORT("receive") void module_receive(uint32_t count);
EXPORT("sample") const uint8_t *module_sample(uint64_t seed);
EXPORT("decode") const uint8_t *module_decode(void);
#if defined(FSVAE_ENCODER_LAYERS)
EXPORT("encode") const uint8_t *module_encode(uint64_t seed);
#endif

static uint8_t input[INPUT_BYTES];
static uint8_t image[FSVAE_IMAGE_BYTES];
static uint64_t arena[((uint32_t)FSVAE_ARENA_BYTES + 7u) / 8u];

/* Where a latent, an image or received bytes are put before decode(), encode() or receive(). */
uint8_t *module_input(void)
{
    return input;
}

uint32_t module_input_bytes(void)
{
    return INPUT_BYTES;
}

uint32_t module_latent_bytes(void)
{
    return FSVAE_LATENT_BYTES;
}

uint32_t module_channels(void)
{
    return FSVAE_CHANNELS;
}

uint32_t module_image_size(void)
{
    return FSVAE_IMAGE_SIZE;
}

/* Takes the first `count` bytes of the input as received; at most INPUT_BYTES. */
void module_receive(uint32_t count)
{
    app_receive(input, count < INPUT_BYTES ? count : INPUT_BYTES);
}

/* An image of FSVAE_IMAGE_BYTES; it is overwritten by the next one. NULL where the library refused. */
const uint8_t *module_sample(uint64_t seed)
{
    return fsvae_sample(arena, sizeof arena, seed, image, NULL) == FSVAE_OK ? image : NULL;
}

/* The same of the latent that lies at the start of the input. */
const uint8_t *module_decode(void)
{
    return fsvae_decode(arena, sizeof arena, input, image, NULL) == FSVAE_OK ? image : NULL;
}

#if defined(FSVAE_ENCODER_LAYERS)
/* The latent of the image that lies at the start of the input; FSVAE_LATENT_BYTES, overwritten by the next one. */
const uint8_t *module_encode(uint64_t seed)
{
    static uint8_t latent[FSVAE_LATENT_BYTES];
    return fsvae_encode(arena, sizeof arena, input, seed, latent, NULL) == FSVAE_OK ? latent : NULL;
}
#endif

void port_init(void)
{
}

void port_write(const uint8_t *bytes, size_t count)
{
    import_write(bytes, count);
}

uint64_t port_cycles(void)
{
    return import_nanoseconds();
}

uint32_t port_cycles_per_second(void)
{
    return 1000000000u;
}

/* How deep the stack was is not known: a WebAssembly engine keeps most of it where no program can look. */
uint32_t port_stack_size(void)
{
    return 0;
}

uint32_t port_stack_high_water(void)
{
    return 0;
}

const fsvae_fetcher *port_fetcher(void)
{
    return NULL;
}

const fsvae_team *port_team(void)
{
    return NULL;
}

void port_serial_number(char text[33])
{
    text[0] = 0;
}

/* To start again, instantiate the module again. */
void port_reset(int to_boot_loader)
{
    (void)to_boot_loader;
}
