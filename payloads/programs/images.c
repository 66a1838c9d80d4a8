/*
 * Loads, starts and unloads images from memory: garbage, and the program in child.c (7.4, 9.1).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok".
 */
#include "support.h"

static const UINT8 child[] __attribute__((aligned(16))) = {
#include "child.inc"
};

static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;
static UINT8 garbage[8192];
static CHAR16 options[] = u"from the parent";
static UINT64 no_handle[16];

static void refused(void) {
    EFI_HANDLE handle = NULL;
    garbage[0] = 'M';
    garbage[1] = 'Z';
    expect("load: nothing", bs->LoadImage(FALSE, self, NULL, NULL, 0, &handle), EFI_NOT_FOUND);
    expect("load: no place for the handle", bs->LoadImage(FALSE, self, NULL, child, sizeof child, NULL),
           EFI_INVALID_PARAMETER);
    expect("load: no parent", bs->LoadImage(FALSE, NULL, NULL, child, sizeof child, &handle), EFI_INVALID_PARAMETER);
    expect_either("load: garbage", bs->LoadImage(FALSE, self, NULL, garbage, sizeof garbage, &handle), EFI_LOAD_ERROR,
                  EFI_UNSUPPORTED);
    expect_either("load: cut short", bs->LoadImage(FALSE, self, NULL, child, 64, &handle), EFI_LOAD_ERROR,
                  EFI_UNSUPPORTED);
    expect("start: never a handle", bs->StartImage(no_handle, NULL, NULL), EFI_INVALID_PARAMETER);
    expect("start: itself, started", bs->StartImage(self, NULL, NULL), EFI_INVALID_PARAMETER);
    expect("unload: itself, without Unload", bs->UnloadImage(self), EFI_UNSUPPORTED);
    expect("unload: never a handle", bs->UnloadImage(no_handle), EFI_INVALID_PARAMETER);
}

static EFI_HANDLE load(const char *name) {
    EFI_HANDLE handle = NULL;
    expect(name, bs->LoadImage(FALSE, self, NULL, child, sizeof child, &handle), EFI_SUCCESS);
    return handle;
}

static void gone(const char *name, EFI_HANDLE handle) {
    void *loaded = NULL;
    expect(name, bs->HandleProtocol(handle, &loaded_image_guid, &loaded), EFI_INVALID_PARAMETER);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    EFI_HANDLE handle;
    UINTN size = 0;
    CHAR16 *data = NULL;
    start(image, table);
    refused();

    handle = load("load: to unload");
    expect("unload: never started", bs->UnloadImage(handle), EFI_SUCCESS);
    gone("unload: the handle is gone", handle);
    handle = load("load: to exit");
    expect("exit: never started", bs->Exit(handle, EFI_SUCCESS, 0, NULL), EFI_SUCCESS);
    gone("exit: the handle is gone", handle);

    handle = load("load: to start");
    expect("loaded image", bs->HandleProtocol(handle, &loaded_image_guid, (void **)&loaded), EFI_SUCCESS);
    if (!loaded)
        return verdict();
    check("loaded image: revision", loaded->Revision == EFI_LOADED_IMAGE_PROTOCOL_REVISION);
    check("loaded image: parent", loaded->ParentHandle == self);
    check("loaded image: system table", loaded->SystemTable == st);
    check("loaded image: no options", loaded->LoadOptions == NULL && loaded->LoadOptionsSize == 0);
    check("loaded image: memory types", loaded->ImageCodeType == EfiLoaderCode &&
                                            loaded->ImageDataType == EfiLoaderData);
    check("loaded image: base", loaded->ImageBase && (UINTN)loaded->ImageBase % EFI_PAGE_SIZE == 0);
    check("loaded image: size", loaded->ImageSize >= sizeof child && loaded->ImageSize % EFI_PAGE_SIZE == 0);
    check("loaded image: a copy", loaded->ImageBase != child && same(loaded->ImageBase, child, 64));
    check("loaded image: no Unload", loaded->Unload == NULL);
    loaded->LoadOptions = options;
    loaded->LoadOptionsSize = sizeof options;

    expect("start: as the child says", bs->StartImage(handle, &size, &data), EFI_ALREADY_STARTED);
    static const CHAR16 want[] = u"child data";
    check("exit data: size", size == sizeof want);
    check("exit data: text", data && size == sizeof want && same(data, want, sizeof want));
    expect("exit data: free it", bs->FreePool(data), EFI_SUCCESS);
    gone("start: an application goes when it exits", handle);

    handle = load("load: to start without exit data");
    expect("start: nobody wants the exit data", bs->StartImage(handle, NULL, NULL), EFI_ALREADY_STARTED);
    return verdict();
}
