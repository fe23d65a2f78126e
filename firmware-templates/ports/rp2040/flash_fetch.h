#ifndef FLASH_FETCH_H
#define FLASH_FETCH_H

/* Takes DMA out of reset. Before the first fetch. */
void start_flash_fetch(void);

#endif
