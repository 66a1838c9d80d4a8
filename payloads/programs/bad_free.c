/*
 * Frees what must not be freed: pages never allocated, pages twice, a hole's surroundings, pool that is none.
 *
 * Outcome: returned EFI_SUCCESS; each wrong call gets the error that the specification names (7.2).
 */
#include "support.h"

static UINT8 map[0x8000] __attribute__((aligned(8)));
static UINT64 not_pool[64];

/* The last page of the largest free region: as far from being allocated as a page can be. */
static EFI_PHYSICAL_ADDRESS free_page(void) {
    UINTN size = sizeof map, key, step = 0;
    UINT32 version;
    EFI_PHYSICAL_ADDRESS page = 0;
    UINT64 largest = 0;
    if (EFI_ERROR(bs->GetMemoryMap(&size, map, &key, &step, &version)) || !step)
        return 0;
    for (UINTN at = 0; at + step <= size; at += step) {
        const EFI_MEMORY_DESCRIPTOR *region = (const void *)(map + at);
        if (region->Type == EfiConventionalMemory && region->NumberOfPages > largest) {
            largest = region->NumberOfPages;
            page = region->PhysicalStart + (region->NumberOfPages - 1) * EFI_PAGE_SIZE;
        }
    }
    return page;
}

static EFI_PHYSICAL_ADDRESS three_pages(void) {
    EFI_PHYSICAL_ADDRESS memory = 0;
    expect("AllocatePages of three", bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 3, &memory), EFI_SUCCESS);
    return memory;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);

    expect("FreePages of a free page", bs->FreePages(free_page(), 1), EFI_NOT_FOUND);
    expect("FreePages beyond all memory", bs->FreePages(0x3ffffffff000ULL, 1), EFI_NOT_FOUND);

    EFI_PHYSICAL_ADDRESS memory = three_pages();
    expect("FreePages inside a page", bs->FreePages(memory + 8, 1), EFI_INVALID_PARAMETER);
    expect("FreePages of no pages", bs->FreePages(memory, 0), EFI_INVALID_PARAMETER);
    expect_either("FreePages of too many pages", bs->FreePages(memory, ~(UINTN)0), EFI_INVALID_PARAMETER,
                  EFI_NOT_FOUND);
    expect("FreePages of the middle", bs->FreePages(memory + EFI_PAGE_SIZE, 1), EFI_SUCCESS);
    expect("FreePages of the middle again", bs->FreePages(memory + EFI_PAGE_SIZE, 1), EFI_NOT_FOUND);
    expect("FreePages of the first", bs->FreePages(memory, 1), EFI_SUCCESS);
    expect("FreePages of the last", bs->FreePages(memory + 2 * EFI_PAGE_SIZE, 1), EFI_SUCCESS);
    expect("FreePages of the last again", bs->FreePages(memory + 2 * EFI_PAGE_SIZE, 1), EFI_NOT_FOUND);

    /* What is left around the hole after the refusal is not specified, and stays. */
    memory = three_pages();
    expect("FreePages making a hole", bs->FreePages(memory + EFI_PAGE_SIZE, 1), EFI_SUCCESS);
    expect("FreePages across the hole", bs->FreePages(memory, 3), EFI_NOT_FOUND);

    void *pool = NULL, *kept = NULL;
    expect("AllocatePool", bs->AllocatePool(EfiLoaderData, 256, &pool), EFI_SUCCESS);
    expect("AllocatePool of another", bs->AllocatePool(EfiLoaderData, 256, &kept), EFI_SUCCESS);
    expect("FreePool of nothing", bs->FreePool(NULL), EFI_INVALID_PARAMETER);
    expect("FreePool of a variable", bs->FreePool(&not_pool[32]), EFI_INVALID_PARAMETER);
    expect("FreePool inside a block", bs->FreePool((UINT8 *)pool + 128), EFI_INVALID_PARAMETER);
    expect("FreePool", bs->FreePool(pool), EFI_SUCCESS);
    expect("FreePool again", bs->FreePool(pool), EFI_INVALID_PARAMETER);
    expect("FreePool of the other", bs->FreePool(kept), EFI_SUCCESS);
    return verdict();
}
