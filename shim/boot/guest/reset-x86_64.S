/* The last page of the ROM of a PC: from the reset vector to 64-bit mode, where it waits for memory to be filled.
 *
 * The page tables lie at the ROM's start: an identity map of the lowest 4 GiB, and of where the entry page lies.
 * Whoever makes the ROM puts them there, and the address of the entry page behind `entry_page`.
 */
#include "entry.h"

#define TABLES 0xffff0000

    /* Writes a register of PCI's configuration space. */
    .macro configure register, value
    movl $\register, %eax
    movw $0xcf8, %dx
    outl %eax, %dx
    movl $\value, %eax
    movw $0xcfc, %dx
    outl %eax, %dx
    .endm

    .section .text, "ax"
    .code16
    .globl _start
_start:
    cli
    lgdtl %cs:(descriptors - 0xffff0000)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $protected

    .code32
protected:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $0x20, %eax                /* PAE */
    movl %eax, %cr4
    movl $TABLES, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    movl $0x900, %eax               /* NXE, LME: the map that follows may have entries that forbid execution */
    xorl %edx, %edx
    wrmsr
    movl $0x80000011, %eax          /* PG, ET, PE */
    movl %eax, %cr0
    ljmpl $0x18, $long_mode

    .code64
long_mode:
    /* Of the chipset, ACPI's registers are where a PC's firmware puts them, and its tables say: at ports from 0x600. */
    configure 0x8000f840, 0x601     /* 00:1f.0, PMBASE */
    configure 0x8000f844, 0x80      /* ACPI_CNTL: the registers are on */
    /* The local APIC as a PC's firmware leaves it: without ACPI a kernel gets its timer through LINT0. */
    movl $0xfee00000, %eax
    movl $0x1ff, 0xf0(%rax)         /* enabled, spurious vector 0xff */
    movl $0x8700, 0x350(%rax)       /* LINT0: ExtINT */
    movl $0x8400, 0x360(%rax)       /* LINT1: NMI */
    movl $entry_page, %eax
    movq (%rax), %rdi
    movq $1, READY(%rdi)
0:  pause
    cmpq $0, GO(%rdi)
    je 0b
    jmpq *%rdi

    .balign 8
table:
    .quad 0
    .quad 0x00cf9b000000ffff        /* 32-bit code */
    .quad 0x00cf93000000ffff        /* data */
    .quad 0x00af9b000000ffff        /* 64-bit code */
descriptors:
    .word . - table - 1
    .long table

    .org 0xfe8
entry_page:
    .quad 0
    .code16
    jmp _start                      /* the reset vector */
    .org 0x1000
