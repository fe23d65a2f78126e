/* The innermost loops on ARMv6-M (Cortex-M0, M0+), by hand: fsvae_gather_bytes() of lanes.h, fsvae_run_bytes() of
 * td_block.h, fsvae_readout_add() of readout.h and fsvae_sum_bytes() of prior.h, same bits as their C. Copied unchanged.
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

    .equ TABLE_LOW, 0
    .equ TABLE_HIGH, 4
    .equ POSITION_END, 8
    .equ EXPANDED, 12
    .equ POSITION_BYTES, 16
    .equ POSITIONS, 20
    .equ MEMBRANES, 24
    .equ READOUT_FRAME, 36

/* One input of the readout, whose train lies at r3 + offset: 51 cycles, 6 when it has no spikes. r0 weighted spikes (rule
 * R1), r1, r2 scratch, r7 weights, which move on to the next input. */
    .macro READOUT_INPUT offset
    ldrh r0, [r3, #\offset]
    cmp r0, #0
    beq silent\@
    uxtb r1, r0
    lsls r1, r1, #1
    ldr r2, [sp, #TABLE_LOW]
    ldrh r1, [r2, r1]
    lsrs r0, r0, #8
    lsls r0, r0, #1
    ldr r2, [sp, #TABLE_HIGH]
    ldrh r0, [r2, r0]
    adds r0, r0, r1
    ldmia r7!, {r1, r2}
    muls r1, r0, r1
    muls r2, r0, r2
    adds r4, r4, r1
    adds r5, r5, r2
    ldmia r7!, {r1, r2}
    muls r1, r0, r1
    muls r2, r0, r2
    adds r6, r6, r1
    add r8, r2
    ldmia r7!, {r1, r2}
    muls r1, r0, r1
    muls r2, r0, r2
    add r9, r1
    add r10, r2
    ldmia r7!, {r1, r2}
    muls r1, r0, r1
    muls r2, r0, r2
    add r11, r1
    add r12, r2
    ldmia r7!, {r1}
    muls r1, r0, r1
    add lr, r1
    b counted\@
silent\@:
    adds r7, #36
counted\@:
    .endm

/* The sum of a finished column goes to its membrane, whose pointer moves on. */
    .macro READOUT_STORE row, sum
    ldr r0, [sp, #MEMBRANES + 4 * \row]
    ldr r1, [r0]
    add r1, \sum
    stmia r0!, {r1}
    str r0, [sp, #MEMBRANES + 4 * \row]
    .endm

/* void fsvae_readout_add(const fsvae_readout_run *run, const fsvae_train *trains)
 *
 * Nine sums in r4 to r6, r8 to r10, r11 to lr: three columns of the row above, of this one and of the one below. They
 * move along with the position, so each membrane is loaded and stored once. */
    .global fsvae_readout_add
    .type fsvae_readout_add, %function
    .thumb_func
fsvae_readout_add:
    push {r4-r7, lr}
    SAVE_HIGH
    sub sp, #READOUT_FRAME
    movs r3, r1
    ldmia r0!, {r4-r7}
    str r4, [sp, #TABLE_LOW]
    movs r2, #1
    lsls r2, r2, #9
    adds r4, r4, r2
    str r4, [sp, #TABLE_HIGH]
    str r5, [sp, #EXPANDED]
    lsls r6, r6, #1
    str r6, [sp, #POSITION_BYTES]
    str r7, [sp, #POSITIONS]
    ldmia r0!, {r4-r6}
    str r4, [sp, #MEMBRANES]
    str r5, [sp, #MEMBRANES + 4]
    str r6, [sp, #MEMBRANES + 8]
    movs r4, #0
    movs r5, #0
    movs r6, #0
    mov r8, r4
    mov r9, r4
    mov r10, r4
    mov r11, r4
    mov r12, r4
    mov lr, r4
position:
    ldr r7, [sp, #EXPANDED]
    ldr r1, [sp, #POSITION_BYTES]
    adds r1, r1, r3
    str r1, [sp, #POSITION_END]
    b more_inputs
four_inputs:
    READOUT_INPUT 0
    READOUT_INPUT 2
    READOUT_INPUT 4
    READOUT_INPUT 6
    adds r3, #8
more_inputs:
    ldr r1, [sp, #POSITION_END]
    subs r1, r1, r3
    cmp r1, #8
    blo rest_of_inputs
    b four_inputs
one_input:
    READOUT_INPUT 0
    adds r3, #2
rest_of_inputs:
    ldr r1, [sp, #POSITION_END]
    cmp r1, r3
    bne one_input
    READOUT_STORE 0, r4
    READOUT_STORE 1, r8
    READOUT_STORE 2, r11
    movs r4, r5
    movs r5, r6
    movs r6, #0
    mov r8, r9
    mov r9, r10
    mov r10, r6
    mov r11, r12
    mov r12, lr
    mov lr, r6
    ldr r1, [sp, #POSITIONS]
    subs r1, #1
    str r1, [sp, #POSITIONS]
    beq last_column
    b position
last_column:
    READOUT_STORE 0, r4
    READOUT_STORE 1, r8
    READOUT_STORE 2, r11
    add sp, #READOUT_FRAME
    RETURN
    .size fsvae_readout_add, . - fsvae_readout_add

/* uint32_t fsvae_sum_bytes(const uint8_t *row, const uint16_t *event, uint32_t count)
 *
 * In RAM, because flash may be out of reach (fsvae_fetcher). Sixteen events a turn at 5 cycles each; the first turn takes
 * what is left over, by a jump past the rest of it. */
    .section .ramcode.fsvae_sum_bytes, "ax", %progbits
    .balign 4
    .global fsvae_sum_bytes
    .type fsvae_sum_bytes, %function
    .thumb_func
fsvae_sum_bytes:
    cmp r2, #0
    beq no_events
    push {r4, lr}
    rsbs r3, r2, #0
    lsls r3, r3, #28
    lsrs r3, r3, #27 /* 2 x the events that the first turn lacks of sixteen */
    subs r1, r1, r3
    adds r2, r2, #15
    lsrs r2, r2, #4 /* turns */
    lsls r4, r3, #1
    adds r3, r3, r4 /* 6 bytes of code an event */
    movs r4, #0
    add pc, r3
    nop
sixteen_events:
    .irp at, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30
    ldrh r3, [r1, #\at]
    ldrb r3, [r0, r3]
    adds r4, r4, r3
    .endr
    adds r1, #32
    subs r2, #1
    bne sixteen_events
    movs r0, r4
    pop {r4, pc}
no_events:
    movs r0, #0
    bx lr
    .size fsvae_sum_bytes, . - fsvae_sum_bytes

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
