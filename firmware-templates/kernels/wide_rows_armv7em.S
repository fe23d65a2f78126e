/* What surrounds the wide kernels, with the instructions of Cortex-M4, M7 and M33, by hand: listing the events of a
 * position, and making rows of halves (wide.h); same bits as their C. Copied unchanged. */

#if (defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)) && defined(__ARM_FEATURE_DSP)

    .syntax unified
    .thumb

    .macro FUNCTION name
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    .endm

/* void fsvae_scatter_trains(fsvae_list_writer *, const uint16_t *trains, uint32_t inputs, uint32_t row_bytes)
 * From spike to spike: 7 instructions an event, 6 a train without. */
    FUNCTION fsvae_scatter_trains
    push {r4-r7, lr}
    mov r4, #0x80000000
    movs r5, #0 /* the row's offset */
    b 4f
1:  ldrh r6, [r1], #2
    cbz r6, 3f
    rbit r6, r6
2:  clz r12, r6 /* the step */
    ldr lr, [r0, r12, lsl #2]
    lsr r7, r4, r12
    bics r6, r6, r7
    strh r5, [lr], #2
    str lr, [r0, r12, lsl #2]
    bne 2b
3:  adds r5, r5, r3
4:  subs r2, r2, #1
    bhs 1b
    pop {r4-r7, pc}

    /* Exchanges bits of \x whose places have in binary a 1 at one place and a 0 at another, by \mask (one of each two) and
     * \shift (how far apart they are). */
    .macro EXCHANGE x, scratch, shift, mask
    eor \scratch, \x, \x, lsr #\shift
    and \scratch, \scratch, \mask
    eor \x, \x, \scratch
    eor \x, \x, \scratch, lsl #\shift
    .endm

    /* One step of a group, whose pattern is \bits bits of \x from \at on: the offset of its row, r4 being that of pattern
     * 0, goes to the list of step \t. 2 instructions, with an event 6. */
    .macro APPEND x, bits, at, t
    ands r5, \x, #((1 << \bits) - 1) << (\at)
    beq .Lsilent\@
    .if (\at) < 5
    add r5, r4, r5, lsl #(5 - (\at))
    .else
    .if (\at) == 5
    add r5, r4, r5
    .else
    add r5, r4, r5, lsr #((\at) - 5)
    .endif
    .endif
    ldr r6, [r0, #4 * (\t)]
    strh r5, [r6], #2
    str r6, [r0, #4 * (\t)]
.Lsilent\@:
    .endm

    .macro MEMBER train
    ldrh \train, [r2], #2
    ldrh \train, [r1, \train, lsl #1]
    .endm

/* void fsvae_scatter_pairs(fsvae_list_writer *, const uint16_t *trains, const uint16_t *members, uint32_t groups)
 * The pattern of step t comes to lie at bits 2t and 2t + 1. */
    FUNCTION fsvae_scatter_pairs
    push {r4-r8, lr}
    mvn r4, #31 /* where pattern 0 of the group would lie */
    b 4f
1:  MEMBER r5
    MEMBER r6
    orrs r7, r5, r6, lsl #16
    beq.w 3f
    EXCHANGE r7, r5, 8, #0x0000ff00
    EXCHANGE r7, r5, 4, #0x00f000f0
    EXCHANGE r7, r5, 2, #0x0c0c0c0c
    EXCHANGE r7, r5, 1, #0x22222222
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    APPEND r7, 2, 2 * \t, \t
    .endr
3:  adds r4, r4, #3 * 32
4:  subs r3, r3, #1
    bhs.w 1b
    pop {r4-r8, pc}

    /* Four bytes of one train each, first, third, second and fourth member from the lowest: the pattern of step t, from 0
     * to 7, comes to lie at bits 4t to 4t + 3. */
    .macro TRANSPOSE x
    EXCHANGE \x, r5, 12, r12
    EXCHANGE \x, r5, 6, #0x00cc00cc
    EXCHANGE \x, r5, 3, #0x0a0a0a0a
    .endm

/* void fsvae_scatter_quads(fsvae_list_writer *, const uint16_t *trains, const uint16_t *members, uint32_t groups) */
    FUNCTION fsvae_scatter_quads
    push {r4-r9, lr}
    mvn r4, #31 /* where pattern 0 of the group would lie */
    movw r12, #0xf0f0
    b 4f
1:  MEMBER r5
    MEMBER r6
    MEMBER r7
    MEMBER r8
    orr r5, r5, r6, lsl #16
    orr r7, r7, r8, lsl #16
    orrs r6, r5, r7
    beq.w 3f
    uxtb16 r8, r5
    uxtb16 r9, r7
    orr r8, r8, r9, lsl #8
    uxtb16 r5, r5, ror #8
    and r7, r7, #0xff00ff00
    orr r7, r7, r5
    TRANSPOSE r8
    TRANSPOSE r7
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7
    APPEND r8, 4, 4 * \t, \t
    .endr
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7
    APPEND r7, 4, 4 * \t, \t + 8
    .endr
3:  add r4, r4, #15 * 32
4:  subs r3, r3, #1
    bhs.w 1b
    pop {r4-r9, pc}

    /* A row of four words of biased bytes at \from as eight words of pairs in r4 to r11. */
    .macro EXPAND from
    ldm \from, {r4, r6, r8, r10}
    uxtb16 r5, r4, ror #8
    uxtb16 r4, r4
    uxtb16 r7, r6, ror #8
    uxtb16 r6, r6
    uxtb16 r9, r8, ror #8
    uxtb16 r8, r8
    uxtb16 r11, r10, ror #8
    uxtb16 r10, r10
    .irp w, r4, r5, r6, r7, r8, r9, r10, r11
    sub \w, \w, #0x00800080
    .endr
    .endm

/* void fsvae_expand_bytes(const uint32_t *from, uint32_t *to, uint32_t rows): rows one after the other. */
    FUNCTION fsvae_expand_bytes
    push {r4-r11, lr}
1:  EXPAND r0
    adds r0, r0, #16
    stm r1!, {r4-r11}
    subs r2, r2, #1
    bne 1b
    pop {r4-r11, pc}

    /* The row of member \m alone, and the \sums rows of the patterns that have it and members before it: each is its row
     * plus one of the rows before. */
    .macro MEMBER_ROWS m, sums
    ldrh r12, [r1], #2
    add r12, r0, r12, lsl #4
    EXPAND r12
    add lr, r2, #32 * ((1 << \m) - 1)
    stm lr!, {r4-r11}
    .if \sums
    stm sp, {r0-r3}
    mov r0, r2
    mov r1, lr
    .rept \sums
    ldm r0!, {r2, r3, r12, lr}
    add r2, r4
    add r3, r5
    add r12, r6
    add lr, r7
    stm r1!, {r2, r3, r12, lr}
    ldm r0!, {r2, r3, r12, lr}
    add r2, r8
    add r3, r9
    add r12, r10
    add lr, r11
    stm r1!, {r2, r3, r12, lr}
    .endr
    ldm sp, {r0-r3}
    .endif
    .endm

/* void fsvae_expand_pairs(const uint32_t *from, const uint16_t *members, uint32_t *rows, uint32_t groups)
 * void fsvae_expand_quads(...)
 * For each group the rows of its 3 or 15 patterns. */
    FUNCTION fsvae_expand_pairs
    push {r4-r11, lr}
    sub sp, #20
1:  MEMBER_ROWS 0, 0
    MEMBER_ROWS 1, 1
    adds r2, r2, #3 * 32
    subs r3, r3, #1
    bne.w 1b
    add sp, #20
    pop {r4-r11, pc}

    FUNCTION fsvae_expand_quads
    push {r4-r11, lr}
    sub sp, #20
1:  MEMBER_ROWS 0, 0
    MEMBER_ROWS 1, 1
    MEMBER_ROWS 2, 3
    MEMBER_ROWS 3, 7
    add r2, r2, #15 * 32
    subs r3, r3, #1
    bne.w 1b
    add sp, #20
    pop {r4-r11, pc}

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
