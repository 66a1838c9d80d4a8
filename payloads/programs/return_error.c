/*
 * Returns an error from its entry point.
 *
 * Outcome: returned EFI_NOT_FOUND.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    say("Returning %r.\n", EFI_NOT_FOUND);
    return EFI_NOT_FOUND;
}
