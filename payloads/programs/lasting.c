/*
 * Gets a protocol before it leaves boot services, calls it before and after, and jumps to a "kernel" that halts. The
 * protocol, which has one function, is offered by whoever runs this: without it, the program returns what the firmware
 * says to that.
 *
 * Outcome: returned with EFI_NOT_FOUND; with the protocol kernel-entry.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));
static const UINT8 kernel_code[] = HALTING_KERNEL;
static const EFI_GUID guid = {0x0d5b9a36, 0x7a6e, 0x4e0d, {0x9b, 0x0f, 0x6f, 0x2b, 0x0b, 0x6f, 0x9a, 0x01}};

typedef struct LASTING {
    EFI_STATUS(EFIAPI *Tell)(struct LASTING *This, UINT64 Number);
} LASTING;

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_PHYSICAL_ADDRESS kernel = 0;
    LASTING *lasting;
    start(image, table);
    EFI_STATUS status = bs->LocateProtocol(&guid, NULL, (void **)&lasting);
    if (!EFI_ERROR(status))
        status = lasting->Tell(lasting, 1);
    if (!EFI_ERROR(status))
        status = bs->AllocatePages(AllocateAnyPages, EfiLoaderCode, 1, &kernel);
    if (EFI_ERROR(status))
        return status;
    memcpy((void *)(UINTN)kernel, kernel_code, sizeof kernel_code);
    UINTN size = sizeof map, key, step;
    UINT32 version;
    status = bs->GetMemoryMap(&size, map, &key, &step, &version);
    if (!EFI_ERROR(status))
        status = bs->ExitBootServices(image, key);
    if (EFI_ERROR(status))
        return status;
    REQUIRE(lasting->Tell(lasting, 2) == EFI_SUCCESS);
    LEAVE_FOR((UINTN)kernel, 0);
    __builtin_unreachable();
}
