/*
 * Reads and writes memory that it has freed: once of the pool, once a page.
 *
 * Outcome: returned EFI_SUCCESS. Firmware that guards freed memory faults here. The places are far from a block's ends,
 * where an allocator may keep its lists.
 */
#include "support.h"

static void use(UINTN address) {
    volatile UINT64 *place = (volatile UINT64 *)address;
    *place = *place + 1;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    void *pool;
    EFI_PHYSICAL_ADDRESS page = 0;
    start(image, table);
    EFI_STATUS status = bs->AllocatePool(EfiLoaderData, 512, &pool);
    if (!EFI_ERROR(status))
        status = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 1, &page);
    if (EFI_ERROR(status))
        return status;
    memset(pool, 0, 512);
    memset((void *)(UINTN)page, 0, EFI_PAGE_SIZE);
    say("Using memory after FreePool and FreePages.\n");
    status = bs->FreePool(pool);
    if (!EFI_ERROR(status))
        use((UINTN)pool + 256);
    if (!EFI_ERROR(status))
        status = bs->FreePages(page, 1);
    if (!EFI_ERROR(status))
        use((UINTN)page + EFI_PAGE_SIZE / 2);
    return status;
}
