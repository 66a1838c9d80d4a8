/*
 * Reads pool memory that it allocated and never wrote.
 *
 * Outcome: returned EFI_SUCCESS. What is read is not specified, and not looked at.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    UINT64 *pool;
    start(image, table);
    EFI_STATUS status = bs->AllocatePool(EfiLoaderData, 512, (void **)&pool);
    if (EFI_ERROR(status))
        return status;
    say("Reading pool memory that was never written.\n");
    pool[0] = 1; /* the rest stays as it was allocated */
    (void)((volatile UINT64 *)pool)[32];
    return bs->FreePool(pool);
}
