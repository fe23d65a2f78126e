/* fsvae_run_wide_bytes() and fsvae_run_wide_halves() of wide.h on ARMv6-M (Cortex-M0, M0+), by hand; same bits as their
 * C. Copied unchanged.
 *
 * A step begins with the biases in eight accumulators, adds one row for each event of one to four taps, and lets the
 * sixteen neurons leak, fire and reset in pairs. Only r0 to r7 take part in everything, but ADD takes any register: so
 * five accumulators lie in r8 to r12 and no sum ever goes to memory.
 *
 *   r0 events, later cells   r1 mask   r2 row, scratch   r3, r4 scratch   r5 .. r12 sums   lr rows, later correction
 *   to fire: r4 mask   r5, r6 the sums of two pairs   r7 the step's bit
 *
 * Cycles: an event 25 (bytes) or 22 (halves), a tap 15, the rest of a step about 130 (bytes) or 105 (halves), a pair in
 * which somebody fires 19 more. */

#if defined(__ARM_ARCH_6M__)

    .syntax unified
    .cpu cortex-m0plus
    .thumb
    /* The frame: what every step loads at one go, then the rest of fsvae_wide_run, `taps` replaced by where to enter. */
    .equ CELLS, 0
    .equ MASKS, 4 /* 0x3fff3fff, 0x80008000 */
    .equ STEP, 12
    .equ END, 16
    .equ INIT, 20
    .equ CORRECTION, 24
    .equ ENTRY, 28
    .equ STRIDE, 32
    .equ LISTS, 36
    .equ ROWS, 52
    .equ LEFT, 68 /* events left of a list of more than sixteen; later a sum */
    .equ FRAME, 72

    .macro EVENT_BYTES at
    ldrh r2, [r0, #\at]
    add r2, lr
    ldmia r2!, {r3, r4}
    adds r5, r5, r3
    lsrs r3, r3, #8
    ands r3, r1
    adds r6, r6, r3
    adds r7, r7, r4
    lsrs r4, r4, #8
    ands r4, r1
    add r8, r4
    ldmia r2!, {r3, r4}
    add r9, r3
    lsrs r3, r3, #8
    ands r3, r1
    add r10, r3
    add r11, r4
    lsrs r4, r4, #8
    ands r4, r1
    add r12, r4
    .endm

    .macro EVENT_HALVES at
    ldrh r2, [r0, #\at]
    add r2, lr
    ldmia r2!, {r1, r3, r4}
    adds r5, r5, r1
    adds r6, r6, r3
    adds r7, r7, r4
    ldmia r2!, {r1, r3, r4}
    add r8, r1
    add r9, r3
    add r10, r4
    ldmia r2!, {r3, r4}
    add r11, r3
    add r12, r4
    .endm

    .macro SIXTEEN event
    .irp at, 34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4
    \event \at
    .endr
    .endm

    /* One tap: this step's list, moved on for the next; then the jump that its header gives, counted from `from`: past
     * what lists of more than sixteen need, and past as many of the last sixteen events as the list lacks. */
    .macro TAP slot, event, bytes
    .balign 4
    ldr r0, [sp, #LISTS + 4 * \slot]
    ldr r3, [sp, #STRIDE]
    adds r3, r3, r0
    str r3, [sp, #LISTS + 4 * \slot]
    ldr r3, [sp, #ROWS + 4 * \slot]
    mov lr, r3
    ldrh r3, [r0]
    add pc, r3
    nop
.Lfrom\@:
    ldrh r3, [r0, #2]
.Lmore\@:
    subs r3, r3, #16
    str r3, [sp, #LEFT]
    SIXTEEN \event
    adds r0, r0, #32
    ldr r3, [sp, #LEFT]
    cmp r3, #16
    bls .Llast\@
    b .Lmore\@
.Llast\@:
    movs r2, #\bytes
    muls r3, r2, r3
    adr r2, .Lend\@
    subs r2, r2, r3
    mov pc, r2
    SIXTEEN \event
    .balign 4
.Lend\@:
    .endm

    /* A pair fires: membranes \u, rest and trains at \rest and \train from r0. r2, r3 scratch. */
    .macro FIRE u, rest, train, back
    mov r2, \u
    ands r2, r4
    lsrs r2, r2, #15
    lsls r3, r2, #16
    subs r3, r3, r2 /* all bits of the halves that fire */
    bics \u, r3
    ldr r2, [r0, #\rest]
    ands r2, r3
    orrs \u, r2
    ands r3, r7
    ldr r2, [r0, #\train]
    orrs r2, r3
    str r2, [r0, #\train]
    b \back
    .endm

    /* Two pairs whose sums lie in r5 and r6. r0 points to their membranes and moves on; r1 0x3fff3fff, r4 0x80008000,
     * r7 the step's bit in both halves. */
    .macro QUAD index
    ldr r2, [r0]
    ldr r3, [r0, #4]
    lsrs r2, r2, #2
    lsrs r3, r3, #2
    ands r2, r1
    ands r3, r1
    adds r5, r5, r2
    adds r6, r6, r3
    tst r5, r4
    bne 1\index\()1f
1\index\()2:
    tst r6, r4
    bne 1\index\()3f
1\index\()4:
    stmia r0!, {r5, r6}
    .endm

    .macro QUAD_FIRES index
1\index\()1:
    FIRE r5, 32, 64, 1\index\()2b
1\index\()3:
    FIRE r6, 36, 68, 1\index\()4b
    .endm

    /* Bytes: takes the odd sum out of the whole one, and the bias off both. r5 whole, r6 odd. */
    .macro SPLIT
    lsls r2, r6, #8
    subs r5, r5, r2
    add r5, lr
    add r6, lr
    .endm

    .macro RUN name, section, event, size, bytes
    .section \section\().\name, "ax", %progbits
    .balign 4
61: TAP 0, \event, \size
    TAP 1, \event, \size
63: TAP 2, \event, \size
64: TAP 3, \event, \size
    .if \bytes
    ldr r0, [sp, #CORRECTION]
    ldmia r0!, {r1}
    str r0, [sp, #CORRECTION]
    mov lr, r1
    str r7, [sp, #LEFT]
    .else
    mov lr, r7
    .endif
    mov r0, sp
    ldmia r0, {r0, r1, r4, r7}
    .if \bytes
    SPLIT
    .endif
    QUAD 0
    .if \bytes
    ldr r5, [sp, #LEFT]
    .else
    mov r5, lr
    .endif
    mov r6, r8
    .if \bytes
    SPLIT
    .endif
    QUAD 1
    mov r5, r9
    mov r6, r10
    .if \bytes
    SPLIT
    .endif
    QUAD 2
    mov r5, r11
    mov r6, r12
    .if \bytes
    SPLIT
    .endif
    QUAD 3
    lsls r7, r7, #1
    str r7, [sp, #STEP]
    ldr r1, [sp, #END]
    cmp r7, r1
    beq 6f
5:  ldr r0, [sp, #INIT]
    ldmia r0!, {r1-r5} /* the last five sums come first */
    mov r8, r1
    mov r9, r2
    mov r10, r3
    mov r11, r4
    mov r12, r5
    ldmia r0!, {r5-r7}
    .if \bytes
    ldr r1, 10f
    .endif
    ldr r3, [sp, #ENTRY]
    mov pc, r3
    QUAD_FIRES 0 /* here, because a conditional branch reaches no further than 256 bytes */
    QUAD_FIRES 1
    QUAD_FIRES 2
    QUAD_FIRES 3
6:  add sp, #FRAME
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    sub sp, #FRAME
    mov r1, sp
    ldmia r0!, {r2, r6, r7} /* cells; step and end, as the bit that a train has for them, in both halves */
    movs r4, #1
    lsls r5, r4, #16
    orrs r4, r5
    mov r5, r4
    lsls r5, r5, r6
    lsls r4, r4, r7
    mov r6, r4
    ldr r3, 8f
    ldr r4, 9f
    stmia r1!, {r2-r6}
    ldmia r0!, {r4, r5, r6}
    lsls r6, r6, #2 /* taps to entry */
    adr r2, 7f
    ldr r6, [r2, r6]
    adds r6, r6, r2
    stmia r1!, {r4, r5, r6}
    ldmia r0!, {r2-r7}
    stmia r1!, {r2-r7}
    ldmia r0!, {r2-r4}
    stmia r1!, {r2-r4}
    b 5b
    .size \name, . - \name
    .balign 4
7:  .word 0, 64b - 7b, 63b - 7b, 0, 61b - 7b /* by number of taps */
8:  .word 0x3fff3fff
9:  .word 0x80008000
10: .word 0x00ff00ff
    .endm

    RUN fsvae_run_wide_bytes, .ramcode, EVENT_BYTES, 40, 1
    RUN fsvae_run_wide_halves, .text, EVENT_HALVES, 26, 0

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
