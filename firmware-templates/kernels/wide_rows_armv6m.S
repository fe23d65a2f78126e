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

/* void fsvae_expand_bytes(const uint32_t *from, uint32_t *to): 4 words of biased bytes to 8 of pairs, 45 cycles. */
    .macro WIDEN word
    mov r3, \word
    lsrs r4, \word, #8
    ands r3, r5
    ands r4, r5
    subs r3, r3, r6
    subs r4, r4, r6
    stmia r1!, {r3, r4}
    .endm
    FUNCTION fsvae_expand_bytes
    push {r4-r7, lr}
    ldr r5, 1f
    ldr r6, 2f
    ldmia r0!, {r2, r7}
    WIDEN r2
    WIDEN r7
    ldmia r0!, {r2, r7}
    WIDEN r2
    WIDEN r7
    pop {r4-r7, pc}
    .balign 4
1:  .word 0x00ff00ff
2:  .word 0x00800080

/* void fsvae_add_rows(const uint32_t *a, const uint32_t *b, uint32_t *sum): eight words each, 44 cycles. */
    FUNCTION fsvae_add_rows
    push {r4-r7, lr}
    .rept 4
    ldmia r0!, {r3, r4}
    ldmia r1!, {r5, r6}
    adds r3, r3, r5
    adds r4, r4, r6
    stmia r2!, {r3, r4}
    .endr
    pop {r4-r7, pc}

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
