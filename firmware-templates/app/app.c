/* The serial application: answers the requests of docs/protocol.md with images of the model.
 *
 * One request is served at a time, to its end. All memory is static: the model's arena, one buffer for what comes in
 * and what is drawn, and the monitor. */
#include "board_config.h"
#include "frame.h"
#include "fsvae.h"
#include "port.h"

enum {
    PROTOCOL_MAJOR = 1,
    PROTOCOL_MINOR = 2
};

enum {
    REQUEST_HELLO = 0x01,
    REQUEST_SAMPLE = 0x02,
    REQUEST_DECODE = 0x03,
    REQUEST_TRACE = 0x04,
    REQUEST_TENSOR = 0x05,
    REQUEST_STATISTICS = 0x06,
    REQUEST_RESET = 0x07,
    REQUEST_LAYERS = 0x08,
    REQUEST_CONSTANTS = 0x09, /* 0x0A and 0x0D are line ends, never a request */
    REQUEST_ENCODER = 0x0B,
    REQUEST_ENCODE = 0x0C,
    REQUEST_RECONSTRUCT = 0x0E,
    REQUEST_ENCODER_TRACE = 0x0F,
    RESPONSE = 0x80 /* or-ed to the request's type */
};

enum {
    STATUS_OK = 0,
    STATUS_BAD_FRAME = -1,
    STATUS_UNKNOWN_REQUEST = -2,
    STATUS_BAD_LENGTH = -3,
    STATUS_BAD_ARGUMENT = -4,
    STATUS_UNSUPPORTED = -5,
    STATUS_INTERNAL = -6
};

enum {
    TENSOR_SPIKES = 0,
    TENSOR_MEMBRANES = 1
};

enum {
    CONSTANTS_DIGESTS = 0,
    CONSTANTS_WORDS = 1
};

#define STRING_MAX 63u /* longest text in a body; longer ones are cut */

/* Most bytes of spikes or membranes in one answer, and of an address with constants or their digests. */
#define TENSOR_BYTES 4096u
#define CONSTANTS_BYTES (TENSOR_BYTES - 4u)

#define MAX_OF(a, b) ((a) > (b) ? (a) : (b))

/* The largest body of an answer, by request. */
#define HELLO_BODY (42u + 4u * (1u + STRING_MAX))
#define IMAGE_BODY (8u + (uint32_t)FSVAE_IMAGE_BYTES)
#define TRACE_BODY (4u + 4u * (uint32_t)FSVAE_LAYERS * (1u + (uint32_t)FSVAE_TIME_STEPS))
#define STATISTICS_BODY (20u + 8u * ((uint32_t)FSVAE_LAYERS + 1u))
#define LAYERS_BODY ((uint32_t)FSVAE_LAYERS * (4u + 1u + STRING_MAX))
#if defined(FSVAE_ENCODER_LAYERS)
#define ENCODER_BODY (14u + (uint32_t)FSVAE_ENCODER_LAYERS * (12u + 1u + STRING_MAX))
#define LATENT_BODY (8u + (uint32_t)FSVAE_LATENT_BYTES)
#define RECONSTRUCTION_BODY (16u + (uint32_t)FSVAE_IMAGE_BYTES)
#define ENCODER_TRACE_BODY (4u + 4u * (uint32_t)FSVAE_ENCODER_LAYERS * (1u + (uint32_t)FSVAE_TIME_STEPS))
#define WITH_ENCODER_BODY \
    MAX_OF(MAX_OF(ENCODER_BODY, LATENT_BODY), MAX_OF(RECONSTRUCTION_BODY, ENCODER_TRACE_BODY))
#define PIXELS_BODY (8u + (uint32_t)FSVAE_IMAGE_BYTES) /* a request that brings an image */
#else
#define WITH_ENCODER_BODY 0u
#define PIXELS_BODY 0u
#endif
#define FSVAE_APP_MAX_BODY                                                       \
    MAX_OF(MAX_OF(MAX_OF(HELLO_BODY, IMAGE_BODY), MAX_OF(TRACE_BODY, WITH_ENCODER_BODY)), \
           MAX_OF(MAX_OF(STATISTICS_BODY, LAYERS_BODY), TENSOR_BYTES))

/* The one buffer, in bytes from its start: the request's header, which stays until it is answered; the request's body
 * or, once its arguments are read, captured spikes or membranes; the image. */
