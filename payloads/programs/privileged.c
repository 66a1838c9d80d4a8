/*
 * x86. Instructions that a program may use because it runs in ring 0, with paging on (2.3.2, 2.3.4).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok".
 */
#include "support.h"

static UINT64 timestamp(void) {
    UINT32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (UINT64)high << 32 | low;
}

static void cpuid(UINT32 leaf, UINT32 *registers) {
    __asm__ volatile("cpuid"
                     : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                     : "a"(leaf), "c"(0));
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    UINT32 registers[4];
    UINTN cr0, cr3, cr4, flags, random = 0;
    UINT16 code_segment;
    UINT8 carry = 0;
    start(image, table);

    UINT64 first = timestamp();
    bs->Stall(1000);
    UINT64 second = timestamp();
    check("rdtsc: it grows", second > first);
    cpuid(0, registers);
    char vendor[13] = {0};
    memcpy(vendor, &registers[1], 4);
    memcpy(vendor + 4, &registers[3], 4);
    memcpy(vendor + 8, &registers[2], 4);
    say("cpuid: %s, %u leaves\n", vendor, (UINT64)registers[0]);
    check("cpuid: leaf 1 is there", registers[0] >= 1);
    cpuid(1, registers);
    check("cpuid: fpu, tsc, msr, pae, sse2", (registers[3] & 0x04000071) == 0x04000071);
    if (registers[2] >> 30 & 1) {
        for (int attempt = 0; attempt < 10 && !carry; attempt++)
            __asm__ volatile("rdrand %0\n\tsetc %1" : "=r"(random), "=q"(carry)::"cc");
        check("rdrand: gives a number", carry);
    } else {
        say("cpuid: no rdrand\n");
    }
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %%cr3, %0" : "=r"(cr3));
    __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
    __asm__ volatile("mov %%cs, %0" : "=r"(code_segment));
    __asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
    say("cr0 %x, cr3 %x, cr4 %x\n", (UINT64)cr0, (UINT64)cr3, (UINT64)cr4);
    check("cr0: protected mode with paging", (cr0 & 0x80000001) == 0x80000001);
    check("cr3: page tables", (cr3 & ~(UINTN)0xfff) != 0);
    check("cr4: physical address extension", (cr4 & 0x20) == 0x20);
    check("cs: ring 0", code_segment != 0 && (code_segment & 3) == 0);
    check("flags: direction clear", (flags & 0x400) == 0);
    check("flags: interrupts enabled", (flags & 0x200) == 0x200);
    return verdict();
}
