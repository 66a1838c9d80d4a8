/*
 * Calls two services for ever that change nothing.
 *
 * Outcome: the budget ends it.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    for (;;)
        bs->RestoreTPL(bs->RaiseTPL(TPL_NOTIFY));
}
