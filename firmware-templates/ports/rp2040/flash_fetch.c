/* Reads flash in bulk by DMA, one address for all words, while the core computes in RAM.
 *
 * A read through the cache costs address and dummy clocks every time; in bulk they are paid once, and a word costs the 8
 * clocks that its bits take. But the flash interface must leave execute-in-place for it. So from begin() to wait() nothing
 * may be read from flash, neither code nor constants nor the interrupt vectors: interrupts are masked meanwhile. A row of
 * the prior's last layer takes 17 us of that, and the UART's FIFO holds 2.8 ms of what comes in.
 *
 * It needs the interface as boot2.S leaves it: quad frames of 32 bits, the chip in continuous read. */
#include "flash_fetch.h"

#include "fsvae.h"
#include "port.h"
#include "rp2040.h"

static uint32_t interrupts_masked; /* PRIMASK before begin() */

void start_flash_fetch(void)
{
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = RESET_DMA;
    while ((REGISTER(RESETS_RESET_DONE) & RESET_DMA) == 0u) {
    }
    REGISTER(DMA_CH0_READ_ADDR) = SSI_DR0;
}

__attribute__((section(".ramcode.flash_fetch_begin"), noinline)) static void begin(void *to, const void *from,
                                                                                   uint32_t words)
{
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    interrupts_masked = masked;
    REGISTER(DMA_CH0_WRITE_ADDR) = (uint32_t)(uintptr_t)to;
    REGISTER(DMA_CH0_TRANS_COUNT) = words;
    REGISTER(DMA_CH0_CTRL_TRIG) = DMA_SSI_WORDS_TO_MEMORY;
    REGISTER(SSI_SSIENR) = 0u;
    REGISTER(SSI_CTRLR1) = words - 1u;
    REGISTER(SSI_DMACR) = SSI_DMA_RECEIVE;
    REGISTER(SSI_SSIENR) = 1u;
    REGISTER(SSI_DR0) = (uint32_t)(uintptr_t)from << 8 | SSI_CONTINUE_READING;
}

__attribute__((section(".ramcode.flash_fetch_wait"), noinline)) static void wait(void)
{
    while ((REGISTER(DMA_CH0_CTRL_TRIG) & DMA_BUSY) != 0u) {
    }
    REGISTER(SSI_SSIENR) = 0u;
    REGISTER(SSI_CTRLR1) = 0u;
    REGISTER(SSI_DMACR) = 0u;
    REGISTER(SSI_SSIENR) = 1u;
    __asm volatile("msr primask, %0" ::"r"(interrupts_masked) : "memory");
}

const fsvae_fetcher *port_fetcher(void)
{
    static const fsvae_fetcher fetcher = {begin, wait};
    return &fetcher;
}
