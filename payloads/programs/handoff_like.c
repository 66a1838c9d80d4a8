/*
 * Plays the last steps of a kernel's stub: puts a "kernel" into allocated pages, leaves boot services, jumps to it with
 * the address of the boot parameters where an x86 kernel expects it, or an Arm kernel its device tree. The kernel halts
 * for ever.
 *
 * Outcome: kernel-entry.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));
static const UINT8 kernel_code[] = HALTING_KERNEL;

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_PHYSICAL_ADDRESS kernel = 0, parameters = 0;
    start(image, table);
    EFI_STATUS status = bs->AllocatePages(AllocateAnyPages, EfiLoaderCode, 4, &kernel);
    if (!EFI_ERROR(status))
        status = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 1, &parameters);
    if (EFI_ERROR(status))
        return status;
    memset((void *)(UINTN)parameters, 0, EFI_PAGE_SIZE);
    memcpy((UINT8 *)(UINTN)parameters + 0x202, "HdrS", 4);
    memset((void *)(UINTN)kernel, 0xcc, 4 * EFI_PAGE_SIZE);
    memcpy((void *)(UINTN)kernel, kernel_code, sizeof kernel_code);
    say("Leaving for the kernel.\n");

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
    LEAVE_FOR((UINTN)kernel, (UINTN)parameters);
    __builtin_unreachable();
}