#define CAPTURE_AT FSVAE_FRAME_HEADER
#define CAPTURE_BYTES \
    MAX_OF(MAX_OF((uint32_t)FSVAE_LATENT_BYTES, PIXELS_BODY) + FSVAE_FRAME_CRC, TENSOR_BYTES)
#define IMAGE_AT (CAPTURE_AT + CAPTURE_BYTES)

static uint64_t arena[((uint32_t)FSVAE_ARENA_BYTES + 7u) / 8u];                /* uint64_t for its alignment */
static int32_t buffer[(IMAGE_AT + (uint32_t)FSVAE_IMAGE_BYTES + 3u) / 4u]; /* int32_t for the captured membranes */
static fsvae_monitor monitor;
static fsvae_frame_encoder encoder;

static uint64_t last_cycles[FSVAE_LAYERS + 1]; /* of the last image answered, by row; then the readout */
#if defined(FSVAE_ENCODER_LAYERS)
static uint8_t latent[FSVAE_LATENT_BYTES];
static uint64_t last_encoding[FSVAE_ENCODER_LAYERS]; /* cycles of the last image that was encoded, by row */
#endif
static uint32_t images_drawn;
static uint32_t bad_frames;
static uint32_t weight_checksum;
static int weight_checksum_known;

static uint8_t *buffer_bytes(void)
{
    return (uint8_t *)buffer;
}

static size_t text_length(const char *text)
{
    size_t length = 0;
    while (length < STRING_MAX && text[length] != 0) {
        length++;
    }
    return length;
}

/* -- answers -- */

static void begin(const uint8_t *request, int8_t status)
{
    fsvae_frame_begin(&encoder, port_write, (uint8_t)(request[0] | RESPONSE), status, fsvae_frame_get_u16(request + 2));
}

static void put_text(const char *text)
{
    size_t length = text_length(text);
    fsvae_frame_put_u8(&encoder, (uint8_t)length);
    fsvae_frame_put(&encoder, (const uint8_t *)text, length);
}

static void end(void)
{
    fsvae_frame_end(&encoder);
}

static void answer_error(const uint8_t *request, int8_t status, const char *text)
{
    begin(request, status);
    fsvae_frame_put(&encoder, (const uint8_t *)text, text_length(text));
    end();
}

/* The request was not understood, so its type and id are not known: both are 0 in the answer. */
static void answer_bad_frame(void)
{
    static const uint8_t nothing[FSVAE_FRAME_HEADER] = {0};
    bad_frames++;
    answer_error(nothing, STATUS_BAD_FRAME, "frame damaged, too short or too long");
}

static void answer_image(const uint8_t *request, int result, uint64_t cycles)
{
    uint32_t row;
    if (result != FSVAE_OK) {
        answer_error(request, STATUS_INTERNAL, "the model refused to draw");
        return;
    }
    for (row = 0; row <= (uint32_t)FSVAE_LAYERS; row++) {
        last_cycles[row] = monitor.layer_cycles[row];
    }
    images_drawn++;
    begin(request, STATUS_OK);
    fsvae_frame_put_u64(&encoder, cycles);
    fsvae_frame_put(&encoder, buffer_bytes() + IMAGE_AT, FSVAE_IMAGE_BYTES);
    end();
}

static void write_text(const char *text)
{
    size_t length = 0;
    while (text[length] != 0) {
        length++;
    }
    port_write((const uint8_t *)text, length);
}

/* For a person with a terminal program. The 0x00 at the end tells a decoder that a frame may begin. */
static void answer_query(void)
{
    static const uint8_t delimiter = 0;
    write_text("fsvae-codegen " FSVAE_GENERATOR_VERSION ", model " FSVAE_MODEL_NAME " (" FSVAE_MODEL_HASH ") on ");
    write_text(BOARD_NAME);
    write_text(". This link speaks binary frames: talk to it with the fsvae-codegen command.\r\n");
    port_write(&delimiter, 1);
}

/* -- requests -- */

static void monitor_restart(void)
{
    uint8_t *bytes = (uint8_t *)&monitor;
    size_t i;
    for (i = 0; i < sizeof monitor; i++) {
        bytes[i] = 0;
    }
    monitor.probe_layer = -1;
    monitor.fetcher = port_fetcher();
    monitor.team = port_team();
}

