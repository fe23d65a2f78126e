/* The innermost loops on ARMv6-M (Cortex-M0, M0+), by hand: fsvae_gather_bytes() of lanes.h and fsvae_run_bytes() of
 * td_block.h, same bits as their C. Copied unchanged.
 *
 * gcc 12 runs out of the eight low registers here: 24 to 30 cycles an event where this takes 15. An event is one row of
 * eight weights: load its offset (2), form its address (1), load two words (3), and for each word add it whole, shift,
 * mask, add the odd bytes (8). Four events a turn share the loop's 4 cycles; the rest go one by one at 18.
 *
 *   r0 event pointer   r1 odd bytes 1   r2, r3 scratch   r4 whole 0   r5 whole 1   r6 mask   r7 odd bytes 0
 *   r8 rows   r9 end of events   r10 cursor   r11 stride   r12 events so far   lr last start of a group of four */

#if defined(__ARM_ARCH_6M__)

    .syntax unified
    .cpu cortex-m0plus
    .thumb
    .text
    .balign 4

    .macro ONE_EVENT offset
    ldrh r2, [r0, #\offset]
    add r2, r8
    ldmia r2, {r2, r3}
    adds r4, r4, r2
    lsrs r2, r2, #8
    ands r2, r6
    adds r7, r7, r2
    adds r5, r5, r3
    lsrs r3, r3, #8
    ands r3, r6
    adds r1, r1, r3
    .endm

/* Adds the events of one step at every kernel position, and moves the cursors on: r10 to the end of cursors, which lies
 * at [sp, \#end_at]. Begins with all sums and counts at 0 and leaves the even bytes of the whole words corrected. */
    .macro GATHER end_at
    movs r0, #0
    mov r12, r0
    movs r4, #0
    movs r5, #0
    movs r7, #0
    movs r1, #0
    movs r6, #0xff
    lsls r2, r6, #16
    orrs r6, r2
next_tap\@:
    mov r2, r10
    ldr r3, [sp, #\end_at]
    cmp r2, r3
    beq gathered\@
    ldr r0, [r2, #0] /* rows */
    mov r8, r0
    ldr r3, [r2, #8] /* count of this step */
    ldrh r0, [r3]
    adds r3, #2
    str r3, [r2, #8]
    add r12, r0
    ldr r3, [r2, #4] /* list of this step */
    lsls r0, r0, #1
    adds r0, r0, r3
    mov r9, r0
    subs r0, #8
    mov lr, r0
    mov r0, r3
    add r3, r11
    str r3, [r2, #4]
    adds r2, #12
    mov r10, r2
    cmp r0, lr
    bhi rest\@
four\@:
    ONE_EVENT 0
    ONE_EVENT 2
    ONE_EVENT 4
    ONE_EVENT 6
    adds r0, #8
    cmp r0, lr
    bls four\@
rest\@:
    cmp r0, r9
    beq next_tap\@
one\@:
    ONE_EVENT 0
    adds r0, #2
    cmp r0, r9
    bne one\@
    b next_tap\@
gathered\@:
    lsls r2, r7, #8
    subs r4, r4, r2
    lsls r2, r1, #8
    subs r5, r5, r2
    .endm

    .macro SAVE_HIGH
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    .endm

    .macro RETURN
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .endm

/* uint32_t fsvae_gather_bytes(fsvae_lanes *sums, fsvae_cursor *cursor, const fsvae_cursor *end, uint32_t stride) */
    .global fsvae_gather_bytes
    .type fsvae_gather_bytes, %function
    .thumb_func
fsvae_gather_bytes:
    push {r4-r7, lr}
    SAVE_HIGH
    push {r0, r2}
    mov r10, r1
    mov r11, r3
    GATHER 4
    ldr r0, [sp, #0]
    str r4, [r0, #0]
    str r7, [r0, #4]
    str r5, [r0, #8]
    str r1, [r0, #12]
    mov r0, r12
    add sp, #8
    RETURN
    .size fsvae_gather_bytes, . - fsvae_gather_bytes

/* One neuron (rules L1 to L4, tau = 1/4, F = 0): r0 its sum, r6 its cell, which moves on to the next. 13 cycles at rest.
 * A cell is bias, threshold, carried membrane, train. r12: bit of this step. */
    .macro NEURON
    ldmia r6!, {r2, r3}
    adds r0, r0, r2
    ldr r2, [r6, #0]
    asrs r2, r2, #2
    adds r2, r2, r0
    cmp r2, r3
    ble rests\@
    ldr r2, [r6, #4]
    mov r3, r12
    orrs r2, r3
    str r2, [r6, #4]
    movs r2, #0
rests\@:
    str r2, [r6, #0]
    adds r6, #8
    .endm

/* The two neurons whose sums share a word. */
    .macro PAIR word
    sxth r0, \word
    subs \word, \word, r0
    NEURON
    asrs r0, \word, #16
    NEURON
    .endm

/* void fsvae_run_bytes(fsvae_cell *cells, fsvae_cursor *cursor, const fsvae_cursor *end, uint32_t stride,
 *                      uint32_t first, uint32_t last)
 *
 * Eight neurons through the steps whose bits are `first` up to before `last`, sums in lanes from gathering to firing. */
    .global fsvae_run_bytes
    .type fsvae_run_bytes, %function
    .thumb_func
fsvae_run_bytes:
    push {r4-r7, lr}
    SAVE_HIGH
    ldr r4, [sp, #36] /* first */
    ldr r5, [sp, #40] /* last */
    push {r0-r5}
    mov r11, r3
step:
    ldr r1, [sp, #4]
    mov r10, r1
    GATHER 8
    mov r0, r12 /* takes the bias of all events off: 128 in both lanes */
    lsls r0, r0, #7
    lsls r2, r0, #16
    adds r0, r0, r2
    subs r4, r4, r0
    subs r7, r7, r0
    subs r5, r5, r0
    subs r1, r1, r0
    ldr r6, [sp, #0]
    ldr r0, [sp, #16]
    mov r12, r0
    PAIR r4
    PAIR r7
    PAIR r5
    PAIR r1
    ldr r0, [sp, #16]
    lsls r0, r0, #1
    str r0, [sp, #16]
    ldr r2, [sp, #20]
    cmp r0, r2
    beq ran
    b step
ran:
    add sp, #24
    RETURN
    .size fsvae_run_bytes, . - fsvae_run_bytes

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
