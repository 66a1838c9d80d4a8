/* What OpenSBI starts in S-mode on QEMU's riscv64 machine virt, in flash: it waits for memory to be filled. */
#include "entry.h"

    .section .text, "ax"
    .globl _start
_start:
    lla t0, entry_page
    ld t0, 0(t0)
    li t1, 1
    sd t1, READY(t0)
    fence
0:  ld t1, GO(t0)
    beqz t1, 0b
    fence
    fence.i
    jr t0
    .balign 8
entry_page:
    .dword 0
