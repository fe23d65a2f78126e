/* Second-stage boot of the RP2040: sets the flash interface to fast reads, then enters the program.
 *
 * The boot ROM copies the first 256 bytes of flash to 0x20041f00, checks that the last four are the CRC-32 of the
 * others, and jumps to the copy with lr = 0 (RP2040 datasheet, section 2.8.1.3). So this code is position-independent
 * and at most 252 bytes; the image builder puts the checksum into the last four. The program itself calls a copy of
 * this code, with lr set, to come back from talking to the flash chip: then it returns.
 *
 * Reads are quad I/O, command EBh, in continuous mode: after the first read the command byte is never sent again. That
 * needs the flash's quad enable bit, which Winbond W25Q parts, as on the Pico, keep in status register 2, bit 1.
 * SSI registers: datasheet section 4.10. */

    .syntax unified
    .cpu cortex-m0plus
    .thumb

    .equ PADS_QSPI, 0x40020000
    .equ PADS_SCLK, 0x04
    .equ PADS_SD0, 0x08

    .equ SSI, 0x18000000
    .equ CTRLR0, 0x00
    .equ CTRLR1, 0x04
    .equ SSIENR, 0x08
    .equ BAUDR, 0x14
    .equ SR, 0x28
    .equ DR0, 0x60
    .equ RX_SAMPLE_DLY, 0xf0
    .equ SPI_CTRLR0, 0xf4

    .equ READ_STATUS_1, 0x05
    .equ READ_STATUS_2, 0x35
    .equ WRITE_ENABLE, 0x06
    .equ WRITE_STATUS, 0x01
    .equ QUAD_ENABLE, 0x02

    .section .boot2, "ax"
    .balign 256
    .global boot2
    .type boot2, %function
    .thumb_func
boot2:
    push {lr}

    /* Clock pad: 8 mA, fast slew. Data pads: no Schmitt trigger, which would add input delay. */
    ldr r3, =PADS_QSPI
    movs r0, #0x21
    str r0, [r3, #PADS_SCLK]
    ldr r0, [r3, #PADS_SD0]
    movs r1, #2
    bics r0, r1
    str r0, [r3, #PADS_SD0]
    str r0, [r3, #PADS_SD0 + 4]
    str r0, [r3, #PADS_SD0 + 8]
    str r0, [r3, #PADS_SD0 + 12]

    ldr r3, =SSI
    movs r0, #0
    str r0, [r3, #SSIENR]
    movs r0, #2 /* flash clock: system clock / 2 */
    str r0, [r3, #BAUDR]
    movs r0, #1
    movs r1, #RX_SAMPLE_DLY
    str r0, [r3, r1]

    /* Plain SPI, frames of 8 bits, to talk to the status registers. */
    ldr r0, =(7 << 16)
    str r0, [r3, #CTRLR0]
    movs r0, #1
    str r0, [r3, #SSIENR]

    movs r0, #READ_STATUS_2
    bl read_status
    movs r1, #QUAD_ENABLE
    tst r0, r1
    bne quad_enabled

    movs r0, #WRITE_ENABLE
    str r0, [r3, #DR0]
    bl wait_ready
    ldr r0, [r3, #DR0]
    movs r0, #WRITE_STATUS
    str r0, [r3, #DR0]
    movs r0, #0
    str r0, [r3, #DR0]
    movs r0, #QUAD_ENABLE
    str r0, [r3, #DR0]
    bl wait_ready
    ldr r0, [r3, #DR0]
    ldr r0, [r3, #DR0]
    ldr r0, [r3, #DR0]
writing:
    movs r0, #READ_STATUS_1
    bl read_status
    movs r1, #1
    tst r0, r1
    bne writing

quad_enabled:
    movs r0, #0
    str r0, [r3, #SSIENR]
    /* Quad frames of 32 bits, "EEPROM read" transfers. */
    ldr r0, =((2 << 21) | (31 << 16) | (3 << 8))
    str r0, [r3, #CTRLR0]
    movs r0, #0
    str r0, [r3, #CTRLR1]

    /* One read with the command byte: command serial, address and mode (A0h: continue without command) quad, 4 dummy
     * clocks. */
    movs r2, #SPI_CTRLR0
    ldr r0, =((8 << 2) | (4 << 11) | (2 << 8) | 1)
    str r0, [r3, r2]
    movs r0, #1
    str r0, [r3, #SSIENR]
    movs r0, #0xeb
    str r0, [r3, #DR0]
    movs r0, #0xa0
    str r0, [r3, #DR0]
    bl wait_ready

    /* From now on no command byte; the mode byte goes out after every address. */
    movs r0, #0
    str r0, [r3, #SSIENR]
    ldr r0, =((0xa0 << 24) | (8 << 2) | (4 << 11) | 2)
    str r0, [r3, r2]
    movs r0, #1
    str r0, [r3, #SSIENR]

    pop {r0}
    cmp r0, #0
    bne return_to_caller
    ldr r0, =0x10000100
    ldr r1, =0xe000ed08 /* VTOR */
    str r0, [r1]
    ldmia r0!, {r1, r2}
    msr msp, r1
    bx r2
return_to_caller:
    bx r0

/* r3: SSI. Waits until everything is sent and the interface is idle. Changes r0, r1. */
    .thumb_func
wait_ready:
    ldr r1, [r3, #SR]
    movs r0, #4 /* transmit FIFO empty */
    tst r1, r0
    beq wait_ready
    movs r0, #1 /* busy */
    tst r1, r0
    bne wait_ready
    bx lr

/* r3: SSI. r0: command; returns the status byte in r0. Changes r1, r2. */
    .thumb_func
read_status:
    mov r2, lr
    str r0, [r3, #DR0]
    str r0, [r3, #DR0] /* any second byte clocks the answer in */
    bl wait_ready
    ldr r0, [r3, #DR0]
    ldr r0, [r3, #DR0]
    bx r2

    .pool
    .balign 256, 0 /* the checksum's place is there, and zero */
