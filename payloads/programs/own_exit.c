/*
 * Puts functions of its own in the place of ExitBootServices and of GetVariable, as rootkits do, and then plays the last
 * steps of a kernel's stub, which meets them.
 *
 * Outcome: kernel-entry; the finding table-slot-replaced names both slots.
 */
#include "support.h"

static UINT8 map[0x10000] __attribute__((aligned(8)));
static const UINT8 kernel_code[] = HALTING_KERNEL;
static EFI_STATUS(EFIAPI *exit_boot_services)(EFI_HANDLE, UINTN);
static const EFI_GUID global = GLOBAL_VARIABLE_GUID;
static UINTN exits;

static EFI_STATUS EFIAPI own_exit(EFI_HANDLE image, UINTN key) {
    exits++;
    return exit_boot_services(image, key);
}

static EFI_STATUS EFIAPI own_get_variable(const CHAR16 *name, const EFI_GUID *vendor, UINT32 *attributes, UINTN *size,
                                          void *data) {
    (void)name, (void)vendor, (void)attributes, (void)size, (void)data;
    return EFI_NOT_FOUND;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_PHYSICAL_ADDRESS kernel = 0, parameters = 0;
    UINTN size = 1;
    UINT8 secure = 1;
    start(image, table);
    EFI_STATUS status = bs->AllocatePages(AllocateAnyPages, EfiLoaderCode, 1, &kernel);
    if (!EFI_ERROR(status))
        status = bs->AllocatePages(AllocateAnyPages, EfiLoaderData, 1, &parameters);
    if (EFI_ERROR(status))
        return status;
    memset((void *)(UINTN)parameters, 0, EFI_PAGE_SIZE);
    memset((void *)(UINTN)kernel, 0xcc, EFI_PAGE_SIZE);
    memcpy((void *)(UINTN)kernel, kernel_code, sizeof kernel_code);

    exit_boot_services = bs->ExitBootServices;
    bs->ExitBootServices = own_exit;
    rt->GetVariable = own_get_variable;
    say("Services are mine now.\n");
    if (rt->GetVariable(u"SecureBoot", &global, NULL, &size, &secure) != EFI_NOT_FOUND)
        return EFI_COMPROMISED_DATA;

    status = EFI_INVALID_PARAMETER;
    for (int attempt = 0; attempt < 2 && status == EFI_INVALID_PARAMETER; attempt++) {
        UINTN room = sizeof map, key, step;
        UINT32 version;
        status = bs->GetMemoryMap(&room, map, &key, &step, &version);
        if (!EFI_ERROR(status))
            status = bs->ExitBootServices(image, key);
    }
    if (EFI_ERROR(status) || exits == 0)
        return EFI_COMPROMISED_DATA;
    LEAVE_FOR((UINTN)kernel, (UINTN)parameters);
    __builtin_unreachable();
}
