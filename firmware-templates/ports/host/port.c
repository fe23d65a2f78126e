/* The machine itself under the serial application: a pseudo-terminal takes the place of the serial port.
 *
 * Prints one line of JSON with the pseudo-terminal's path on stdout, then serves on it until stdin closes: whoever
 * started it is gone then. */
#define _GNU_SOURCE /* posix_openpt and cfmakeraw, in whatever standard the compiler is asked for */
#define _DARWIN_C_SOURCE

#include "port.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static int terminal;
static uint8_t received[4096];
static size_t received_count;
static size_t received_at;

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

void port_init(void)
{
    struct termios raw;
    const char *path;
    int other_side;
    terminal = posix_openpt(O_RDWR | O_NOCTTY);
    if (terminal < 0 || grantpt(terminal) != 0 || unlockpt(terminal) != 0) {
        fail("cannot open a pseudo-terminal");
    }
    path = ptsname(terminal);
    /* Kept open, so that the terminal survives the host closing and opening it again. */
    other_side = path == NULL ? -1 : open(path, O_RDWR | O_NOCTTY);
    if (other_side < 0 || tcgetattr(other_side, &raw) != 0) {
        fail("cannot open the pseudo-terminal's other side");
    }
    cfmakeraw(&raw);
    /* A write that waited for a reader would not see stdin close. */
    if (tcsetattr(other_side, TCSANOW, &raw) != 0 || fcntl(terminal, F_SETFL, O_NONBLOCK) != 0) {
        fail("cannot set the pseudo-terminal");
    }
    printf("{\"pty\":\"%s\"}\n", path);
    fflush(stdout);
}

int port_read(void)
{
    if (received_at == received_count) {
        struct pollfd waiting = {terminal, POLLIN, 0};
        ssize_t count;
        if (poll(&waiting, 1, 0) <= 0 || (waiting.revents & POLLIN) == 0) {
            return -1;
        }
        count = read(terminal, received, sizeof received);
        if (count <= 0) {
            return -1;
        }
        received_count = (size_t)count;
        received_at = 0;
    }
    return received[received_at++];
}

/* Waits until the terminal is ready for `event`. */
static void wait_for(short event)
{
    struct pollfd waiting[2] = {{terminal, event, 0}, {STDIN_FILENO, POLLIN, 0}};
    uint8_t ignored[256];
    if (poll(waiting, 2, -1) > 0 && waiting[1].revents != 0 && read(STDIN_FILENO, ignored, sizeof ignored) <= 0) {
        exit(0);
    }
}

void port_idle(void)
{
    wait_for(POLLIN);
}

void port_write(const uint8_t *bytes, size_t count)
{
    while (count > 0u) {
        ssize_t written;
        wait_for(POLLOUT); /* the terminal holds a few KB; nobody may be reading any more */
        written = write(terminal, bytes, count);
        if (written < 0) {
            if (errno == EAGAIN || errno == EINTR) {
                continue;
            }
            fail("cannot write to the pseudo-terminal");
        }
        bytes += written;
        count -= (size_t)written;
    }
}

uint64_t port_cycles(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint32_t port_cycles_per_second(void)
{
    return 1000000000u;
}

uint32_t port_stack_size(void)
{
    return 0;
}

uint32_t port_stack_high_water(void)
{
    return 0;
}

const fsvae_fetcher *port_fetcher(void)
{
    return NULL;
}

void port_serial_number(char text[33])
{
    text[0] = 0;
}

/* There is no boot loader, and the application cannot start again under the same pseudo-terminal. */
void port_reset(int to_boot_loader)
{
    (void)to_boot_loader;
}
