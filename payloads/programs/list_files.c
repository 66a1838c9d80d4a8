/*
 * Lists the root of the volume that it lies on, entry after entry.
 *
 * Outcome: returned, EFI_SUCCESS, with the number of entries on the console; started from memory it finds no volume.
 */
#include "support.h"

static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;
static const EFI_GUID file_system = SIMPLE_FILE_SYSTEM_GUID;
static UINT8 information[1024] __attribute__((aligned(8)));

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_LOADED_IMAGE_PROTOCOL *own;
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *volume;
    EFI_FILE_PROTOCOL *root;
    UINT64 entries = 0;
    start(image, table);
    EFI_STATUS status = bs->HandleProtocol(image, &loaded_image_guid, (void **)&own);
    if (EFI_ERROR(status))
        return status;
    if (EFI_ERROR(bs->HandleProtocol(own->DeviceHandle, &file_system, (void **)&volume))) {
        say("No volume.\n");
        return EFI_SUCCESS;
    }
    status = volume->OpenVolume(volume, &root);
    for (;;) {
        UINTN size = sizeof information;
        if (!EFI_ERROR(status))
            status = root->Read(root, &size, information);
        if (EFI_ERROR(status) || !size)
            break;
        entries++;
    }
    say("%u entries: %r\n", entries, status);
    return status;
}
