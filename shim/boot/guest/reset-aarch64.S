/* What is at the start of the flash of QEMU's arm64 machine virt: it waits for memory to be filled. */
#include "entry.h"

    .section .text, "ax"
    .globl _start
_start:
    ldr x0, entry_page
    mov x1, #1
    str x1, [x0, #READY]
    dsb sy
0:  ldr x1, [x0, #GO]
    cbz x1, 0b
    dsb sy
    ic iallu
    dsb sy
    isb
    br x0
    .balign 8
entry_page:
    .quad 0
