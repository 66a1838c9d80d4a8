/*
 * x86. An instruction that raises an exception which nobody handles; the build says which.
 *
 * cpu_ud2, invalid opcode. cpu_int3, breakpoint. cpu_div_zero, division by zero. cpu_general, general protection (a
 * read from an address that is not canonical). Outcome of each: a fault.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
#if defined(FAULT_UD2)
    say("Raising an invalid opcode.\n");
    __asm__ volatile("ud2");
#elif defined(FAULT_INT3)
    say("Raising a breakpoint.\n");
    __asm__ volatile("int3");
#elif defined(FAULT_DIV_ZERO)
    say("Raising a division by zero.\n");
    UINT32 low = 1, high = 0;
    __asm__ volatile("divl %2" : "+a"(low), "+d"(high) : "r"(0));
#elif defined(FAULT_GENERAL)
    say("Raising a general protection.\n");
    __asm__ volatile("movb (%0), %%al" ::"r"(0x8000000000000000ULL) : "rax", "memory");
#else
#error "the build names no exception"
#endif
    say("No exception came.\n");
    return EFI_COMPROMISED_DATA;
}
