/* The entry page of QEMU's riscv64 machine virt: loads the registers of a hand-off, and returns to the kernel. */
#include "entry.h"

    .section .text, "ax"
    .globl _start
_start:
    lla a0, values
    csrw sie, zero
    ld t0, 0xf8(a0)
    csrw sepc, t0
    ld t0, 0x108(a0)
    csrw sstatus, t0
    ld t0, 0x148(a0)
    csrw fcsr, t0
    ld t0, 0x118(a0)
    csrw stvec, t0
    ld t0, 0x120(a0)
    csrw sscratch, t0
    ld t0, 0x130(a0)
    csrw scause, t0
    ld t0, 0x138(a0)
    csrw stval, t0
    ld t0, 0x140(a0)
    csrw scounteren, t0
    ld t0, 0x100(a0)
    csrw satp, t0
    sfence.vma
    ld t0, 0x110(a0)
    csrw sie, t0
    ld ra, 0x00(a0)
    ld sp, 0x08(a0)
    ld gp, 0x10(a0)
    ld tp, 0x18(a0)
    ld t0, 0x20(a0)
    ld t1, 0x28(a0)
    ld t2, 0x30(a0)
    ld s0, 0x38(a0)
    ld s1, 0x40(a0)
    ld a1, 0x50(a0)
    ld a2, 0x58(a0)
    ld a3, 0x60(a0)
    ld a4, 0x68(a0)
    ld a5, 0x70(a0)
    ld a6, 0x78(a0)
    ld a7, 0x80(a0)
    ld s2, 0x88(a0)
    ld s3, 0x90(a0)
    ld s4, 0x98(a0)
    ld s5, 0xa0(a0)
    ld s6, 0xa8(a0)
    ld s7, 0xb0(a0)
    ld s8, 0xb8(a0)
    ld s9, 0xc0(a0)
    ld s10, 0xc8(a0)
    ld s11, 0xd0(a0)
    ld t3, 0xd8(a0)
    ld t4, 0xe0(a0)
    ld t5, 0xe8(a0)
    ld t6, 0xf0(a0)
    ld a0, 0x48(a0)
    sret

    .org READY
    .dword 0, 0
values:
