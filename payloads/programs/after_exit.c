/*
 * Reads and writes boot services memory after ExitBootServices, which may be anybody's then; leaves for a
 * "kernel" that halts, like handoff_like.
 *
 * Outcome: kernel-entry.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));
static const UINT8 kernel_code[] = HALTING_KERNEL;

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_PHYSICAL_ADDRESS kernel = 0, lost = 0;
    start(image, table);
    EFI_STATUS status = bs->AllocatePages(AllocateAnyPages, EfiLoaderCode, 1, &kernel);
    if (!EFI_ERROR(status))
        status = bs->AllocatePages(AllocateAnyPages, EfiBootServicesData, 1, &lost);
    if (EFI_ERROR(status))
        return status;
    memcpy((void *)(UINTN)kernel, kernel_code, sizeof kernel_code);
    memset((void *)(UINTN)lost, 0, EFI_PAGE_SIZE);
    say("Leaving, to use boot services memory afterwards.\n");

    status = EFI_INVALID_PARAMETER;
    for (int attempt = 0; attempt < 2 && status == EFI_INVALID_PARAMETER; attempt++) {
        UINTN size = sizeof map, key, step;
        UINT32 version;
        status = bs->GetMemoryMap(&size, map, &key, &step, &version);
        if (!EFI_ERROR(status))
            status = bs->ExitBootServices(image, key);
    }
    if (EFI_ERROR(status))
        return status;
    volatile UINT64 *place = (volatile UINT64 *)(UINTN)lost;
    *place = *place + 1;
    LEAVE_FOR((UINTN)kernel, (UINTN)0);
    __builtin_unreachable();
}
