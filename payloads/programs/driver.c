/*
 * A boot service driver: installs a protocol, and stays until it is unloaded.
 *
 * Outcome: returned EFI_SUCCESS; the protocol is there, and the image stays loaded. unload.c goes on from here.
 */
#include "support.h"

static EFI_GUID protocol_guid = {0x5d0c2b7e, 0x14f3, 0x4a68, {0xb9, 0x27, 0x06, 0x8e, 0xd1, 0x35, 0xc4, 0x7a}};
static struct {
    UINT64 revision;
} protocol = {0x10000};
static EFI_HANDLE device;

static EFI_STATUS EFIAPI unload(EFI_HANDLE image) {
    (void)image;
    say("driver: unloading\n");
    return bs->UninstallProtocolInterface(device, &protocol_guid, &protocol);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    start(image, table);
    EFI_STATUS status = bs->HandleProtocol(self, &loaded_image_guid, (void **)&loaded);
    if (EFI_ERROR(status))
        return status;
    if (loaded->ImageCodeType != EfiBootServicesCode || loaded->ImageDataType != EfiBootServicesData)
        return EFI_COMPROMISED_DATA;
    loaded->Unload = unload;
    status = bs->InstallProtocolInterface(&device, &protocol_guid, EFI_NATIVE_INTERFACE, &protocol);
    say("driver: protocol installed, %r\n", status);
    return status;
}
