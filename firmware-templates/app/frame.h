/* Frames of the serial link: COBS around header, body and CRC-32. docs/protocol.md is the contract.
 *
 * Decoder and encoder take memory from their caller and keep none of their own. Nothing blocks here, nothing
 * allocates. */
#ifndef FSVAE_FRAME_H
#define FSVAE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define FSVAE_FRAME_HEADER 4u /* type, status, id */
#define FSVAE_FRAME_CRC 4u

/* CRC-32 (IEEE 802.3) of what came before and `count` more bytes. `crc` is 0 to begin. */
uint32_t fsvae_frame_crc32(uint32_t crc, const uint8_t *bytes, size_t count);

typedef enum {
    FSVAE_FRAME_PENDING, /* no frame has ended yet, or an empty one has */
    FSVAE_FRAME_READY,   /* a whole frame lies in `bytes`: header, body, CRC-32 */
    FSVAE_FRAME_BAD,     /* a frame ended that is damaged, too short or too long */
    FSVAE_FRAME_QUERY    /* a person typed '?' and Return at the start of a frame */
} fsvae_frame_event;

typedef struct {
    uint8_t *bytes;    /* where decoded bytes go */
    size_t capacity;   /* decoded bytes that fit there: FSVAE_FRAME_HEADER + largest body + FSVAE_FRAME_CRC */
    size_t length;     /* decoded bytes so far */
    uint32_t crc;      /* CRC-32 of them */
    uint32_t received; /* bytes on the wire since the last 0x00; stays at 3 from the third on */
    uint8_t code;      /* code byte of the current COBS block */
    uint8_t left;      /* bytes of that block still to come */
    uint8_t first;     /* first byte on the wire of this frame */
    uint8_t overflow;  /* 1: longer than `capacity`, so the rest is swallowed up to the next 0x00 */
    uint8_t line_feed; /* 1: a '\n' that comes next belongs to the "\r\n" of a query */
} fsvae_frame_decoder;

/* Begins at a frame boundary. `bytes` must stay valid as long as the decoder is used. */
void fsvae_frame_decoder_init(fsvae_frame_decoder *decoder, uint8_t *bytes, size_t capacity);

/* Takes one byte from the wire. After FSVAE_FRAME_READY, decoder->bytes[0 .. decoder->length - 1] is the frame until
 * the next call. */
fsvae_frame_event fsvae_frame_decoder_push(fsvae_frame_decoder *decoder, uint8_t byte);

/* Where the encoder sends bytes: port_write() has this type. */
typedef void (*fsvae_frame_write)(const uint8_t *bytes, size_t count);

typedef struct {
    fsvae_frame_write write;
    uint32_t crc;
    uint8_t fill;       /* bytes in the open COBS block, 0 to 253 between calls */
    uint8_t after_full; /* 1: the block before was one of 254 bytes, which stands for no zero */
    uint8_t block[255]; /* code byte and up to 254 bytes */
} fsvae_frame_encoder;

/* A frame is begin, any number of puts (none for an empty body), end. It is sent in pieces of at most 255 bytes. */
void fsvae_frame_begin(fsvae_frame_encoder *encoder, fsvae_frame_write write, uint8_t type, int8_t status, uint16_t id);
void fsvae_frame_put(fsvae_frame_encoder *encoder, const uint8_t *bytes, size_t count);
void fsvae_frame_put_u8(fsvae_frame_encoder *encoder, uint8_t value);
void fsvae_frame_put_u16(fsvae_frame_encoder *encoder, uint16_t value);
void fsvae_frame_put_u32(fsvae_frame_encoder *encoder, uint32_t value);
void fsvae_frame_put_u64(fsvae_frame_encoder *encoder, uint64_t value);
void fsvae_frame_end(fsvae_frame_encoder *encoder);

/* Little-endian numbers out of a body. */
uint16_t fsvae_frame_get_u16(const uint8_t *bytes);
uint32_t fsvae_frame_get_u32(const uint8_t *bytes);
uint64_t fsvae_frame_get_u64(const uint8_t *bytes);

#endif