static int sample(uint64_t seed)
{
    return fsvae_sample(arena, sizeof arena, seed, buffer_bytes() + IMAGE_AT, &monitor);
}

static uint8_t hex_digit(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return (uint8_t)(digit - '0');
    }
    return (uint8_t)((digit | 0x20) - 'a' + 10);
}

/* The first 16 hexadecimal digits of a hash, as 8 bytes. */
static void put_hash(const char *hash)
{
    uint32_t i;
    for (i = 0; i < 16; i += 2) {
        fsvae_frame_put_u8(&encoder, (uint8_t)(hex_digit(hash[i]) << 4 | hex_digit(hash[i + 1])));
    }
}

static void serve_hello(const uint8_t *request)
{
    char serial_number[33] = {0};
    if (!weight_checksum_known) {
        weight_checksum = fsvae_weight_checksum();
        weight_checksum_known = 1;
    }
    port_serial_number(serial_number);
    serial_number[32] = 0;
    begin(request, STATUS_OK);
    fsvae_frame_put_u8(&encoder, PROTOCOL_MAJOR);
    fsvae_frame_put_u8(&encoder, PROTOCOL_MINOR);
    fsvae_frame_put_u16(&encoder, FSVAE_CHANNELS);
    fsvae_frame_put_u16(&encoder, FSVAE_IMAGE_SIZE);
    fsvae_frame_put_u16(&encoder, FSVAE_TIME_STEPS);
    fsvae_frame_put_u16(&encoder, FSVAE_LATENT_CHANNELS);
    fsvae_frame_put_u16(&encoder, FSVAE_CHOICES);
    fsvae_frame_put_u16(&encoder, FSVAE_LAYERS);
    put_hash(FSVAE_MODEL_HASH);
    fsvae_frame_put_u32(&encoder, weight_checksum);
    fsvae_frame_put_u32(&encoder, FSVAE_ARENA_BYTES);
    fsvae_frame_put_u32(&encoder, BOARD_STACK_BYTES);
    fsvae_frame_put_u32(&encoder, port_cycles_per_second());
    fsvae_frame_put_u32(&encoder, FSVAE_APP_MAX_BODY);
    put_text(FSVAE_GENERATOR_VERSION);
    put_text(BOARD_NAME);
    put_text(FSVAE_MODEL_NAME);
    put_text(serial_number);
    end();
}

static void serve_sample(const uint8_t *request)
{
    uint64_t seed = fsvae_frame_get_u64(request + FSVAE_FRAME_HEADER);
    uint64_t start;
    int result;
    monitor_restart();
    monitor.cycles = port_cycles;
    start = port_cycles();
    result = sample(seed);
    answer_image(request, result, port_cycles() - start);
}

static void serve_decode(const uint8_t *request)
{
    uint64_t start;
    int result;
    monitor_restart();
    monitor.cycles = port_cycles;
    start = port_cycles();
    result = fsvae_decode(arena, sizeof arena, request + FSVAE_FRAME_HEADER, buffer_bytes() + IMAGE_AT, &monitor);
    answer_image(request, result, port_cycles() - start);
}

/* What was watched: a CRC-32 of what came out, spikes and digests of so many rows. */
static void answer_digests(const uint8_t *request, uint32_t crc, uint32_t rows)
{
    uint32_t row;
    uint32_t step;
    begin(request, STATUS_OK);
    fsvae_frame_put_u32(&encoder, crc);
    for (row = 0; row < rows; row++) {
        fsvae_frame_put_u32(&encoder, monitor.spikes[row]);
    }
    for (row = 0; row < rows; row++) {
        for (step = 0; step < (uint32_t)FSVAE_TIME_STEPS; step++) {
            fsvae_frame_put_u32(&encoder, monitor.digest[row][step]);
        }
    }
    end();
}

static void serve_trace(const uint8_t *request)
{
    monitor_restart();
    monitor.trace = 1;
    if (sample(fsvae_frame_get_u64(request + FSVAE_FRAME_HEADER)) != FSVAE_OK) {
        answer_error(request, STATUS_INTERNAL, "the model refused to draw");
        return;
    }
    answer_digests(request, fsvae_frame_crc32(0, buffer_bytes() + IMAGE_AT, FSVAE_IMAGE_BYTES), (uint32_t)FSVAE_LAYERS);
}

