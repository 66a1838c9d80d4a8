/* The entry page of QEMU's arm64 machine virt: loads the registers of a hand-off, and returns to the kernel. */
#include "entry.h"

    .section .text, "ax"
    .globl _start
_start:
    adr x0, values
    ldr x2, [x0, #0xf8]             /* sp */
    msr spsel, #1
    mov sp, x2
    ldp x3, x4, [x0, #0x100]        /* pc, pstate */
    ldp x5, x6, [x0, #0x110]        /* sctlr, tcr */
    ldp x7, x8, [x0, #0x120]        /* mair, ttbr0 */
    ldp x9, x10, [x0, #0x130]       /* ttbr1 or hcr, vbar */
    ldp x11, x12, [x0, #0x140]      /* cpacr or cptr, sctlr_el1 */
    mrs x13, currentel
    cmp x13, #8
    b.eq 2f
    msr sp_el0, x2
    msr mair_el1, x7
    msr ttbr0_el1, x8
    msr ttbr1_el1, x9
    msr tcr_el1, x6
    msr vbar_el1, x10
    msr cpacr_el1, x11
    msr elr_el1, x3
    msr spsr_el1, x4
    tlbi vmalle1
    dsb sy
    isb
    msr sctlr_el1, x5
    isb
    b 3f
2:  msr sp_el0, x2
    msr hcr_el2, x9
    msr cptr_el2, x11
    msr mair_el2, x7
    msr ttbr0_el2, x8
    msr tcr_el2, x6
    msr vbar_el2, x10
    msr sctlr_el1, x12
    msr elr_el2, x3
    msr spsr_el2, x4
    tlbi alle2
    dsb sy
    isb
    msr sctlr_el2, x5
    isb
3:  ldp x2, x3, [x0, #0x10]
    ldp x4, x5, [x0, #0x20]
    ldp x6, x7, [x0, #0x30]
    ldp x8, x9, [x0, #0x40]
    ldp x10, x11, [x0, #0x50]
    ldp x12, x13, [x0, #0x60]
    ldp x14, x15, [x0, #0x70]
    ldp x16, x17, [x0, #0x80]
    ldp x18, x19, [x0, #0x90]
    ldp x20, x21, [x0, #0xa0]
    ldp x22, x23, [x0, #0xb0]
    ldp x24, x25, [x0, #0xc0]
    ldp x26, x27, [x0, #0xd0]
    ldp x28, x29, [x0, #0xe0]
    ldr x30, [x0, #0xf0]
    ldp x0, x1, [x0]
    eret

    .org READY
    .quad 0, 0
values:
