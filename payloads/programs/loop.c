/*
 * Loops for ever without calling a service.
 *
 * Outcome: the budget ends it.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    for (;;)
        __asm__ volatile("");
}
