/* Most of port.h for boards whose only link is a UART, and whose constants are read by one core, where they lie. */
#include "board_config.h"

#if defined(BOARD_UART_ALONE)

#include "bare_metal.h"
#include "port.h"

int port_read(void)
{
    return next_received();
}

void port_idle(void)
{
    sleep_unless(any_received);
}

void port_write(const uint8_t *bytes, size_t count)
{
    size_t i;
    for (i = 0; i < count; i++) {
        uart_send(bytes[i]);
    }
}

const fsvae_fetcher *port_fetcher(void)
{
    return NULL;
}

const fsvae_team *port_team(void)
{
    return NULL;
}

void port_reset(int to_boot_loader)
{
    uart_finish();
    if (to_boot_loader != 0) {
        enter_boot_loader();
        return; /* there is none */
    }
    restart();
}

#else

typedef int nothing_here; /* C wants something in every file */

#endif
