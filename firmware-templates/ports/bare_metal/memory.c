/* What a C library would bring: every port without an operating system is linked with this file. */
#include <stddef.h>
#include <stdint.h>

/* The compiler turns loops and assignments into calls of these; nothing else of a C library is used. They are the same
 * code under every compiler, so that its own library does not decide how long copying takes. */
void *memset(void *to, int value, size_t count);
void *memcpy(void *restrict to, const void *restrict from, size_t count);
void *memmove(void *to, const void *from, size_t count);

/* Keeps the compiler from taking a loop for what it does, and calling the function that it is in. */
#define NOT_A_PATTERN() __asm volatile("" ::: "memory")

#define IS_WORD_ALIGNED(bits) (((bits) & 3u) == 0u)

__attribute__((used)) void *memset(void *to, int value, size_t count)
{
    uint8_t *byte = to;
    if (IS_WORD_ALIGNED((uintptr_t)to)) {
        uint32_t *word = to;
        uint32_t four = (uint8_t)value * 0x01010101u;
        for (; count >= 4u; count -= 4u) {
            *word++ = four;
            NOT_A_PATTERN();
        }
        byte = (uint8_t *)word;
    }
    while (count-- != 0u) {
        *byte++ = (uint8_t)value;
        NOT_A_PATTERN();
    }
    return to;
}

__attribute__((used)) void *memcpy(void *restrict to, const void *restrict from, size_t count)
{
    uint8_t *byte = to;
    const uint8_t *source = from;
    if (IS_WORD_ALIGNED((uintptr_t)to | (uintptr_t)from)) {
        uint32_t *word = to;
        const uint32_t *source_word = from;
        for (; count >= 4u; count -= 4u) {
            *word++ = *source_word++;
            NOT_A_PATTERN();
        }
        byte = (uint8_t *)word;
        source = (const uint8_t *)source_word;
    }
    while (count-- != 0u) {
        *byte++ = *source++;
        NOT_A_PATTERN();
    }
    return to;
}

__attribute__((used)) void *memmove(void *to, const void *from, size_t count)
{
    uint8_t *byte = to;
    const uint8_t *source = from;
    if ((uintptr_t)to <= (uintptr_t)from) {
        while (count-- != 0u) {
            *byte++ = *source++;
            NOT_A_PATTERN();
        }
        return to;
    }
    while (count-- != 0u) {
        byte[count] = source[count];
        NOT_A_PATTERN();
    }
    return to;
}