static void serve_tensor(const uint8_t *request)
{
    const uint8_t *body = request + FSVAE_FRAME_HEADER;
    uint64_t seed = fsvae_frame_get_u64(body);
    uint32_t row = body[8];
    uint32_t step = body[9];
    uint32_t kind = body[10];
    uint32_t first = fsvae_frame_get_u32(body + 11);
    uint32_t count = fsvae_frame_get_u32(body + 15);
    int32_t *captured = buffer + CAPTURE_AT / 4u;
    uint32_t limit = kind == TENSOR_SPIKES ? TENSOR_BYTES * 8u : TENSOR_BYTES / 4u;
    uint32_t i;
    if (row >= (uint32_t)FSVAE_LAYERS || step >= (uint32_t)FSVAE_TIME_STEPS) {
        answer_error(request, STATUS_BAD_ARGUMENT, "no such layer or step");
        return;
    }
    if (kind > TENSOR_MEMBRANES || (kind == TENSOR_SPIKES && row == 0)) {
        answer_error(request, STATUS_BAD_ARGUMENT, "no such kind for this layer");
        return;
    }
    if (count == 0 || count > limit || first > fsvae_layer_neurons[row] || count > fsvae_layer_neurons[row] - first) {
        answer_error(request, STATUS_BAD_ARGUMENT, "no such range of neurons, or too many at once");
        return;
    }
    for (i = 0; i < TENSOR_BYTES / 4u; i++) {
        captured[i] = 0;
    }
    monitor_restart();
    monitor.probe_layer = (int)row;
    monitor.probe_step = (int)step;
    monitor.probe_first = first;
    monitor.probe_count = count;
    if (kind == TENSOR_SPIKES) {
        monitor.probe_spikes = (uint8_t *)captured;
    } else {
        monitor.probe_membrane = captured;
    }
    if (sample(seed) != FSVAE_OK) {
        answer_error(request, STATUS_INTERNAL, "the model refused to draw");
        return;
    }
    begin(request, STATUS_OK);
    if (kind == TENSOR_SPIKES) {
        fsvae_frame_put(&encoder, (const uint8_t *)captured, (count + 7u) / 8u);
    } else {
        for (i = 0; i < count; i++) {
            fsvae_frame_put_u32(&encoder, (uint32_t)captured[i]);
        }
    }
    end();
}

static void serve_statistics(const uint8_t *request)
{
    uint32_t row;
    begin(request, STATUS_OK);
    fsvae_frame_put_u32(&encoder, port_stack_size());
    fsvae_frame_put_u32(&encoder, port_stack_high_water());
    fsvae_frame_put_u32(&encoder, FSVAE_ARENA_BYTES);
    fsvae_frame_put_u32(&encoder, images_drawn);
    fsvae_frame_put_u32(&encoder, bad_frames);
    for (row = 0; row <= (uint32_t)FSVAE_LAYERS; row++) {
        fsvae_frame_put_u64(&encoder, last_cycles[row]);
    }
    end();
}

static void serve_layers(const uint8_t *request)
{
    uint32_t row;
    begin(request, STATUS_OK);
    for (row = 0; row < (uint32_t)FSVAE_LAYERS; row++) {
        fsvae_frame_put_u32(&encoder, fsvae_layer_neurons[row]);
        put_text(fsvae_layer_names[row]);
    }
    end();
}

/* Constants as they lie in memory, word by word or as digests of parts: where one was damaged, and what it is now. */
static void serve_constants(const uint8_t *request)
{
    const uint32_t total = (uint32_t)FSVAE_WEIGHT_BYTES / 4u;
    const uint8_t *bytes = (const uint8_t *)fsvae_constants();
    const uint8_t *body = request + FSVAE_FRAME_HEADER;
    const uint32_t kind = body[0];
    const uint32_t first = fsvae_frame_get_u32(body + 1);
    const uint32_t words = fsvae_frame_get_u32(body + 5);
    const uint32_t count = fsvae_frame_get_u32(body + 9);
    const uint32_t step = kind == CONSTANTS_WORDS ? 1u : words;
    uint32_t i;
    if (kind > CONSTANTS_WORDS || (kind == CONSTANTS_WORDS && words != 1u)) {
        answer_error(request, STATUS_BAD_ARGUMENT, "no such kind of constants");
        return;
    }
    if (count == 0 || count > CONSTANTS_BYTES / 4u || step == 0 || first >= total ||
        (count - 1u) > (total - 1u - first) / step) {
        answer_error(request, STATUS_BAD_ARGUMENT, "no such range of constants, or too many at once");
        return;
    }
    begin(request, STATUS_OK);
    fsvae_frame_put_u32(&encoder, (uint32_t)((uintptr_t)bytes + 4u * first));
    for (i = 0; i < count; i++) {
        const uint32_t at = first + i * step;
        const uint8_t *part = bytes + 4u * (size_t)at;
        if (kind == CONSTANTS_WORDS) {
            fsvae_frame_put(&encoder, part, 4);
        } else {
            fsvae_frame_put_u32(&encoder, fsvae_frame_crc32(0, part, 4u * (size_t)(step < total - at ? step : total - at)));
        }
    }
    end();
}

