/* What surrounds the wide kernels on ARMv6-M (Cortex-M0, M0+), by hand: listing the events of a position, and making
 * rows of halves (wide.h); same bits as their C. Copied unchanged. */

#if defined(__ARM_ARCH_6M__)

    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .macro FUNCTION name
    .section .text.\name, "ax", %progbits
    .balign 4
    .global \name
    .type \name, %function
    .thumb_func
\name:
    .endm

    /* Appends \value to the list of step \t. r7: where the lists end. \next: scratch. */
    .macro APPEND value, next, t
    ldr \next, [r7, #4 * \t]
    strh \value, [\next]
    adds \next, \next, #2
    str \next, [r7, #4 * \t]
    .endm

/* void fsvae_scatter_trains(fsvae_list_writer *, const uint16_t *trains, uint32_t inputs, uint32_t row_bytes)
 * A step costs 3 cycles, an event 9. */
    .macro TRAIN_STEP t
    lsrs r4, r4, #1
    bcc .Lsilent\@
    APPEND r5, r6, \t
.Lsilent\@:
    .endm
    FUNCTION fsvae_scatter_trains
    push {r4-r7, lr}
    mov r7, r0
    lsls r2, r2, #1
    adds r2, r2, r1 /* end of the trains */
    movs r5, #0
    b 3f
1:  ldrh r4, [r1]
    adds r1, r1, #2
    cmp r4, #0
    beq 2f
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    TRAIN_STEP \t
    .endr
2:  adds r5, r5, r3
3:  cmp r1, r2
    bne 1b
    pop {r4-r7, pc}

/* void fsvae_scatter_pairs(fsvae_list_writer *, const uint16_t *trains, const uint16_t *members, uint32_t groups)
 * The pattern of a step is collected through the carry: 7 cycles a step, an event 9 more. */
    .macro PAIR_STEP t
    movs r3, #0
    lsrs r5, r5, #1
    adcs r3, r3
    lsrs r4, r4, #1
    adcs r3, r3
    beq .Lsilent\@
    lsls r3, r3, #5
    add r3, r8
    APPEND r3, r6, \t
.Lsilent\@:
    .endm
    .macro MEMBER train
    ldrh \train, [r2]
    adds r2, r2, #2
    lsls \train, \train, #1
    ldrh \train, [r1, \train]
    .endm
    FUNCTION fsvae_scatter_pairs
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    push {r4, r5}
    mov r7, r0
    lsls r3, r3, #2
    adds r3, r3, r2
    mov r9, r3 /* end of the members */
    movs r3, #0
    subs r3, r3, #32
1:  mov r8, r3 /* where pattern 0 of the group would lie */
    cmp r2, r9
    bne 5f
    pop {r4, r5}
    mov r8, r4
    mov r9, r5
    pop {r4-r7, pc}
5:  MEMBER r4
    MEMBER r5
    mov r3, r4
    orrs r3, r5
    bne 4f
    b 2f
4:
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    PAIR_STEP \t
    .endr
2:  mov r3, r8
    adds r3, r3, #3 * 32
    b 1b

/* void fsvae_scatter_quads(fsvae_list_writer *, const uint16_t *trains, const uint16_t *members, uint32_t groups)
 * 11 cycles a step, an event 9 more. */
    .macro QUAD_STEP t
    movs r2, #0
    lsrs r6, r6, #1
    adcs r2, r2
    lsrs r5, r5, #1
    adcs r2, r2
    lsrs r4, r4, #1
    adcs r2, r2
    lsrs r3, r3, #1
    adcs r2, r2
    beq .Lsilent\@
    lsls r2, r2, #5
    add r2, r8
    APPEND r2, r1, \t
.Lsilent\@:
    .endm
    FUNCTION fsvae_scatter_quads
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    mov r7, r0
    mov r10, r1
    lsls r3, r3, #3
    adds r3, r3, r2
    mov r9, r3 /* end of the members */
    movs r3, #0
    subs r3, r3, #32
1:  mov r8, r3 /* where pattern 0 of the group would lie */
    cmp r2, r9
    bne 5f
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
5:  mov r1, r10
    MEMBER r3
    MEMBER r4
    MEMBER r5
    MEMBER r6
    mov r11, r2
    mov r2, r3
    orrs r2, r4
    orrs r2, r5
    orrs r2, r6
    bne 4f
    b 2f
4:
    .irp t, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
    QUAD_STEP \t
    .endr
2:  mov r2, r11
    mov r3, r8
    adds r3, r3, #224
    adds r3, r3, #256 - 1
    adds r3, r3, #1
    b 1b

    /* Four words of biased bytes at r0 to eight of pairs at r1, both moved on; r5, r6 as EXPAND_MASKS sets
     * them. 41 cycles. */
    .macro WIDEN word
    mov r3, \word
    lsrs r4, \word, #8
    ands r3, r5
    ands r4, r5
    subs r3, r3, r6
    subs r4, r4, r6
    stmia r1!, {r3, r4}
    .endm
    .macro EXPAND
    .rept 2
    ldmia r0!, {r2, r7}
    WIDEN r2
    WIDEN r7
    .endr
    .endm
    .macro EXPAND_MASKS
    movs r5, #0xff
    lsls r6, r5, #16
    orrs r5, r6 /* 0x00ff00ff */
    movs r6, #0x80
    lsls r7, r6, #16
    orrs r6, r7 /* 0x00800080 */
    .endm

/* void fsvae_expand_bytes(const uint32_t *from, uint32_t *to, uint32_t rows): rows one after the other. */
    FUNCTION fsvae_expand_bytes
    push {r4-r7, lr}
    mov r12, r2
    EXPAND_MASKS
1:  EXPAND
    movs r2, #1
    mov r3, r12
    subs r3, r3, r2
    mov r12, r3
    bne 1b
    pop {r4-r7, pc}

    /* The rows of the patterns that have the highest bit of \count + 1, and others: each is the row of the others, from
     * [rows], plus the row of that bit alone, before where the first goes. Half a row a pass. 34 cycles a row.
     * r0 rows, kept; r1 the bit's own row, moved on by 16 bytes; r2, r3 scratch. */
    .macro SUMS count
    mov r8, r0
    .rept 2
    ldmia r1!, {r4, r5, r6, r7}
    mov r9, r1
    adds r1, r1, #16 /* the row after the bit's own, same half */
    .rept \count
    ldmia r0!, {r2, r3}
    adds r2, r2, r4
    adds r3, r3, r5
    stmia r1!, {r2, r3}
    ldmia r0!, {r2, r3}
    adds r2, r2, r6
    adds r3, r3, r7
    stmia r1!, {r2, r3}
    adds r0, r0, #16
    adds r1, r1, #16
    .endr
    mov r1, r9
    mov r0, r8
    adds r0, r0, #16
    .endr
    mov r0, r8
    .endm

    /* r0: the row in flash of the input that r2 points to, which moves on. r10: flash. */
    .macro FIND_MEMBER
    ldrh r0, [r2]
    adds r2, r2, #2
    lsls r0, r0, #4
    add r0, r10
    .endm

/* void fsvae_expand_pairs(const uint32_t *from, const uint16_t *members, uint32_t *rows, uint32_t groups)
 * void fsvae_expand_quads(...)
 * For each group the rows of its 3 or 15 patterns. The rows of the members themselves come first, where their pattern
 * lies; then the sums, from the second member's on. */
    .macro EXPAND_GROUPS name, quads
    FUNCTION \name
    push {r4-r7, lr}
    mov r4, r8
    mov r5, r9
    mov r6, r10
    mov r7, r11
    push {r4-r7}
    mov r10, r0
    mov r0, r1
    mov r1, r2
    mov r2, r0
    push {r3}
1:  mov r11, r1
    EXPAND_MASKS
    mov r12, r2
    FIND_MEMBER
    mov r12, r2
    EXPAND
    mov r2, r12
    FIND_MEMBER
    mov r12, r2
    EXPAND
    .if \quads
    adds r1, r1, #32
    mov r2, r12
    FIND_MEMBER
    mov r12, r2
    EXPAND
    adds r1, r1, #96
    mov r2, r12
    FIND_MEMBER
    mov r12, r2
    EXPAND
    .endif
    mov r0, r11
    mov r1, r0
    adds r1, r1, #32
    SUMS 1
    .if \quads
    mov r1, r0
    adds r1, r1, #96
    SUMS 3
    mov r1, r0
    adds r1, r1, #224
    SUMS 7
    .endif
    mov r1, r11
    .if \quads
    adds r1, r1, #240
    adds r1, r1, #240
    .else
    adds r1, r1, #96
    .endif
    mov r2, r12
    ldr r3, [sp]
    subs r3, r3, #1
    str r3, [sp]
    beq 2f
    b 1b
2:  pop {r3}
    pop {r4-r7}
    mov r8, r4
    mov r9, r5
    mov r10, r6
    mov r11, r7
    pop {r4-r7, pc}
    .endm
    EXPAND_GROUPS fsvae_expand_pairs, 0
    EXPAND_GROUPS fsvae_expand_quads, 1

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
