/* fsvae_run_wide_bytes(), fsvae_run_wide_halves() and those that begin at rest, of wide.h, with the DSP instructions
 * of Cortex-M4, M7 and M33, by hand; same bits as their C. Copied unchanged.
 *
 * Eight sums lie in r4 to r11 for a whole step, and stay there while the neurons leak, fire and reset: membranes are in
 * memory only before the first step and after the last. An event takes 11 instructions (bytes: UXTAB16 adds two weights of
 * a word, with ROR #8 the other two) or 13 (halves; the last two of a list 23), a tap 5, the rest of a step 62.
 *
 * No branch asks who fires. SADD16 of a pair with itself sets GE where bit 15 is clear, so that SEL keeps those membranes
 * and takes the others' rest; a train moves down by one bit and takes bit 15 at its top, so that after n steps it is 16 - n
 * too high.
 *
 * Sums of rows of halves are sums of words, whose carries cancel. Those of bytes are kept in halves from the first event to
 * the correction, modulo 2^16 each: UXTAB16 carries nothing over. Both are in range, hence equal, where the neurons fire
 * (rule B5), and at the beginning of a step, which is a step without events.
 *
 *   r0 events   r1 row, scratch   r2, r3, r12 scratch   r4 .. r11 sums of pairs 0 .. 7   lr rows
 *   to fire: r0 walks from trains to membranes at rest to what the next sums begin with   lr scratch */

