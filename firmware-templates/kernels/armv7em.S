/* The innermost loops beside those of wide.h, with the DSP instructions of Cortex-M4, M7 and M33, by hand:
 * fsvae_copy() of fetch.h, fsvae_distance() of prior.h and fsvae_readout_add() of readout.h, same bits as their C. Copied unchanged. */

#if (defined(__ARM_ARCH_7EM__) || defined(__ARM_ARCH_8M_MAIN__)) && defined(__ARM_FEATURE_DSP)

    .syntax unified
    .thumb
    .text

/* void fsvae_copy(uint32_t *to, const uint32_t *from, uint32_t words): of fetch.h. */
    .balign 4
    .global fsvae_copy
    .type fsvae_copy, %function
    .thumb_func
fsvae_copy:
    push {r4-r10, lr}
    b 2f
1:  ldm r1!, {r3-r10}
    stm r0!, {r3-r10}
2:  subs r2, r2, #8
    bhs 1b
    adds r2, r2, #8
    beq 4f
3:  ldr r3, [r1], #4
    str r3, [r0], #4
    subs r2, r2, #1
    bne 3b
4:  pop {r4-r10, pc}
    .size fsvae_copy, . - fsvae_copy

    /* Sixteen bytes: USADA8 adds four differences at once. */
    .macro SIXTEEN_BYTES
    ldm r0!, {r4-r7}
    ldm r1!, {r8-r11}
    usada8 r12, r4, r8, r12
    usada8 r12, r5, r9, r12
    usada8 r12, r6, r10, r12
    usada8 r12, r7, r11, r12
    .endm

/* uint32_t fsvae_distance(const uint32_t *row, const uint32_t *masks, uint32_t inputs)
 * inputs: a multiple of 16. 6 instructions for each 16 of them. */
    .balign 4
    .global fsvae_distance
    .type fsvae_distance, %function
    .thumb_func
fsvae_distance:
    push {r4-r11, lr}
    mov r12, #0
    subs r2, r2, #128
    blo 2f
1:  .rept 8
    SIXTEEN_BYTES
    .endr
    subs r2, r2, #128
    bhs 1b
2:  adds r2, r2, #128
    beq 4f
3:  SIXTEEN_BYTES
    subs r2, r2, #16
    bne 3b
4:  mov r0, r12
    pop {r4-r11, pc}
    .size fsvae_distance, . - fsvae_distance

    .equ TABLE, 0
    .equ EXPANDED, 4
    .equ INPUTS, 8 /* bytes of a position's trains */
    .equ POSITIONS, 12
    .equ MEMBRANES, 16
    .equ POSITION_END, 28
    .equ READOUT_FRAME, 36

/* One input of the readout: 22 instructions, 3 where it has no spikes. r0 its train and r1 its weights, which move on;
 * r2, r3, lr scratch; sums in r4 to r12. */
    .macro READOUT_INPUT
    ldrh r2, [r0], #2
    cbz r2, .Lsilent\@
    ldr lr, [sp, #TABLE]
    uxtb r3, r2
    lsrs r2, r2, #8
    ldrh r3, [lr, r3, lsl #1]
    add lr, lr, r2, lsl #1
    ldrh r2, [lr, #512]
    add r2, r3 /* rule R1 */
    ldrd r3, lr, [r1], #8
    smlabb r4, r2, r3, r4
    smlabt r5, r2, r3, r5
    smlabb r6, r2, lr, r6
    smlabt r7, r2, lr, r7
    ldrd r3, lr, [r1], #8
    smlabb r8, r2, r3, r8
    smlabt r9, r2, r3, r9
    smlabb r10, r2, lr, r10
    smlabt r11, r2, lr, r11
    ldr r3, [r1], #4
    smlabb r12, r2, r3, r12
    b .Lcounted\@
.Lsilent\@:
    adds r1, r1, #20
.Lcounted\@:
    .endm

    .macro READOUT_STORE row, sum
    ldr r1, [sp, #MEMBRANES + 4 * \row]
    ldr r2, [r1]
    add r2, \sum
    stm r1!, {r2}
    str r1, [sp, #MEMBRANES + 4 * \row]
    .endm

/* void fsvae_readout_add(const fsvae_readout_run *run, const fsvae_train *trains)
 *
 * Nine sums: three columns of the row above, of this one and of the one below. They move along with the position, so each
 * membrane is loaded and stored once. */
    .balign 4
    .global fsvae_readout_add
    .type fsvae_readout_add, %function
    .thumb_func
fsvae_readout_add:
    push {r4-r11, lr}
    sub sp, #READOUT_FRAME
    ldm r0, {r4-r10} /* tables, weights, inputs, positions, membranes */
    lsls r6, r6, #1
    stm sp, {r4-r10}
    mov r0, r1
    movs r4, #0
    movs r5, #0
    movs r6, #0
    movs r7, #0
    mov r8, r4
    mov r9, r4
    mov r10, r4
    mov r11, r4
    mov r12, r4
1:  ldrd r1, r2, [sp, #EXPANDED]
    add r2, r0
    str r2, [sp, #POSITION_END]
    b 3f
2:  READOUT_INPUT
    READOUT_INPUT
    READOUT_INPUT
    READOUT_INPUT
3:  ldr r2, [sp, #POSITION_END]
    subs r2, r2, r0
    cmp r2, #8
    bhs.w 2b
    cbz r2, 5f
4:  READOUT_INPUT
    ldr r2, [sp, #POSITION_END]
    cmp r2, r0
    bne 4b
5:  READOUT_STORE 0, r4
    READOUT_STORE 1, r7
    READOUT_STORE 2, r10
    mov r4, r5
    mov r5, r6
    movs r6, #0
    mov r7, r8
    mov r8, r9
    mov r9, r6
    mov r10, r11
    mov r11, r12
    mov r12, r6
    ldr r2, [sp, #POSITIONS]
    subs r2, r2, #1
    str r2, [sp, #POSITIONS]
    bne.w 1b
    READOUT_STORE 0, r4
    READOUT_STORE 1, r7
    READOUT_STORE 2, r10
    add sp, #READOUT_FRAME
    pop {r4-r11, pc}
    .size fsvae_readout_add, . - fsvae_readout_add

#endif

#if defined(__linux__) && defined(__ELF__)
    .section .note.GNU-stack, "", %progbits
#endif
