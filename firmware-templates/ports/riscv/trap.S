/* Where the core starts, and where traps go. */

    .section .vectors, "ax", %progbits
    .globl Reset_Handler
    .type Reset_Handler, %function
Reset_Handler:
    la sp, __stack_top
    csrci mstatus, 8            /* a boot loader may have left interrupts on */
    la t0, trap_table
    ori t0, t0, 1               /* vectored (3.1.7): some cores have nothing else */
    csrw mtvec, t0
    tail start_program
    .size Reset_Handler, . - Reset_Handler

    /* An entry for each cause; all lead to the same place. */
    .balign 256
    .type trap_table, %object
trap_table:
    .option push
    .option norvc
    .rept 48
    j trap
    .endr
    .option pop
    .size trap_table, . - trap_table

    .balign 4
    .type trap, %function
trap:
    csrw mscratch, t0
    csrr t0, mcause
    bgez t0, fault
    csrr t0, mscratch
    addi sp, sp, -64
    sw ra, 0(sp)
    sw t0, 4(sp)
    sw t1, 8(sp)
    sw t2, 12(sp)
    sw a0, 16(sp)
    sw a1, 20(sp)
    sw a2, 24(sp)
    sw a3, 28(sp)
    sw a4, 32(sp)
    sw a5, 36(sp)
    sw a6, 40(sp)
    sw a7, 44(sp)
    sw t3, 48(sp)
    sw t4, 52(sp)
    sw t5, 56(sp)
    sw t6, 60(sp)
    csrr a0, mcause
    slli a0, a0, 1
    srli a0, a0, 1
    call interrupt
    lw ra, 0(sp)
    lw t0, 4(sp)
    lw t1, 8(sp)
    lw t2, 12(sp)
    lw a0, 16(sp)
    lw a1, 20(sp)
    lw a2, 24(sp)
    lw a3, 28(sp)
    lw a4, 32(sp)
    lw a5, 36(sp)
    lw a6, 40(sp)
    lw a7, 44(sp)
    lw t3, 48(sp)
    lw t4, 52(sp)
    lw t5, 56(sp)
    lw t6, 60(sp)
    addi sp, sp, 64
    mret

    /* The handler goes on with a fresh stack, for the old one may be used up. It never returns. */
fault:
    csrr a0, mepc
    csrr a1, mtval
    la sp, __stack_top
    tail fault_handler
    .size trap, . - trap