#if (defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)) && defined(__ARM_FEATURE_DSP)

    .syntax unified
    .thumb
    .equ OFFSET, 0 /* of this step's lists from where the last step's end, negative; then the distance of steps */
    .equ ENTRY, 8
    .equ LAST, 12 /* where the list begins when as many events are added as a list of more than sixteen has */
    .equ TAPS, 16 /* for each slot where the last step's list ends, and its rows */
    .equ CORRECTION, 48
    .equ CELLS, 52
    .equ OUT, 56 /* where trains go that began at rest; 0: to the cells */
    .equ FIRST, 60
    .equ SHIFT, 64 /* 16 less the steps that run */
    .equ START, 68 /* the first step's offset */
    .equ POSITIONS, 72 /* that are left; then how far their lists are apart, and their trains. From cells: 1: a single step */
    .equ TRAIN_HOP, 80
    .equ TRAINS, 88 /* then membranes at rest, then what sums begin with */
    .equ REST, TRAINS + 32
    .equ INIT, REST + 32
    .equ BEGIN, INIT + 32 /* sums of a first step that begins at rest */
    .equ FRAME, BEGIN + 32

    .macro EVENT_BYTES at
    ldrh r1, [r0, #\at]
    add r1, lr
    ldm r1, {r1, r2, r3, r12}
    uxtab16 r4, r4, r1
    uxtab16 r5, r5, r1, ror #8
    uxtab16 r6, r6, r2
    uxtab16 r7, r7, r2, ror #8
    uxtab16 r8, r8, r3
    uxtab16 r9, r9, r3, ror #8
    uxtab16 r10, r10, r12
    uxtab16 r11, r11, r12, ror #8
    .endm

    .macro EVENT_HALVES at
    ldrh r1, [r0, #\at]
    add r1, lr
    ldm r1!, {r2, r3, r12}
    adds r4, r4, r2
    adds r5, r5, r3
    add r6, r12
    ldm r1!, {r2, r3, r12}
    adds r7, r7, r2
    add r8, r3
    add r9, r12
    ldm r1, {r1, r2}
    add r10, r1
    add r11, r2
    .endm

    /* After a list's last event its pointers are free, so that a row takes two loads instead of three. */
    .macro ROW_HALVES row
    ldm \row!, {r1, r2, r3, r12}
    adds r4, r4, r1
    adds r5, r5, r2
    adds r6, r6, r3
    add r7, r12
    ldm \row, {r1, r2, r3, r12}
    add r8, r1
    add r9, r2
    add r10, r3
    add r11, r12
    .endm

    .macro LAST_HALVES
    ldrh r0, [r0, #4]
    add r0, lr
    ROW_HALVES r0
    .endm

    .macro LAST_TWO_HALVES
    ldr.w r1, [r0, #4] /* two events as long as two others */
    uxtah r0, lr, r1
    uxtah lr, lr, r1, ror #16
    ROW_HALVES r0
    ROW_HALVES lr
    .endm

    .macro FOURTEEN event
    .irp at, 34, 32, 30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8
    \event \at
    .endr
    .endm

    .macro SIXTEEN event
    FOURTEEN \event
    \event 6
    \event 4
    .endm

    /* One tap, entered with r1 the step's offset: a jump by the list's header, past what lists of more than sixteen need
     * and past as many of the last sixteen events as the list lacks. The numbers are those of wide.h: where one is too
     * small, .org is an error. */
    .macro TAP slot, event, bytes, skip, single
    ldrd r0, lr, [sp, #TAPS + 8 * \slot]
    ldrh r2, [r0, r1]
    add r0, r1
    add pc, r2
    nop
.Lfrom\@:
    ldrh r1, [r0, #2]
    add r1, r0, r1, lsl #1
    str r1, [sp, #LAST]
.Lmore\@:
    SIXTEEN \event
    adds r0, r0, #32
    ldr r1, [sp, #LAST]
    subs r1, r1, r0 /* 2 for each event that is left */
    cmp r1, #32
    bhi.w .Lmore\@
    .if \single
    cmp r1, #2
    beq .Lsingle\@
    .endif
    movs r2, #\bytes / 2
    adr.w r3, .Llast\@ + 16 * \bytes
    mls r3, r1, r2, r3
    mov pc, r3
    .if \single
    .org .Lfrom\@ + \single
.Lsingle\@:
    LAST_HALVES
    b .Lend\@
    .endif
    .org .Lfrom\@ + \skip
.Llast\@:
    FOURTEEN \event
    .org .Llast\@ + 14 * \bytes
    .if \single
    LAST_TWO_HALVES
    .else
    \event 6
    \event 4
    .endif
    .org .Llast\@ + 16 * \bytes
.Lend\@:
    .endm

    /* Four pairs take their spikes into their trains, at r0, which moves on. */
    .macro RECORD v0, v1, v2, v3
    ldm r0, {r1, r2, r3, r12}
    and lr, \v0, #0x80008000
    orr r1, lr, r1, lsr #1
    and lr, \v1, #0x80008000
    orr r2, lr, r2, lsr #1
    and lr, \v2, #0x80008000
    orr r3, lr, r3, lsr #1
    and lr, \v3, #0x80008000
    orr r12, lr, r12, lsr #1
    stm r0!, {r1, r2, r3, r12}
    .endm

    .macro RESET v0, v1, v2, v3
    ldm r0!, {r1, r2, r3, r12}
    sadd16 lr, \v0, \v0
    sel \v0, \v0, r1
    sadd16 lr, \v1, \v1
    sel \v1, \v1, r2
    sadd16 lr, \v2, \v2
    sel \v2, \v2, r3
    sadd16 lr, \v3, \v3
    sel \v3, \v3, r12
    .endm

    /* Rule L1 and what the next sums begin with. r1 is kept. */
    .macro LEAK v0, v1, v2, v3
    ldm r0!, {r2, r3, r12, lr}
    bic \v0, \v0, #0x00030003
    add \v0, r2, \v0, lsr #2
    bic \v1, \v1, #0x00030003
    add \v1, r3, \v1, lsr #2
    bic \v2, \v2, #0x00030003
    add \v2, r12, \v2, lsr #2
    bic \v3, \v3, #0x00030003
    add \v3, lr, \v3, lsr #2
    .endm

    .macro ENTRANCE name
    .global \name
    .type \name, %function
    .thumb_func
\name:
    push {r3-r11, lr}
    .endm

    .macro RUN name, rest_name, event, size, skip, single, bytes
    .section .text.\name, "ax", %progbits
    .balign 4
61: TAP 0, \event, \size, \skip, \single
    ldr r1, [sp, #OFFSET]
62: TAP 1, \event, \size, \skip, \single
    ldr r1, [sp, #OFFSET]
63: TAP 2, \event, \size, \skip, \single
    ldr r1, [sp, #OFFSET]
64: TAP 3, \event, \size, \skip, \single
    .if \bytes
    ldr r0, [sp, #CORRECTION]
    ldr lr, [r0], #4
    str r0, [sp, #CORRECTION]
    pkhbt lr, lr, lr, lsl #16 /* a word's carry is not a half's */
    uadd16 r4, r4, lr
    uadd16 r5, r5, lr
    uadd16 r6, r6, lr
    uadd16 r7, r7, lr
    uadd16 r8, r8, lr
    uadd16 r9, r9, lr
    uadd16 r10, r10, lr
    uadd16 r11, r11, lr
    .endif
    add r0, sp, #TRAINS
    RECORD r4, r5, r6, r7
    RECORD r8, r9, r10, r11
    RESET r4, r5, r6, r7
    RESET r8, r9, r10, r11
    ldrd r1, r2, [sp, #OFFSET]
    adds r1, r1, r2
    str r1, [sp, #OFFSET]
    beq 6f
    LEAK r7, r8, r9, r10
    LEAK r11, r4, r5, r6
    ldr pc, [sp, #ENTRY]

    /* Trains end in place. */
6:  add r3, sp, #TRAINS
    ldr r2, [sp, #SHIFT]
    ldr r0, [sp, #OUT]
    cbz r0, 8f
    ldm r3, {r4-r11}
    cbz r2, 7f
    .irp t, r4, r5, r6, r7, r8, r9, r10, r11
    lsr \t, \t, r2
    .endr
7:  stm r0, {r4-r11}
    ldrd r1, r2, [sp, #POSITIONS]
    subs r1, r1, #1
    bne 4f
    add sp, #FRAME
    pop {r3-r11, pc}
4:  str r1, [sp, #POSITIONS]
    ldr r3, [sp, #TRAIN_HOP]
    add r0, r3
    str r0, [sp, #OUT]
    .irp slot, 0, 1, 2, 3
    ldr r3, [sp, #TAPS + 8 * \slot]
    add r3, r2
    str r3, [sp, #TAPS + 8 * \slot]
    .endr
    ldr r3, [sp, #START]
    str r3, [sp, #OFFSET]
    add r0, sp, #BEGIN
    ldm r0, {r4-r11}
    b 2f
8:  ldr r0, [sp, #CELLS]
    ldr r12, [sp, #POSITIONS]
    ldr r1, [sp, #FIRST]
    stm r0!, {r4-r11}
    ldm r3, {r4-r11}
    .if \bytes
    cmp r12, #0
    beq 4f
    orr r4, r5, r4, lsr #1 /* of each train only the highest bit is set: pair p comes to lie p above bit 8 */
    orr r4, r6, r4, lsr #1
    orr r4, r7, r4, lsr #1
    orr r4, r8, r4, lsr #1
    orr r4, r9, r4, lsr #1
    orr r4, r10, r4, lsr #1
    orr r4, r11, r4, lsr #1
    uxtb16 r4, r4, ror #8
    orr r4, r4, r4, lsl #4
    and r4, r4, #0x0f0f0f0f
    orr r4, r4, r4, lsl #2
    and r4, r4, #0x33333333
    orr r4, r4, r4, lsl #1
    and r4, r4, #0x55555555
    orr r0, r4, r4, lsr #15
    uxth r0, r0
    add sp, #FRAME
    pop {r3-r11, pc}
4:
    .endif
    adds r0, #32
    .irp t, r4, r5, r6, r7, r8, r9, r10, r11
    lsr \t, \t, r2
    ldr r12, [r0]
    lsl \t, \t, r1
    orr r12, \t
    str r12, [r0], #4
    .endr
    add sp, #FRAME
    pop {r3-r11, pc}

    ENTRANCE \rest_name
    .if \bytes
    movs r2, #1
    .else
    ldr r12, [sp, #40]
    .endif
    b 1f
    .size \rest_name, . - \rest_name
    .if \bytes
    ENTRANCE fsvae_step_wide_bytes
    movs r1, #0
    movs r2, #1
    b 1f
    .size fsvae_step_wide_bytes, . - fsvae_step_wide_bytes
    .endif
    ENTRANCE \name
    movs r1, #0
    movs r2, #0
1:  sub sp, #FRAME
    strd r2, r3, [sp, #POSITIONS]
    str r12, [sp, #TRAIN_HOP]
    ldm r0!, {r2-r8} /* cells, step, end, init, correction, taps, stride */
    mov r9, r1
    strd r6, r2, [sp, #CORRECTION]
    subs r4, r4, r3
    strd r9, r3, [sp, #OUT]
    mul lr, r4, r8
    rsb r4, r4, #16
    str r4, [sp, #SHIFT]
    rsb r3, lr, #0
    str r3, [sp, #START]
    strd r3, r8, [sp, #OFFSET]
    adr r10, 9f
    ldr r11, [r10, r7, lsl #2]
    add r11, r10
    str r11, [sp, #ENTRY]
    mov r12, r5
    ldm r0, {r4-r11} /* lists, then rows, of which those of unused slots hold anything */
    add r4, lr
    add r5, lr
    add r6, lr
    add r7, lr
    strd r4, r8, [sp, #TAPS]
    strd r5, r9, [sp, #TAPS + 8]
    strd r6, r10, [sp, #TAPS + 16]
    strd r7, r11, [sp, #TAPS + 24]
    ldm r12!, {r4-r11} /* for pairs 3 .. 7, 0 .. 2 */
    .if \bytes /* the odd sums, times 256, are not in the even ones here */
    sub r5, r5, r6, lsl #8
    sub r7, r7, r8, lsl #8
    sub r9, r9, r10, lsl #8
    sub r11, r11, r4, lsl #8
    .endif
    add r0, sp, #INIT
    stm r0, {r4-r11}
    ldm r12, {r4-r11}
    add r12, sp, #REST
    stm r12, {r4-r11}
    cbnz r1, 3f
    ldm r2, {r4-r11}
3:  mov r1, r3
    LEAK r7, r8, r9, r10
    LEAK r11, r4, r5, r6
    mov r3, r1
    add r0, sp, #BEGIN
    stm r0, {r4-r11}
2:  movs r1, #0
    mov r12, r1
    strd r1, r12, [sp, #TRAINS]
    strd r1, r12, [sp, #TRAINS + 8]
    strd r1, r12, [sp, #TRAINS + 16]
    strd r1, r12, [sp, #TRAINS + 24]
    mov r1, r3
    ldr pc, [sp, #ENTRY]
    .size \name, . - \name
    .balign 4
9:  .word 0, 64b - 9b + 1, 63b - 9b + 1, 62b - 9b + 1, 61b - 9b + 1 /* by number of taps */
    .endm

    RUN fsvae_run_wide_bytes, fsvae_rest_wide_bytes, EVENT_BYTES, 40, 672, 0, 1
    RUN fsvae_run_wide_halves, fsvae_walk_wide_halves, EVENT_HALVES, 30, 546, 516, 0

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
