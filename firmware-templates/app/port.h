/* What a board gives the serial application. One implementation per board, in ports/BOARD/.
 *
 * Nothing here blocks except port_write(). Nothing allocates.
 *
 * With BOARD_CALLED there is no main(), and port_read() and port_idle() are not asked for: a WebAssembly module cannot wait for
 * bytes, it is called with them. */
#ifndef FSVAE_PORT_H
#define FSVAE_PORT_H

#include <stddef.h>
#include <stdint.h>

#include "fsvae.h"

/* Clocks, pins, serial links, cycle counter. Called once, first. */
void port_init(void);

/* Next received byte, 0 to 255, or -1 when none is waiting. A board with several links reads one of them from 0 byte to 0
 * byte, which end frames. */
int port_read(void);

/* Called whenever port_read() had nothing: a board may sleep here until something happens. */
void port_idle(void);

/* Sends all bytes over the link that port_read() read last; returns when they are queued in hardware. */
void port_write(const uint8_t *bytes, size_t count);

/* Processor cycles since start-up (on the host: nanoseconds); wraps at 2^64. */
uint64_t port_cycles(void);

/* Counts of port_cycles() in one second. */
uint32_t port_cycles_per_second(void);

/* Bytes of stack that the board reserves, and the most that were ever in use. 0 and 0 where it cannot be known. */
uint32_t port_stack_size(void);
uint32_t port_stack_high_water(void);

/* An id unique to this board (flash id, MAC), written as text with its final 0 into `text`. Empty where there is none. */
void port_serial_number(char text[33]);

/* Brings constants of the library into RAM ahead of their use; NULL where they are read without waits. */
const fsvae_fetcher *port_fetcher(void);

/* A second processor for the library's work; NULL where there is none. */
const fsvae_team *port_team(void);

/* Restarts the application, or (to_boot_loader != 0) enters the boot loader. Returns only where that is impossible. */
void port_reset(int to_boot_loader);

/* What the application gives a port with BOARD_CALLED: it takes received bytes and answers each request that they end,
 * before it returns. The first call is the start-up. */
void app_receive(const uint8_t *bytes, size_t count);

#endif
