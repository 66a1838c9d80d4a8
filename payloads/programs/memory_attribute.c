/*
 * x86. Asks for a permission through EFI_MEMORY_ATTRIBUTE_PROTOCOL, then does what write_code and execute_data fault
 * over: patch_code writes to its own .text section, execute_allowed_data calls a return instruction in data pages.
 *
 * Outcome: returned EFI_SUCCESS; EFI_NOT_FOUND from firmware without the protocol.
 */
#include "support.h"

#define EFI_MEMORY_XP 0x4000
#define EFI_MEMORY_RO 0x20000

/* 37.7 */
typedef struct EFI_MEMORY_ATTRIBUTE_PROTOCOL {
    void *GetMemoryAttributes;
    EFI_STATUS(EFIAPI *SetMemoryAttributes)(struct EFI_MEMORY_ATTRIBUTE_PROTOCOL *This, EFI_PHYSICAL_ADDRESS Base,
                                            UINT64 Length, UINT64 Attributes);
    EFI_STATUS(EFIAPI *ClearMemoryAttributes)(struct EFI_MEMORY_ATTRIBUTE_PROTOCOL *This, EFI_PHYSICAL_ADDRESS Base,
                                              UINT64 Length, UINT64 Attributes);
} EFI_MEMORY_ATTRIBUTE_PROTOCOL;

#ifdef PATCH_CODE
/* Not optimized: its answer must come from the call, as the byte written must have been executed. */
static UINT32 __attribute__((noinline, optnone)) victim(void) {
    return 42;
}

static EFI_STATUS with_permission(EFI_MEMORY_ATTRIBUTE_PROTOCOL *attributes) {
    UINTN code = (UINTN)victim, page = code & ~(UINTN)(EFI_PAGE_SIZE - 1);
    say("Writing to code that returned %u, with permission.\n", (UINT64)victim());
    EFI_STATUS status = attributes->ClearMemoryAttributes(attributes, page, EFI_PAGE_SIZE, EFI_MEMORY_RO);
    if (EFI_ERROR(status))
        return status;
    *(volatile UINT8 *)code = 0xc3; /* is not called again */
    return attributes->SetMemoryAttributes(attributes, page, EFI_PAGE_SIZE, EFI_MEMORY_RO);
}
#else
static EFI_STATUS with_permission(EFI_MEMORY_ATTRIBUTE_PROTOCOL *attributes) {
    EFI_PHYSICAL_ADDRESS page = 0;
    EFI_STATUS status = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 1, &page);
    if (EFI_ERROR(status))
        return status;
    *(volatile UINT8 *)(UINTN)page = 0xc3; /* ret */
    say("Calling into data, with permission.\n");
    status = attributes->ClearMemoryAttributes(attributes, page, EFI_PAGE_SIZE, EFI_MEMORY_XP);
    if (EFI_ERROR(status))
        return status;
    ((void (*)(void))(UINTN)page)();
    say("The call into data came back.\n");
    status = attributes->SetMemoryAttributes(attributes, page, EFI_PAGE_SIZE, EFI_MEMORY_XP);
    return EFI_ERROR(status) ? status : bs->FreePages(page, 1);
}
#endif

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    static const EFI_GUID guid = {0xf4560cf6, 0x40ec, 0x4b4a, {0xa1, 0x92, 0xbf, 0x1d, 0x57, 0xd0, 0xb1, 0x89}};
    EFI_MEMORY_ATTRIBUTE_PROTOCOL *attributes;
    start(image, table);
    EFI_STATUS status = bs->LocateProtocol(&guid, NULL, (void **)&attributes);
    return EFI_ERROR(status) ? status : with_permission(attributes);
}
