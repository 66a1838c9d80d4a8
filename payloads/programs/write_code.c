/*
 * Writes to its own .text section, which is not writable.
 *
 * Outcome: a fault, writing there. Firmware without memory protection lets it pass.
 */
#include "support.h"

static UINT8 __attribute__((noinline)) victim(void) {
    return 42;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    volatile UINT8 *code = (volatile UINT8 *)(UINTN)victim;
    say("Writing to code.\n");
    *code = 0xc3;
    say("The write to code went through.\n");
    return EFI_COMPROMISED_DATA;
}
