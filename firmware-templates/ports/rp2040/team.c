/* Both cores at one piece of work. Core 1 waits in RAM for the next piece, and core 0 for its end: each looks at a word
 * that the other writes, and sleeps until an event (SEV) says that it is worth another look. No locks, and no mailbox: a
 * word is written before the event is sent, and an event that comes early ends the sleep that has not begun.
 *
 * Both loops lie in RAM, since flash may be out of reach meanwhile (flash_fetch.c). */
#include "core1.h"
#include "fsvae.h"
#include "port.h"

#if !defined(FSVAE_ONE_CORE)

static struct {
    fsvae_work volatile work; /* NULL: none, or done */
    void *volatile job;
} post;

__attribute__((section(".ramcode.team_member"), noinline)) static void member(void)
{
    for (;;) {
        fsvae_work work = post.work;
        if (work == NULL) {
            __asm volatile("wfe" ::: "memory");
            continue;
        }
        work(post.job, 1, 2);
        __asm volatile("dmb" ::: "memory"); /* what it wrote, before the word that says so */
        post.work = NULL;
        __asm volatile("sev" ::: "memory");
    }
}

__attribute__((section(".ramcode.team_both"), noinline)) static void both(fsvae_work work, void *job)
{
    post.job = job;
    __asm volatile("dmb" ::: "memory");
    post.work = work;
    __asm volatile("sev" ::: "memory");
    work(job, 0, 2);
    while (post.work != NULL) {
        __asm volatile("wfe" ::: "memory");
    }
    __asm volatile("dmb" ::: "memory");
}

const fsvae_team *port_team(void)
{
    static const fsvae_team team = {both};
    static int launched;
    if (launched == 0) {
        launched = 1;
        port_launch_core1(member);
    }
    return &team;
}

#else

const fsvae_team *port_team(void)
{
    return NULL;
}

#endif
