/* Images: refused, loaded, started, left, unloaded; what LoadedImage tells (7.4, 9.1). */

/* driver.c installs a protocol and stays, until its Unload function takes it off. */
static const UINT8 driver[] __attribute__((aligned(16))) = {
#include "driver.inc"
};

static const EFI_GUID driver_guid = {0x5d0c2b7e, 0x14f3, 0x4a68, {0xb9, 0x27, 0x06, 0x8e, 0xd1, 0x35, 0xc4, 0x7a}};
static UINT8 garbage[8192];
static CHAR16 options[] = u"from the parent";

static EFI_STATUS load(EFI_HANDLE parent, const void *file, UINTN size, EFI_HANDLE *handle) {
    return bs->LoadImage(FALSE, parent, NULL, file, size, handle);
}

/* The child with a few bytes changed, which makes it wrong. */
static EFI_STATUS load_damaged(UINTN at, UINT8 byte) {
    EFI_HANDLE handle = NULL;
    memcpy(garbage, child, sizeof child);
    garbage[at] = byte;
    EFI_STATUS status = load(self, garbage, sizeof child, &handle);
    if (!EFI_ERROR(status))
        bs->UnloadImage(handle);
    return status;
}

static void loading_wrong(void) {
    EFI_HANDLE handle = NULL;
    UINTN header = child[0x3c] | (UINTN)child[0x3d] << 8;
    gives("LoadImage.nothing", bs->LoadImage(FALSE, self, NULL, NULL, 0, &handle), EFI_NOT_FOUND);
    gives("LoadImage.no-result", load(self, child, sizeof child, NULL), EFI_INVALID_PARAMETER);
    gives("LoadImage.no-parent", load(NULL, child, sizeof child, &handle), EFI_INVALID_PARAMETER);
    gives("LoadImage.parent-never-a-handle", load(never, child, sizeof child, &handle), EFI_INVALID_PARAMETER);
    gives("LoadImage.parent-no-image", load(st->ConsoleOutHandle, child, sizeof child, &handle),
          EFI_INVALID_PARAMETER);
    gives("LoadImage.no-such-device", bs->LoadImage(FALSE, self, &other_path.node.head, NULL, 0, &handle),
          EFI_NOT_FOUND);
    refused("LoadImage.no-bytes", load(self, child, 0, &handle));
    gives_either("LoadImage.zeros", load(self, garbage, sizeof garbage, &handle), EFI_LOAD_ERROR, EFI_UNSUPPORTED);
    garbage[0] = 'M';
    garbage[1] = 'Z';
    gives_either("LoadImage.MZ-alone", load(self, garbage, sizeof garbage, &handle), EFI_LOAD_ERROR, EFI_UNSUPPORTED);
    gives_either("LoadImage.cut-short", load(self, child, 64, &handle), EFI_LOAD_ERROR, EFI_UNSUPPORTED);
    gives_either("LoadImage.no-PE-signature", load_damaged(header, 'Q'), EFI_LOAD_ERROR, EFI_UNSUPPORTED);
    gives_either("LoadImage.machine-unknown", load_damaged(header + 5, 0xee), EFI_LOAD_ERROR, EFI_UNSUPPORTED);
    gives_either("LoadImage.optional-header-magic", load_damaged(header + 24, 0x77), EFI_LOAD_ERROR,
                 EFI_UNSUPPORTED);
    gives_either("LoadImage.subsystem-of-Windows", load_damaged(header + 24 + 68, 3), EFI_LOAD_ERROR,
                 EFI_UNSUPPORTED);
    gives("StartImage.never-a-handle", bs->StartImage(never, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("StartImage.no-image", bs->StartImage(st->ConsoleOutHandle, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("StartImage.itself", bs->StartImage(self, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("UnloadImage.itself", bs->UnloadImage(self), EFI_UNSUPPORTED);
    gives("UnloadImage.never-a-handle", bs->UnloadImage(never), EFI_INVALID_PARAMETER);
    gives("Exit.never-a-handle", bs->Exit(never, EFI_SUCCESS, 0, NULL), EFI_INVALID_PARAMETER);
}

static void loaded_image(EFI_LOADED_IMAGE_PROTOCOL *loaded) {
    holds("LoadedImage.revision", loaded->Revision == EFI_LOADED_IMAGE_PROTOCOL_REVISION);
    holds("LoadedImage.parent", loaded->ParentHandle == self);
    holds("LoadedImage.system-table", loaded->SystemTable == st);
    holds("LoadedImage.no-device", loaded->DeviceHandle == NULL);
    holds("LoadedImage.no-options", loaded->LoadOptions == NULL && loaded->LoadOptionsSize == 0);
    holds("LoadedImage.code-type", loaded->ImageCodeType == EfiLoaderCode);
    holds("LoadedImage.data-type", loaded->ImageDataType == EfiLoaderData);
    holds("LoadedImage.base", loaded->ImageBase && (UINTN)loaded->ImageBase % EFI_PAGE_SIZE == 0);
    holds("LoadedImage.size", loaded->ImageSize >= sizeof child && loaded->ImageSize % EFI_PAGE_SIZE == 0);
    holds("LoadedImage.a-copy", loaded->ImageBase != child && same(loaded->ImageBase, child, 64));
    holds("LoadedImage.no-Unload", loaded->Unload == NULL);
}

static void starting(void) {
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    EFI_HANDLE handle = NULL;
    UINTN size = 0;
    CHAR16 *data = NULL;
    gives("LoadImage.to-unload", load(self, child, sizeof child, &handle), EFI_SUCCESS);
    gives("UnloadImage.never-started", bs->UnloadImage(handle), EFI_SUCCESS);
    gives("HandleProtocol.unloaded", handle_protocol(handle, &loaded_image_guid), EFI_INVALID_PARAMETER);
    gives("UnloadImage.unloaded", bs->UnloadImage(handle), EFI_INVALID_PARAMETER);
    gives("StartImage.unloaded", bs->StartImage(handle, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("LoadImage.to-exit", load(self, child, sizeof child, &handle), EFI_SUCCESS);
    gives("Exit.never-started", bs->Exit(handle, EFI_SUCCESS, 0, NULL), EFI_SUCCESS);
    gives("HandleProtocol.exited", handle_protocol(handle, &loaded_image_guid), EFI_INVALID_PARAMETER);

    gives("LoadImage.to-start", load(self, child, sizeof child, &handle), EFI_SUCCESS);
    gives("HandleProtocol.LoadedImage", bs->HandleProtocol(handle, &loaded_image_guid, (void **)&loaded),
          EFI_SUCCESS);
    if (!loaded)
        return;
    loaded_image(loaded);
    loaded->LoadOptions = options;
    loaded->LoadOptionsSize = sizeof options;
    gives("StartImage.status-of-Exit", bs->StartImage(handle, &size, &data), EFI_ALREADY_STARTED);
    static const CHAR16 want[] = u"child data";
    holds("StartImage.exit-data-size", size == sizeof want);
    holds("StartImage.exit-data", data && size == sizeof want && same(data, want, sizeof want));
    gives("FreePool.exit-data", bs->FreePool(data), EFI_SUCCESS);
    gives("HandleProtocol.application-gone", handle_protocol(handle, &loaded_image_guid), EFI_INVALID_PARAMETER);
    load(self, child, sizeof child, &handle);
    gives("StartImage.exit-data-unwanted", bs->StartImage(handle, NULL, NULL), EFI_ALREADY_STARTED);
}

static void staying(void) {
    EFI_HANDLE handle = NULL;
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    void *found = NULL;
    gives("LoadImage.driver", load(self, driver, sizeof driver, &handle), EFI_SUCCESS);
    gives("StartImage.driver", bs->StartImage(handle, NULL, NULL), EFI_SUCCESS);
    gives("LocateProtocol.of-the-driver", bs->LocateProtocol(&driver_guid, NULL, &found), EFI_SUCCESS);
    gives("HandleProtocol.driver-stays", bs->HandleProtocol(handle, &loaded_image_guid, (void **)&loaded),
          EFI_SUCCESS);
    holds("LoadedImage.driver-code-type", loaded && loaded->ImageCodeType == EfiBootServicesCode);
    holds("LoadedImage.driver-data-type", loaded && loaded->ImageDataType == EfiBootServicesData);
    gives("StartImage.driver-again", bs->StartImage(handle, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("UnloadImage.driver", bs->UnloadImage(handle), EFI_SUCCESS);
    gives("LocateProtocol.of-no-driver", bs->LocateProtocol(&driver_guid, NULL, &found), EFI_NOT_FOUND);
    gives("UnloadImage.driver-unloaded", bs->UnloadImage(handle), EFI_INVALID_PARAMETER);
}

static void this_image(void) {
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    gives("HandleProtocol.this-image", bs->HandleProtocol(self, &loaded_image_guid, (void **)&loaded), EFI_SUCCESS);
    if (!loaded)
        return;
    UINTN base = (UINTN)loaded->ImageBase, here = (UINTN)efi_main;
    holds("LoadedImage.this-image", here >= base && here < base + (UINTN)loaded->ImageSize);
    holds("LoadedImage.this-system-table", loaded->SystemTable == st);
    holds("LoadedImage.this-code-type", loaded->ImageCodeType == EfiLoaderCode);
    holds("LoadedImage.this-data-type", loaded->ImageDataType == EfiLoaderData);
    holds("LoadedImage.this-device-path", loaded->FilePath != NULL);
}

static void check_images(void) {
    this_image();
    loading_wrong();
    starting();
    staying();
}
