/* The entry page of a PC: loads the registers of a hand-off, and jumps to the kernel.
 *
 * It runs on the map that the ROM brought first, and then on that of the hand-off, where the page may be read only:
 * so nothing is pushed, and what is popped lies ready.
 */
#include "entry.h"

    .section .text, "ax"
    .globl _start
_start:
    leaq values(%rip), %rsi
    movq 0x10(%rsi), %rax
    movq %rax, %cr4
    movq 0x08(%rsi), %rax
    movq %rax, %cr3
    movl $0xc0000080, %ecx
    movl 0x18(%rsi), %eax
    movl 0x1c(%rsi), %edx
    wrmsr
    movq 0x00(%rsi), %rax
    movq %rax, %cr0
    lgdt 0x20(%rsi)
    lidt 0x30(%rsi)
    movl 0x40(%rsi), %eax
    movl %eax, %ds
    movl 0x48(%rsi), %eax
    movl %eax, %es
    movl 0x50(%rsi), %eax
    movl %eax, %fs
    movl 0x58(%rsi), %eax
    movl %eax, %gs
    movl 0x60(%rsi), %eax
    movl %eax, %ss
    leaq 0x68(%rsi), %rsp           /* GO_ON's address, CS, RFLAGS */
    lretq
    .org GO_ON
    popfq
    movq 0x80(%rsi), %rax
    movq 0x88(%rsi), %rbx
    movq 0x90(%rsi), %rcx
    movq 0x98(%rsi), %rdx
    movq 0xa8(%rsi), %rdi
    movq 0xb0(%rsi), %rbp
    movq 0xb8(%rsi), %rsp
    movq 0xc0(%rsi), %r8
    movq 0xc8(%rsi), %r9
    movq 0xd0(%rsi), %r10
    movq 0xd8(%rsi), %r11
    movq 0xe0(%rsi), %r12
    movq 0xe8(%rsi), %r13
    movq 0xf0(%rsi), %r14
    movq 0xf8(%rsi), %r15
    movq 0xa0(%rsi), %rsi
    jmpq *(values + 0x100)(%rip)

    .org READY
    .quad 0, 0
values:
