/* Constants brought into RAM, through the fetcher of fsvae.h where there is one. Copied unchanged. */
#ifndef FSVAE_FETCH_H
#define FSVAE_FETCH_H

#include "fsvae_int.h"

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
    for (uint32_t i = 0; i < words; i++) {
        to[i] = from[i];
    }
}

#endif