#if defined(FSVAE_ENCODER_LAYERS)

/* What the encoder is, and what its rows cost when it last ran. */
static void serve_encoder(const uint8_t *request)
{
    static uint32_t checksum;
    static int checksum_known;
    uint32_t row;
    if (!checksum_known) {
        checksum = fsvae_encoder_weight_checksum();
        checksum_known = 1;
    }
    begin(request, STATUS_OK);
    put_hash(FSVAE_ENCODER_HASH);
    fsvae_frame_put_u32(&encoder, checksum);
    fsvae_frame_put_u16(&encoder, FSVAE_ENCODER_LAYERS);
    for (row = 0; row < (uint32_t)FSVAE_ENCODER_LAYERS; row++) {
        fsvae_frame_put_u32(&encoder, fsvae_encoder_layer_neurons[row]);
        fsvae_frame_put_u64(&encoder, last_encoding[row]);
        put_text(fsvae_encoder_layer_names[row]);
    }
    end();
}

/* The latent of the image in a request's body, behind its seed. */
static int encode(const uint8_t *request)
{
    const uint8_t *body = request + FSVAE_FRAME_HEADER;
    int result = fsvae_encode(arena, sizeof arena, body + 8, fsvae_frame_get_u64(body), latent, &monitor);
    uint32_t row;
    for (row = 0; row < (uint32_t)FSVAE_ENCODER_LAYERS && monitor.cycles != NULL; row++) {
        last_encoding[row] = monitor.layer_cycles[row];
    }
    return result;
}

static void serve_encode(const uint8_t *request)
{
    uint64_t cycles;
    int result;
    monitor_restart();
    monitor.cycles = port_cycles;
    cycles = port_cycles();
    result = encode(request);
    cycles = port_cycles() - cycles;
    if (result != FSVAE_OK) {
        answer_error(request, STATUS_INTERNAL, "the model refused to encode");
        return;
    }
    begin(request, STATUS_OK);
    fsvae_frame_put_u64(&encoder, cycles);
    fsvae_frame_put(&encoder, latent, sizeof latent);
    end();
}

/* Encodes an image and draws it again; the error is the sum of the squared differences of their bytes. */
static void serve_reconstruct(const uint8_t *request)
{
    const uint8_t *original = request + FSVAE_FRAME_HEADER + 8;
    const uint8_t *drawn = buffer_bytes() + IMAGE_AT;
    uint64_t cycles;
    uint64_t error = 0;
    uint32_t i;
    int result;
    monitor_restart();
    monitor.cycles = port_cycles;
    cycles = port_cycles();
    result = encode(request);
    if (result == FSVAE_OK) {
        result = fsvae_decode(arena, sizeof arena, latent, buffer_bytes() + IMAGE_AT, &monitor);
    }
    cycles = port_cycles() - cycles;
    if (result != FSVAE_OK) {
        answer_error(request, STATUS_INTERNAL, "the model refused to reconstruct");
        return;
    }
    for (i = 0; i < (uint32_t)FSVAE_IMAGE_BYTES; i++) {
        int32_t difference = (int32_t)original[i] - (int32_t)drawn[i];
        error += (uint32_t)(difference * difference);
    }
    begin(request, STATUS_OK);
    fsvae_frame_put_u64(&encoder, cycles);
    fsvae_frame_put_u64(&encoder, error);
    fsvae_frame_put(&encoder, drawn, FSVAE_IMAGE_BYTES);
    end();
}

