/*
 * The image that images.c carries and starts: says its load options, tries to end its parent, leaves through Exit.
 *
 * Outcome, seen by the parent: StartImage gives EFI_ALREADY_STARTED and the exit data "child data".
 */
#include "support.h"

static const CHAR16 text[] = u"child data";

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    start(image, table);
    if (EFI_ERROR(bs->HandleProtocol(self, &loaded_image_guid, (void **)&loaded)))
        return EFI_COMPROMISED_DATA;
    say("child: load options %w\n", loaded->LoadOptions ? loaded->LoadOptions : u"none");
    EFI_STATUS status = bs->Exit(loaded->ParentHandle, EFI_SUCCESS, 0, NULL);
    say("child: Exit of the parent %r\n", status);
    CHAR16 *data = NULL;
    if (status == EFI_INVALID_PARAMETER &&
        !EFI_ERROR(bs->AllocatePool(EfiLoaderData, sizeof text, (void **)&data))) {
        memcpy(data, text, sizeof text);
        bs->Exit(self, EFI_ALREADY_STARTED, sizeof text, data);
    }
    return EFI_COMPROMISED_DATA;
}
