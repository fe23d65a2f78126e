/* What the boot ROM looks for at the start of flash before it goes to what follows, instead of reading an image of its own
 * format ("direct boot"): it has then mapped flash for instructions and for data. */

    .section .direct_boot, "ax", %progbits
    .word 0xaedb041d
    .word 0xaedb041d
    tail Reset_Handler
    .balign 256 /* the table of traps is aligned so */
