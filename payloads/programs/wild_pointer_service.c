/*
 * Asks AllocatePool to write its result to an address that is not mapped.
 *
 * Outcome: a fault, writing there: the firmware's own access, on the program's behalf.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("AllocatePool with its result at %x.\n", (UINT64)UNMAPPED_POINTER);
    EFI_STATUS status = bs->AllocatePool(EfiLoaderData, 64, (void **)(UINTN)UNMAPPED_POINTER);
    say("AllocatePool came back: %r.\n", status);
    return EFI_COMPROMISED_DATA;
}
