/* Constants brought into RAM, through the fetcher of fsvae.h where there is one. Copied unchanged. */
#ifndef FSVAE_FETCH_H
#define FSVAE_FETCH_H

#include "fsvae_int.h"

/* Copies words by loads and stores. */
#if defined(FSVAE_ARMV7EM)
void fsvae_copy(uint32_t *to, const uint32_t *from, uint32_t words);
#else
static inline void fsvae_copy(uint32_t *to, const uint32_t *from, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++) {
        to[i] = from[i];
    }
}
#endif

/* A copy, for what must not read flash while it fetches. NULL: begin NULL, and rows are read where they lie. */
static inline fsvae_fetcher fsvae_fetcher_in_ram(const fsvae_fetcher *fetcher)
{
    static const fsvae_fetcher none = {NULL, NULL};
    return fetcher != NULL ? *fetcher : none;
}

/* In RAM itself, as everything that runs between begin() and wait(). */
static FSVAE_RAM_CODE("fsvae_fetch_in_ram") void fsvae_fetch_in_ram(void (*begin)(void *, const void *, uint32_t),
                                                                  void (*wait)(void), void *to, const void *from,
                                                                  uint32_t words)
{
    begin(to, from, words);
    wait();
}

/* Copies constants into RAM. fetcher: NULL: by loads and stores. */
static inline void fsvae_fetch(const fsvae_fetcher *fetcher, uint32_t *to, const uint32_t *from, uint32_t words)
{
    void (*volatile fetch)(void (*)(void *, const void *, uint32_t), void (*)(void), void *, const void *, uint32_t) =
        fsvae_fetch_in_ram;
    if (fetcher != NULL) {
        fetch(fetcher->begin, fetcher->wait, to, from, words);
        return;
    }
    fsvae_copy(to, from, words);
}

#endif
