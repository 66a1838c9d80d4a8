/*
 * Reads and writes RAM that nobody ever allocated: the middle of the largest free range of the memory map.
 *
 * Outcome: returned EFI_SUCCESS. Firmware that leaves free memory out of its page tables faults here.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    UINTN size = sizeof map, key, step;
    UINT32 version;
    UINT64 pages = 0;
    EFI_PHYSICAL_ADDRESS middle = 0;
    start(image, table);
    EFI_STATUS status = bs->GetMemoryMap(&size, map, &key, &step, &version);
    if (EFI_ERROR(status))
        return status;
    for (UINTN at = 0; at + step <= size; at += step) {
        const EFI_MEMORY_DESCRIPTOR *range = (const EFI_MEMORY_DESCRIPTOR *)(map + at);
        if (range->Type == EfiConventionalMemory && range->NumberOfPages > pages) {
            pages = range->NumberOfPages;
            middle = range->PhysicalStart + pages / 2 * EFI_PAGE_SIZE;
        }
    }
    if (!pages)
        return EFI_NOT_FOUND;
    say("Reading and writing free memory at %x.\n", middle);
    volatile UINT64 *place = (volatile UINT64 *)(UINTN)middle;
    *place = *place + 1;
    return EFI_SUCCESS;
}
