/*
 * x86. Runs code from pages allocated as loader code, before ExitBootServices.
 *
 * Outcome: returned EFI_SUCCESS, having printed 42. Firmware that allocates all pages without execution faults here.
 */
#include "support.h"

static const UINT8 code[] = {0xb8, 0x2a, 0x00, 0x00, 0x00, 0xc3}; /* mov eax, 42; ret */

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_PHYSICAL_ADDRESS memory = 0;
    start(image, table);
    EFI_STATUS status = bs->AllocatePages(AllocateAnyPages, EfiLoaderCode, 1, &memory);
    if (EFI_ERROR(status))
        return status;
    memcpy((void *)(UINTN)memory, code, sizeof code);
    say("Calling code in allocated pages.\n");
    UINT32 answer = ((UINT32(EFIAPI *)(void))(UINTN)memory)();
    say("It returned %u.\n", (UINT64)answer);
    bs->FreePages(memory, 1);
    return answer == 42 ? EFI_SUCCESS : EFI_COMPROMISED_DATA;
}
