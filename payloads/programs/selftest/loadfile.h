/* Images that somebody else gives: LoadImage through LoadFile2 and LoadFile (7.4.1, 13.1, 13.2). */

typedef struct EFI_LOAD_FILE_PROTOCOL {
    EFI_STATUS(EFIAPI *LoadFile)(struct EFI_LOAD_FILE_PROTOCOL *This, EFI_DEVICE_PATH_PROTOCOL *FilePath,
                                 BOOLEAN BootPolicy, UINTN *BufferSize, void *Buffer);
} EFI_LOAD_FILE_PROTOCOL;

static const EFI_GUID load_file_guid = {0x56ec3091, 0x954c, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const EFI_GUID load_file2_guid = {0x4006c0c1, 0xfcb3, 0x403e, {0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d}};

static LONGER_PATH file_path = {{{{1, 4, {20, 0}}, OWN_GUID(0x80)}, {{4, 3, {20, 0}}, OWN_GUID(0x81)}}, PATH_END};
static PATH device_part = {{{1, 4, {20, 0}}, OWN_GUID(0x80)}, PATH_END};
static BOOLEAN given_policy, given_rest, asked_for_size, gives_nothing;
static UINT32 given_files;

static EFI_STATUS EFIAPI give_file(EFI_LOAD_FILE_PROTOCOL *this, EFI_DEVICE_PATH_PROTOCOL *rest, BOOLEAN policy,
                                   UINTN *size, void *buffer) {
    (void)this;
    given_policy = policy;
    given_rest = rest && same(rest, &file_path.node[1], sizeof file_path.node[1] + sizeof file_path.end);
    if (gives_nothing)
        return EFI_DEVICE_ERROR;
    if (!buffer || *size < sizeof child) {
        asked_for_size = TRUE;
        *size = sizeof child;
        return EFI_BUFFER_TOO_SMALL;
    }
    *size = sizeof child;
    memcpy(buffer, child, sizeof child);
    given_files++;
    return EFI_SUCCESS;
}

static EFI_LOAD_FILE_PROTOCOL load_file = {give_file}, load_file2 = {give_file};

static EFI_STATUS load_given(BOOLEAN policy, EFI_HANDLE *handle) {
    given_files = 0;
    *handle = NULL;
    return bs->LoadImage(policy, self, &file_path.node[0].head, NULL, 0, handle);
}

static void check_load_file(void) {
    EFI_HANDLE device = NULL, image = NULL;
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    bs->InstallMultipleProtocolInterfaces(&device, &device_path_guid, &device_part, &load_file2_guid, &load_file2,
                                          NULL);
    gives("LoadImage.LoadFile2", load_given(FALSE, &image), EFI_SUCCESS);
    holds("LoadImage.LoadFile2-given", given_files == 1);
    holds("LoadImage.LoadFile2-asked-for-size", asked_for_size);
    holds("LoadImage.LoadFile2-rest-of-path", given_rest);
    holds("LoadImage.LoadFile2-policy", !given_policy);
    gives("HandleProtocol.LoadFile2", bs->HandleProtocol(image, &loaded_image_guid, (void **)&loaded), EFI_SUCCESS);
    holds("LoadedImage.LoadFile2-device", loaded && loaded->DeviceHandle == device);
    holds("LoadedImage.LoadFile2-path", loaded && loaded->FilePath && loaded->FilePath != &file_path.node[1].head &&
                                            same(loaded->FilePath, &file_path.node[1], 24));
    gives("UnloadImage.LoadFile2", bs->UnloadImage(image), EFI_SUCCESS);
    gives("LoadImage.LoadFile2-boot-policy", load_given(TRUE, &image), EFI_NOT_FOUND);
    gives_nothing = TRUE;
    refused("LoadImage.LoadFile2-gives-nothing", load_given(FALSE, &image));
    gives_nothing = FALSE;
    bs->UninstallProtocolInterface(device, &load_file2_guid, &load_file2);
    gives("LoadImage.no-protocol", load_given(FALSE, &image), EFI_NOT_FOUND);
    add(&device, &load_file_guid, &load_file);
    gives("LoadImage.LoadFile-boot-policy", load_given(TRUE, &image), EFI_SUCCESS);
    holds("LoadImage.LoadFile-policy-given", given_policy && given_files == 1);
    gives("UnloadImage.LoadFile", bs->UnloadImage(image), EFI_SUCCESS);
    gives("LoadImage.LoadFile", load_given(FALSE, &image), EFI_SUCCESS);
    holds("LoadImage.LoadFile-no-policy-given", !given_policy && given_files == 1);
    bs->UnloadImage(image);
    bs->UninstallMultipleProtocolInterfaces(device, &device_path_guid, &device_part, &load_file_guid, &load_file,
                                            NULL);
}
