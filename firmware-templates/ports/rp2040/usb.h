/* USB serial: a CDC-ACM device at full speed, which every system has a driver for. */
#ifndef USB_H
#define USB_H

#include <stddef.h>
#include <stdint.h>

/* Connects to the bus. `serial`, which is kept: at most 30 characters; empty where there is none. */
void usb_start(const char *serial);

/* The next byte from the host, or -1; whether there is one. */
int usb_read(void);
int usb_waits(void);

/* Queues bytes for the host, and waits for room as long as the host takes none. Bytes for a host that is not there, has
 * closed the port, or sleeps are dropped. */
void usb_write(const uint8_t *bytes, size_t count);

/* Returns when the host has taken everything, is not there, or has not taken it in 100 ms. */
void usb_finish_sending(void);

#endif
