/* Reads the flash chip's unique id, command 4Bh of the Winbond W25Q parts and those that follow them.
 *
 * To talk to the chip its interface must leave execute-in-place, so meanwhile nothing may be read from flash: neither
 * code nor constants nor the interrupt vectors. The second-stage boot sets it back. */
#include "flash_id.h"

#include "rp2040.h"

#define BOOT2_ADDRESS 0x10000000u
#define BOOT2_WORDS 64u

#define LEAVE_CONTINUOUS_READ 0xffu
#define READ_UNIQUE_ID 0x4bu
/* The command and four bytes in which the chip does not answer. */
#define BYTES_BEFORE_ID 5u

/* `boot2`: the second-stage boot's code, in RAM. */
typedef void id_reader(volatile uint8_t *id, const uint32_t *boot2);

/* In RAM, with its constants. It calls nothing, and volatile keeps the compiler from adding a call. */
__attribute__((section(".ramcode"), noinline)) static void read_id_in_ram(volatile uint8_t *id, const uint32_t *boot2)
{
    uint32_t i;
    REGISTER(SSI_SSIENR) = 0u;
    REGISTER(SSI_CTRLR0) = SSI_FRAMES_OF_8_BITS;
    REGISTER(SSI_BAUDR) = 6u; /* slow enough that the queue below never runs empty, which would end the command */
    REGISTER(SSI_SSIENR) = 1u;

    /* The chip waits for the address of a quad read. Eight clocks with its first line high end that mode. */
    REGISTER(SSI_DR0) = LEAVE_CONTINUOUS_READ;
    while ((REGISTER(SSI_SR) & (SSI_TX_EMPTY | SSI_BUSY)) != SSI_TX_EMPTY) {
    }
    (void)REGISTER(SSI_DR0);

    REGISTER(SSI_DR0) = READ_UNIQUE_ID;
    for (i = 1; i < BYTES_BEFORE_ID + FLASH_ID_BYTES; i++) {
        REGISTER(SSI_DR0) = 0u;
    }
    while ((REGISTER(SSI_SR) & (SSI_TX_EMPTY | SSI_BUSY)) != SSI_TX_EMPTY) {
    }
    for (i = 0; i < BYTES_BEFORE_ID; i++) {
        (void)REGISTER(SSI_DR0);
    }
    for (i = 0; i < FLASH_ID_BYTES; i++) {
        id[i] = (uint8_t)REGISTER(SSI_DR0);
    }
    ((void (*)(void))((uintptr_t)boot2 | 1u))();
}

int flash_read_id(uint8_t id[FLASH_ID_BYTES])
{
    /* Through a variable: a direct branch does not reach from flash to RAM. */
    id_reader *volatile reader = read_id_in_ram;
    const volatile uint32_t *boot2_in_flash = (const volatile uint32_t *)BOOT2_ADDRESS;
    uint32_t boot2[BOOT2_WORDS];
    uint32_t masked;
    uint32_t i;
    uint8_t all_ones = 0xff;
    uint8_t any_one = 0;
    for (i = 0; i < BOOT2_WORDS; i++) {
        boot2[i] = boot2_in_flash[i];
    }
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    reader(id, boot2);
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
    for (i = 0; i < FLASH_ID_BYTES; i++) {
        all_ones &= id[i];
        any_one |= id[i];
    }
    return any_one != 0u && all_ones != 0xffu;
}