static void serve_encoder_trace(const uint8_t *request)
{
    monitor_restart();
    monitor.trace = 1;
    if (encode(request) != FSVAE_OK) {
        answer_error(request, STATUS_INTERNAL, "the model refused to encode");
        return;
    }
    answer_digests(request, fsvae_frame_crc32(0, latent, sizeof latent), (uint32_t)FSVAE_ENCODER_LAYERS);
}

#endif

static void serve_reset(const uint8_t *request)
{
    uint8_t mode = request[FSVAE_FRAME_HEADER];
    uint64_t start;
    if (mode > 1) {
        answer_error(request, STATUS_BAD_ARGUMENT, "reset to 0 (application) or 1 (boot loader)");
        return;
    }
    begin(request, STATUS_OK);
    end();
    /* port_write() returns when the bytes are queued: give the hardware 20 ms to send them. */
    start = port_cycles();
    while (port_cycles() - start < port_cycles_per_second() / 50u) {
    }
    port_reset(mode);
}

/* How long a request's body must be, and who serves it. */
typedef struct {
    uint8_t type;
    uint32_t length;
    void (*serve)(const uint8_t *request);
} request_entry;

static const request_entry requests[] = {
    {REQUEST_HELLO, 0, serve_hello},
    {REQUEST_SAMPLE, 8, serve_sample},
    {REQUEST_DECODE, FSVAE_LATENT_BYTES, serve_decode},
    {REQUEST_TRACE, 8, serve_trace},
    {REQUEST_TENSOR, 19, serve_tensor},
    {REQUEST_STATISTICS, 0, serve_statistics},
    {REQUEST_RESET, 1, serve_reset},
    {REQUEST_LAYERS, 0, serve_layers},
    {REQUEST_CONSTANTS, 13, serve_constants},
#if defined(FSVAE_ENCODER_LAYERS)
    {REQUEST_ENCODER, 0, serve_encoder},
    {REQUEST_ENCODE, PIXELS_BODY, serve_encode},
    {REQUEST_RECONSTRUCT, PIXELS_BODY, serve_reconstruct},
    {REQUEST_ENCODER_TRACE, PIXELS_BODY, serve_encoder_trace},
#endif
};

static void serve(const uint8_t *request, size_t length)
{
    size_t i;
    if ((request[0] & RESPONSE) != 0) {
        return; /* an answer, not a request: the line echoes. Answering it would never end. */
    }
    if (request[1] != 0) {
        answer_error(request, STATUS_BAD_ARGUMENT, "the status of a request must be 0");
        return;
    }
    for (i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        if (requests[i].type == request[0]) {
            if (length - FSVAE_FRAME_HEADER - FSVAE_FRAME_CRC != requests[i].length) {
                answer_error(request, STATUS_BAD_LENGTH, "the body has the wrong length for this request");
                return;
            }
            requests[i].serve(request);
            return;
        }
    }
    answer_error(request, STATUS_UNKNOWN_REQUEST, "no such request in this protocol version");
}

static void take(fsvae_frame_decoder *decoder, uint8_t byte)
{
    switch (fsvae_frame_decoder_push(decoder, byte)) {
    case FSVAE_FRAME_READY:
        serve(decoder->bytes, decoder->length);
        break;
    case FSVAE_FRAME_BAD:
        answer_bad_frame();
        break;
    case FSVAE_FRAME_QUERY:
        answer_query();
        break;
    case FSVAE_FRAME_PENDING:
        break;
    }
}

#if defined(BOARD_CALLED)

void app_receive(const uint8_t *bytes, size_t count)
{
    static fsvae_frame_decoder decoder; /* a frame may come in several calls */
    size_t i;
    if (decoder.bytes == NULL) {
        port_init();
        fsvae_frame_decoder_init(&decoder, buffer_bytes(), IMAGE_AT);
    }
    for (i = 0; i < count; i++) {
        take(&decoder, bytes[i]);
    }
}

#else

int main(void)
{
    fsvae_frame_decoder decoder;
    port_init();
    fsvae_frame_decoder_init(&decoder, buffer_bytes(), IMAGE_AT);
    for (;;) {
        int byte = port_read();
        if (byte < 0) {
            port_idle();
            continue;
        }
        take(&decoder, (uint8_t)byte);
    }
}

#endif
