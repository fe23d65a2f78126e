/* The unique id that the flash chip carries: the board's serial number. */
#ifndef FLASH_ID_H
#define FLASH_ID_H

#include <stdint.h>

#define FLASH_ID_BYTES 8u

/* Reads the id. Interrupts wait meanwhile, some tens of microseconds. Returns 0 where the chip gives none. */
int flash_read_id(uint8_t id[FLASH_ID_BYTES]);

#endif
