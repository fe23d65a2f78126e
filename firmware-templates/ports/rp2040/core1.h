/* The RP2040's second core. */
#ifndef CORE1_H
#define CORE1_H

#include <stdint.h>

/* Lets core 1 run `entry` on a stack of its own of CORE1_STACK_BYTES, from a reset of it, whatever it did before. No
 * interrupt is enabled there. When `entry` returns core 1 sleeps for good. Both mailboxes are empty afterwards. */
void port_launch_core1(void (*entry)(void));

#define CORE1_STACK_BYTES 2048u

#endif
