/*
 * Reads from an address that is not mapped.
 *
 * Outcome: a fault, reading from there.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("Reading from %x.\n", (UINT64)UNMAPPED_READ);
    UINT8 value = *(volatile UINT8 *)(UINTN)UNMAPPED_READ;
    say("Read %x.\n", (UINT64)value);
    return EFI_COMPROMISED_DATA;
}
