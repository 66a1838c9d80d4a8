/*
 * Allocates pages in blocks that double, then halve, until not one page is left; writes a byte to each; frees none.
 *
 * Outcome: returned EFI_OUT_OF_RESOURCES, having said how many pages it got.
 */
#include "support.h"

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    UINT64 total = 0;
    UINTN block = 1;
    BOOLEAN growing = TRUE;
    EFI_STATUS status = EFI_SUCCESS;
    say("Eating all memory.\n");
    while (block) {
        EFI_PHYSICAL_ADDRESS memory = 0;
        status = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, block, &memory);
        if (status == EFI_OUT_OF_RESOURCES) {
            growing = FALSE;
            block /= 2;
            continue;
        }
        if (EFI_ERROR(status))
            break;
        for (UINTN page = 0; page < block; page++)
            *(volatile UINT8 *)(UINTN)(memory + page * EFI_PAGE_SIZE) = 0xa5;
        total += block;
        if (growing)
            block *= 2;
    }
    say("Got %u pages, then %r.\n", total, status);
    return status;
}
