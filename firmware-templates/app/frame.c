#include "frame.h"

/* CRC-32 with a zero final xor of everything up to and including a right CRC-32 is this constant, whatever the data. */
#define CRC_RESIDUE 0x2144df1cu

/* Entry n: the remainder of n after four bits. Sixteen entries rather than 256: 64 bytes of flash, and a frame's
 * bytes come in far more slowly than two look-ups a byte. */
static const uint32_t crc_nibble[16] = {
    0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
    0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
};

uint32_t fsvae_frame_crc32(uint32_t crc, const uint8_t *bytes, size_t count)
{
    crc = ~crc;
    while (count-- != 0) {
        crc ^= *bytes++;
        crc = (crc >> 4) ^ crc_nibble[crc & 15u];
        crc = (crc >> 4) ^ crc_nibble[crc & 15u];
    }
    return ~crc;
}

/* -- decoder -- */

static void decoder_restart(fsvae_frame_decoder *decoder)
{
    decoder->length = 0;
    decoder->crc = 0;
    decoder->received = 0;
    decoder->code = 0;
    decoder->left = 0;
    decoder->first = 0;
    decoder->overflow = 0;
    decoder->line_feed = 0;
}

void fsvae_frame_decoder_init(fsvae_frame_decoder *decoder, uint8_t *bytes, size_t capacity)
{
    decoder->bytes = bytes;
    decoder->capacity = capacity;
    decoder_restart(decoder);
}

static void decoder_append(fsvae_frame_decoder *decoder, uint8_t byte)
{
    if (decoder->length == decoder->capacity) {
        decoder->overflow = 1;
        return;
    }
    decoder->bytes[decoder->length++] = byte;
    decoder->crc = fsvae_frame_crc32(decoder->crc, &byte, 1);
}

static fsvae_frame_event decoder_finish(fsvae_frame_decoder *decoder)
{
    size_t length = decoder->length;
    fsvae_frame_event event = FSVAE_FRAME_BAD;
    if (decoder->received == 0) {
        return FSVAE_FRAME_PENDING;
    }
    if (decoder->left == 0 && decoder->overflow == 0 && length >= FSVAE_FRAME_HEADER + FSVAE_FRAME_CRC &&
        decoder->crc == CRC_RESIDUE) {
        event = FSVAE_FRAME_READY;
    }
    decoder_restart(decoder);
    if (event == FSVAE_FRAME_READY) {
        decoder->length = length;
    }
    return event;
}

fsvae_frame_event fsvae_frame_decoder_push(fsvae_frame_decoder *decoder, uint8_t byte)
{
    if (byte == 0) {
        return decoder_finish(decoder);
    }
    if (decoder->line_feed != 0 && byte == (uint8_t)'\n') {
        decoder->line_feed = 0;
        return FSVAE_FRAME_PENDING;
    }
    if (decoder->received == 0) {
        decoder_restart(decoder); /* drops the frame that was handed out before */
        decoder->first = byte;
    }
    if (decoder->received < 3) {
        decoder->received++;
    }
    if (decoder->received == 2 && decoder->first == (uint8_t)'?' && (byte == (uint8_t)'\r' || byte == (uint8_t)'\n')) {
        decoder_restart(decoder);
        decoder->line_feed = byte == (uint8_t)'\r';
        return FSVAE_FRAME_QUERY;
    }
    if (decoder->left != 0) {
        decoder->left--;
        decoder_append(decoder, byte);
        return FSVAE_FRAME_PENDING;
    }
    /* A block's end stands for a zero, except at the end of the frame and after a full block. */
    if (decoder->code != 0 && decoder->code != 255) {
        decoder_append(decoder, 0);
    }
    decoder->code = byte;
    decoder->left = (uint8_t)(byte - 1u);
    return FSVAE_FRAME_PENDING;
}

/* -- encoder -- */

static void encoder_flush(fsvae_frame_encoder *encoder)
{
    encoder->block[0] = (uint8_t)(encoder->fill + 1u);
    encoder->write(encoder->block, (size_t)encoder->fill + 1u);
    encoder->after_full = encoder->fill == 254;
    encoder->fill = 0;
}

static void encoder_stuff(fsvae_frame_encoder *encoder, uint8_t byte)
{
    if (byte == 0) {
        encoder_flush(encoder);
        encoder->after_full = 0;
        return;
    }
    encoder->block[1u + encoder->fill++] = byte;
    if (encoder->fill == 254) {
        encoder_flush(encoder);
    }
}

void fsvae_frame_begin(fsvae_frame_encoder *encoder, fsvae_frame_write write, uint8_t type, int8_t status, uint16_t id)
{
    static const uint8_t delimiter = 0;
    encoder->write = write;
    encoder->crc = 0;
    encoder->fill = 0;
    encoder->after_full = 0;
    write(&delimiter, 1); /* whatever noise came before is now a frame of its own */
    fsvae_frame_put_u8(encoder, type);
    fsvae_frame_put_u8(encoder, (uint8_t)status);
    fsvae_frame_put_u16(encoder, id);
}

void fsvae_frame_put(fsvae_frame_encoder *encoder, const uint8_t *bytes, size_t count)
{
    size_t i;
    encoder->crc = fsvae_frame_crc32(encoder->crc, bytes, count);
    for (i = 0; i < count; i++) {
        encoder_stuff(encoder, bytes[i]);
    }
}

void fsvae_frame_put_u8(fsvae_frame_encoder *encoder, uint8_t value)
{
    fsvae_frame_put(encoder, &value, 1);
}

void fsvae_frame_put_u16(fsvae_frame_encoder *encoder, uint16_t value)
{
    fsvae_frame_put_u8(encoder, (uint8_t)(value & 255u));
    fsvae_frame_put_u8(encoder, (uint8_t)(value >> 8));
}

void fsvae_frame_put_u32(fsvae_frame_encoder *encoder, uint32_t value)
{
    fsvae_frame_put_u16(encoder, (uint16_t)(value & 0xffffu));
    fsvae_frame_put_u16(encoder, (uint16_t)(value >> 16));
}

void fsvae_frame_put_u64(fsvae_frame_encoder *encoder, uint64_t value)
{
    fsvae_frame_put_u32(encoder, (uint32_t)(value & 0xffffffffu));
    fsvae_frame_put_u32(encoder, (uint32_t)(value >> 32));
}

void fsvae_frame_end(fsvae_frame_encoder *encoder)
{
    static const uint8_t delimiter = 0;
    fsvae_frame_put_u32(encoder, encoder->crc);
    if (encoder->fill != 0 || encoder->after_full == 0) {
        encoder_flush(encoder);
    }
    encoder->write(&delimiter, 1);
}

/* -- numbers -- */

uint16_t fsvae_frame_get_u16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] | (uint32_t)bytes[1] << 8);
}

uint32_t fsvae_frame_get_u32(const uint8_t *bytes)
{
    return fsvae_frame_get_u16(bytes) | (uint32_t)fsvae_frame_get_u16(bytes + 2) << 16;
}

uint64_t fsvae_frame_get_u64(const uint8_t *bytes)
{
    return fsvae_frame_get_u32(bytes) | (uint64_t)fsvae_frame_get_u32(bytes + 4) << 32;
}
