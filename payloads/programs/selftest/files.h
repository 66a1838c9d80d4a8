/* Files of the volume that this image came from: its own file, and the directory that holds it (13.4, 13.5). */

static const EFI_GUID file_system_guid = SIMPLE_FILE_SYSTEM_GUID;
static const EFI_GUID file_info_guid = {0x09576e92, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const EFI_GUID volume_info_guid = {0x09576e93, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
static const EFI_GUID label_guid = {0xdb47d7d3, 0xfe81, 0x11d3, {0x9a, 0x35, 0x00, 0x90, 0x27, 0x3f, 0xc1, 0x4d}};

#define NAME_ROOM 260
/* The path of this image's file, that of its directory, and its name alone; without a file system there is none. */
static CHAR16 own_file[NAME_ROOM], own_directory[NAME_ROOM], *own_name;
static EFI_HANDLE own_device;
static UINT64 own_size;
static BOOLEAN own_volume_is_read_only;
static UINT8 file_data[1024] __attribute__((aligned(8)));
static UINT8 more_data[1024] __attribute__((aligned(8)));
static EFI_FILE_INFO *const file_info = (void *)file_data;

static UINTN length_of(const CHAR16 *text) {
    UINTN length = 0;
    while (text[length])
        length++;
    return length;
}

static BOOLEAN same_text(const CHAR16 *one, const CHAR16 *other) {
    UINTN length = length_of(one);
    return length == length_of(other) && same(one, other, length * sizeof *one);
}

static CHAR16 capital(CHAR16 letter) {
    return letter >= 'a' && letter <= 'z' ? (CHAR16)(letter - 32) : letter;
}

static BOOLEAN same_name(const CHAR16 *one, const CHAR16 *other) {
    while (*one && capital(*one) == capital(*other))
        one++, other++;
    return *one == *other;
}

/* Joins the file path nodes of the image's device path, each with one separator before it. */
static void find_own_file(void) {
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    UINTN fill = 0, last = 0;
    bs->HandleProtocol(self, &loaded_image_guid, (void **)&loaded);
    if (!loaded || EFI_ERROR(test(loaded->DeviceHandle, &file_system_guid)))
        return;
    own_device = loaded->DeviceHandle;
    for (const UINT8 *node = (void *)loaded->FilePath; node && node[0] == 4 && node[1] == 4;) {
        const UINTN size = node[2] | (UINTN)node[3] << 8;
        const CHAR16 *text = (const void *)(node + 4);
        if (*text != '\\')
            own_file[fill++] = '\\';
        for (; *text && fill < NAME_ROOM - 2; text++)
            own_file[fill++] = *text;
        node += size;
    }
    for (UINTN i = 0; i < fill; i++)
        if (own_file[i] == '\\')
            last = i;
    memcpy(own_directory, own_file, last * sizeof(CHAR16));
    if (!last)
        own_directory[0] = '\\';
    own_name = own_file + last + 1;
}

static EFI_STATUS open_file(EFI_FILE_PROTOCOL *from, const CHAR16 *name, UINT64 mode, EFI_FILE_PROTOCOL **file) {
    *file = NULL;
    return from->Open(from, file, name, mode, 0);
}

static EFI_STATUS open_for_nothing(EFI_FILE_PROTOCOL *from, const CHAR16 *name, UINT64 mode) {
    EFI_FILE_PROTOCOL *file;
    EFI_STATUS status = open_file(from, name, mode, &file);
    if (!EFI_ERROR(status) && file)
        file->Close(file);
    return status;
}

static void opening_files(EFI_FILE_PROTOCOL *root, EFI_FILE_PROTOCOL *directory, EFI_FILE_PROTOCOL *file) {
    const UINT64 read = EFI_FILE_MODE_READ, write = EFI_FILE_MODE_WRITE, create = EFI_FILE_MODE_CREATE;
    CHAR16 longer[NAME_ROOM + 8], *at;
    gives("File.Open.no-such-file", open_for_nothing(root, u"\\no such file", read), EFI_NOT_FOUND);
    gives("File.Open.no-such-directory", open_for_nothing(root, u"\\no such place\\file", read), EFI_NOT_FOUND);
    gives("File.Open.below-itself", open_for_nothing(directory, own_file, read), EFI_SUCCESS);
    gives("File.Open.relative", open_for_nothing(directory, own_name, read), EFI_SUCCESS);
    gives("File.Open.itself", open_for_nothing(directory, u".", read), EFI_SUCCESS);
    gives("File.Open.mode-0", open_for_nothing(root, own_file, 0), EFI_INVALID_PARAMETER);
    gives("File.Open.mode-write", open_for_nothing(root, own_file, write), EFI_INVALID_PARAMETER);
    gives("File.Open.mode-create", open_for_nothing(root, own_file, create), EFI_INVALID_PARAMETER);
    gives("File.Open.mode-create-read", open_for_nothing(root, own_file, create | read), EFI_INVALID_PARAMETER);
    gives("File.Open.mode-4", open_for_nothing(root, own_file, read | 4), EFI_INVALID_PARAMETER);
    gives("File.Open.no-name", open_for_nothing(root, NULL, read), EFI_INVALID_PARAMETER);
    gives_either("File.Open.no-directory", open_for_nothing(file, u"below", read), EFI_NOT_FOUND,
                 EFI_INVALID_PARAMETER);
    gives("File.Open.separator-behind", open_for_nothing(root, own_directory, read), EFI_SUCCESS);
    /* Capital letters are small ones: FAT keeps names, and compares them whatever their case. */
    for (UINTN i = 0; i <= length_of(own_file); i++)
        longer[i] = own_file[i] >= 'A' && own_file[i] <= 'Z' ? (CHAR16)(own_file[i] + 32) : own_file[i];
    gives("File.Open.other-case", open_for_nothing(root, longer, read), EFI_SUCCESS);
    at = longer;
    for (const CHAR16 *from = own_file; *from; from++) {
        *at++ = *from;
        if (*from == '\\' && at < longer + 8)
            *at++ = '\\';
    }
    *at = 0;
    gives("File.Open.two-separators", open_for_nothing(root, longer, read), EFI_SUCCESS);
    memcpy(longer, own_directory, sizeof own_directory);
    memcpy(longer + length_of(own_directory), u"\\..", 8);
    if (own_directory[1]) {
        gives("File.Open.the-one-above", open_for_nothing(root, longer, read), EFI_SUCCESS);
        gives("File.Open.dot-dot", open_for_nothing(directory, u"..", read), EFI_SUCCESS);
    }
}

static void reading_files(EFI_FILE_PROTOCOL *file) {
    UINT64 position = 9;
    UINTN size = 0;
    gives("File.GetPosition.begin", file->GetPosition(file, &position), EFI_SUCCESS);
    holds("File.GetPosition.0", position == 0);
    gives("File.Read.nothing", file->Read(file, &size, file_data), EFI_SUCCESS);
    holds("File.Read.none-read", size == 0);
    size = 64;
    gives("File.Read.64", file->Read(file, &size, file_data), EFI_SUCCESS);
    holds("File.Read.as-much", size == 64);
    holds("File.Read.MZ", file_data[0] == 'M' && file_data[1] == 'Z');
    file->GetPosition(file, &position);
    holds("File.GetPosition.64", position == 64);
    size = 100;
    file->Read(file, &size, more_data);
    gives("File.SetPosition.back", file->SetPosition(file, 60), EFI_SUCCESS);
    size = 104;
    gives("File.Read.again", file->Read(file, &size, more_data + 200), EFI_SUCCESS);
    holds("File.Read.same-bytes", same(more_data + 200, file_data + 60, 4) && same(more_data + 204, more_data, 100));
    gives("File.SetPosition.end", file->SetPosition(file, ~0ULL), EFI_SUCCESS);
    file->GetPosition(file, &position);
    holds("File.GetPosition.end", position == own_size);
    size = 16;
    gives("File.Read.at-end", file->Read(file, &size, more_data), EFI_SUCCESS);
    holds("File.Read.at-end-none", size == 0);
    file->SetPosition(file, own_size - 10);
    size = 100;
    memset(more_data, 0x5a, sizeof more_data);
    gives("File.Read.over-end", file->Read(file, &size, more_data), EFI_SUCCESS);
    holds("File.Read.what-is-left", size == 10);
    holds("File.Read.no-overrun", more_data[10] == 0x5a);
    gives("File.SetPosition.behind-end", file->SetPosition(file, own_size + 1), EFI_SUCCESS);
    size = 16;
    gives("File.Read.behind-end", file->Read(file, &size, more_data), EFI_DEVICE_ERROR);
}

/* The size that the information takes, asked for with none. */
static UINTN room_for(EFI_FILE_PROTOCOL *file, const EFI_GUID *kind, const char *name) {
    UINTN size = 0;
    gives(name, file->GetInfo(file, kind, &size, NULL), EFI_BUFFER_TOO_SMALL);
    return size;
}

static void telling_of_files(EFI_FILE_PROTOCOL *root, EFI_FILE_PROTOCOL *directory, EFI_FILE_PROTOCOL *file) {
    UINTN size = room_for(file, &file_info_guid, "File.GetInfo.no-room"), full = size;
    const UINTN want = 80 + (length_of(own_name) + 1) * sizeof(CHAR16);
    holds("File.GetInfo.room-it-takes", size == want);
    size = full - 1;
    gives("File.GetInfo.one-byte-short", file->GetInfo(file, &file_info_guid, &size, file_data),
          EFI_BUFFER_TOO_SMALL);
    holds("File.GetInfo.still-as-much", size == full);
    size = sizeof file_data;
    gives("File.GetInfo.file", file->GetInfo(file, &file_info_guid, &size, file_data), EFI_SUCCESS);
    holds("File.GetInfo.size", size == full && file_info->Size == full);
    holds("File.GetInfo.name", same_name(file_info->FileName, own_name));
    holds("File.GetInfo.no-directory", !(file_info->Attribute & EFI_FILE_DIRECTORY));
    holds("File.GetInfo.physical-size", file_info->PhysicalSize >= file_info->FileSize && file_info->FileSize > 0);
    holds("File.GetInfo.time", plausible(&file_info->ModificationTime));
    own_size = file_info->FileSize;
    size = sizeof file_data;
    gives("File.GetInfo.directory", directory->GetInfo(directory, &file_info_guid, &size, file_data), EFI_SUCCESS);
    holds("File.GetInfo.is-directory", file_info->Attribute & EFI_FILE_DIRECTORY);
    size = sizeof file_data;
    gives("File.GetInfo.root", root->GetInfo(root, &file_info_guid, &size, file_data), EFI_SUCCESS);
    holds("File.GetInfo.root-name", file_info->FileName[0] == 0 && size == 82);
    holds("File.GetInfo.root-directory", file_info->Attribute & EFI_FILE_DIRECTORY);
    gives("File.GetInfo.unknown", file->GetInfo(file, &guid_unused, &size, file_data), EFI_UNSUPPORTED);

    EFI_FILE_SYSTEM_INFO *volume = (void *)file_data;
    full = room_for(file, &volume_info_guid, "File.GetInfo.volume-no-room");
    size = sizeof file_data;
    gives("File.GetInfo.volume", file->GetInfo(file, &volume_info_guid, &size, file_data), EFI_SUCCESS);
    holds("File.GetInfo.volume-size", size == full && volume->Size == full);
    holds("File.GetInfo.volume-room", volume->FreeSpace <= volume->VolumeSize && volume->VolumeSize >= own_size);
    holds("File.GetInfo.volume-block", volume->BlockSize >= 512 && !(volume->BlockSize & (volume->BlockSize - 1)));
    own_volume_is_read_only = volume->ReadOnly;
    UINTN label = room_for(root, &label_guid, "File.GetInfo.label-no-room");
    holds("File.GetInfo.label-in-volume", label == full - 36);
    size = sizeof more_data;
    gives("File.GetInfo.label", root->GetInfo(root, &label_guid, &size, more_data), EFI_SUCCESS);
    holds("File.GetInfo.same-label", same_text((void *)more_data, volume->VolumeLabel));
}

/* Reads all entries; tells how often this image's is there, and whether all had their size told right. */
static UINTN entries_of(EFI_FILE_PROTOCOL *directory, UINTN *own, BOOLEAN *right, EFI_STATUS *status) {
    UINTN count = 0, size;
    for (*own = 0, *right = TRUE; count < 100000; count++) {
        size = sizeof file_data;
        *status = directory->Read(directory, &size, file_data);
        if (EFI_ERROR(*status) || !size)
            break;
        *own += same_name(file_info->FileName, own_name) && file_info->FileSize == own_size;
        *right = *right && size == file_info->Size && size == 82 + 2 * length_of(file_info->FileName);
    }
    return count;
}

static void reading_directories(EFI_FILE_PROTOCOL *root, EFI_FILE_PROTOCOL *directory) {
    UINTN own, size = 0, needed, count;
    UINT64 position;
    BOOLEAN right;
    EFI_STATUS status;
    gives("File.Read.directory-no-room", directory->Read(directory, &size, NULL), EFI_BUFFER_TOO_SMALL);
    needed = size;
    holds("File.Read.directory-room-it-takes", needed > 82);
    size = needed - 1;
    gives("File.Read.directory-one-byte-short", directory->Read(directory, &size, file_data), EFI_BUFFER_TOO_SMALL);
    holds("File.Read.directory-same-entry", size == needed);
    count = entries_of(directory, &own, &right, &status);
    gives("File.Read.directory-end", status, EFI_SUCCESS);
    holds("File.Read.directory-own-file-once", own == 1);
    holds("File.Read.directory-sizes", right);
    size = sizeof file_data;
    gives("File.Read.directory-end-again", directory->Read(directory, &size, file_data), EFI_SUCCESS);
    holds("File.Read.directory-none-more", size == 0);
    gives("File.SetPosition.directory-begin", directory->SetPosition(directory, 0), EFI_SUCCESS);
    holds("File.Read.directory-as-many", count == entries_of(directory, &own, &right, &status));
    gives("File.SetPosition.directory-elsewhere", directory->SetPosition(directory, 1), EFI_UNSUPPORTED);
    gives("File.GetPosition.directory", directory->GetPosition(directory, &position), EFI_UNSUPPORTED);
    entries_of(root, &own, &right, &status);
    gives("File.Read.root-end", status, EFI_SUCCESS);
    holds("File.Read.root-sizes", right);
    root->SetPosition(root, 0);
}

/* Only where the volume says that it is read only: nobody's files are put at risk. */
static void not_writing(EFI_FILE_PROTOCOL *root, EFI_FILE_PROTOCOL *directory, EFI_FILE_PROTOCOL *file) {
    const UINT64 write = EFI_FILE_MODE_READ | EFI_FILE_MODE_WRITE, create = write | EFI_FILE_MODE_CREATE;
    UINTN size = 4, information = sizeof more_data;
    gives("File.Open.write-protected", open_for_nothing(root, own_file, write), EFI_WRITE_PROTECTED);
    gives("File.Open.create-protected", open_for_nothing(root, u"\\selftest.new", create), EFI_WRITE_PROTECTED);
    gives_either("File.Write.protected", file->Write(file, &size, "none"), EFI_WRITE_PROTECTED, EFI_ACCESS_DENIED);
    size = 4;
    gives("File.Write.directory", directory->Write(directory, &size, "none"), EFI_UNSUPPORTED);
    file->GetInfo(file, &file_info_guid, &information, more_data);
    ((EFI_FILE_INFO *)more_data)->FileSize = 1;
    gives_either("File.SetInfo.protected", file->SetInfo(file, &file_info_guid, information, more_data),
                 EFI_WRITE_PROTECTED, EFI_ACCESS_DENIED);
    gives("File.SetInfo.unknown", file->SetInfo(file, &guid_unused, information, more_data), EFI_UNSUPPORTED);
    gives_either("File.Flush.opened-for-reading", file->Flush(file), EFI_ACCESS_DENIED, EFI_WRITE_PROTECTED);
    open_file(root, own_file, EFI_FILE_MODE_READ, &file);
    gives("File.Delete.protected", file->Delete(file), EFI_WARN_DELETE_FAILURE);
    gives("File.Open.not-deleted", open_for_nothing(root, own_file, EFI_FILE_MODE_READ), EFI_SUCCESS);
}

static UINT8 file_node[4 + sizeof own_file] __attribute__((aligned(2)));

/* The device path of a file on this image's volume, which the caller frees; its last node is file_node. */
static DEVICE_PATH path_of(const CHAR16 *file) {
    const UINTN size = 4 + (length_of(file) + 1) * sizeof(CHAR16);
    EFI_DEVICE_PATH_PROTOCOL *device = NULL;
    bs->HandleProtocol(own_device, &device_path_guid, (void **)&device);
    file_node[0] = file_node[1] = 4;
    file_node[2] = (UINT8)size;
    file_node[3] = (UINT8)(size >> 8);
    memcpy(file_node + 4, file, size - 4);
    return utilities->AppendDeviceNode(device, (void *)file_node);
}

/* LoadImage by the device path of this image's own file: from the file system, which the specification asks first. */
static void loading_files(void) {
    EFI_DEVICE_PATH_PROTOCOL *device = NULL;
    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    EFI_HANDLE image = NULL;
    bs->HandleProtocol(own_device, &device_path_guid, (void **)&device);
    DEVICE_PATH whole = path_of(own_file);
    gives("LoadImage.file", bs->LoadImage(FALSE, self, whole, NULL, 0, &image), EFI_SUCCESS);
    gives("HandleProtocol.file", bs->HandleProtocol(image, &loaded_image_guid, (void **)&loaded), EFI_SUCCESS);
    holds("LoadedImage.file-device", loaded && loaded->DeviceHandle == own_device);
    holds("LoadedImage.file-path", loaded && loaded->FilePath && same(loaded->FilePath, file_node, file_node[2] + (UINTN)file_node[3] * 256));
    holds("LoadedImage.file-parent", loaded && loaded->ParentHandle == self);
    gives("UnloadImage.file", bs->UnloadImage(image), EFI_SUCCESS);
    gives("LoadImage.file-boot-policy", bs->LoadImage(TRUE, self, whole, NULL, 0, &image), EFI_SUCCESS);
    bs->UnloadImage(image);
    /* With bytes in memory too, these are the image, and the path tells where it came from. */
    gives("LoadImage.bytes-and-path", bs->LoadImage(FALSE, self, whole, child, sizeof child, &image), EFI_SUCCESS);
    loaded = NULL;
    bs->HandleProtocol(image, &loaded_image_guid, (void **)&loaded);
    holds("LoadedImage.bytes-and-path-device", loaded && loaded->DeviceHandle == own_device);
    holds("LoadedImage.bytes-and-path-image", loaded && loaded->ImageSize < 0x10000);
    bs->UnloadImage(image);
    bs->FreePool(whole);
    whole = path_of(u"\\no such file.efi");
    gives("LoadImage.no-such-file", bs->LoadImage(FALSE, self, whole, NULL, 0, &image), EFI_NOT_FOUND);
    bs->FreePool(whole);
    refused("LoadImage.device-alone", bs->LoadImage(FALSE, self, device, NULL, 0, &image));
}

static void check_files(void) {
    EFI_SIMPLE_FILE_SYSTEM_PROTOCOL *volume = NULL;
    EFI_FILE_PROTOCOL *root = NULL, *again = NULL, *directory, *file, *other;
    find_own_file();
    if (!own_name) {
        say("No file system holds this image: files and disks are not checked.\n");
        return;
    }
    bs->HandleProtocol(own_device, &file_system_guid, (void **)&volume);
    holds("SimpleFileSystem.revision", volume->Revision >= 0x10000);
    gives("SimpleFileSystem.OpenVolume", volume->OpenVolume(volume, &root), EFI_SUCCESS);
    gives("SimpleFileSystem.OpenVolume.again", volume->OpenVolume(volume, &again), EFI_SUCCESS);
    holds("SimpleFileSystem.OpenVolume.apart", root != again);
    gives("File.Close.root", again->Close(again), EFI_SUCCESS);
    holds("File.revision", root->Revision >= 0x10000);
    gives("File.Open.directory", open_file(root, own_directory, EFI_FILE_MODE_READ, &directory), EFI_SUCCESS);
    gives("File.Open.file", open_file(root, own_file, EFI_FILE_MODE_READ, &file), EFI_SUCCESS);
    if (!directory || !file)
        return;
    telling_of_files(root, directory, file);
    opening_files(root, directory, file);
    reading_files(file);
    gives("File.Open.second-time", open_file(root, own_file, EFI_FILE_MODE_READ, &other), EFI_SUCCESS);
    UINT64 position = 9;
    other->GetPosition(other, &position);
    holds("File.GetPosition.of-its-own", position == 0);
    gives("File.Close.file", other->Close(other), EFI_SUCCESS);
    reading_directories(root, directory);
    if (own_volume_is_read_only)
        not_writing(root, directory, file);
    else
        say("Its volume can be written: that nothing can be is not checked.\n");
    file->Close(file);
    gives("File.Close.directory", directory->Close(directory), EFI_SUCCESS);
    root->Close(root);
    if (utilities)
        loading_files();
}

/* Loads the file of this name from the directory of this image's own; NULL where there is none. */
static EFI_HANDLE load_beside(const CHAR16 *name) {
    CHAR16 file[NAME_ROOM + 16];
    EFI_HANDLE image = NULL;
    if (!own_name || !utilities)
        return NULL;
    const UINTN length = own_directory[1] ? length_of(own_directory) : 0;
    memcpy(file, own_directory, length * sizeof(CHAR16));
    memcpy(file + length, name, (length_of(name) + 1) * sizeof(CHAR16));
    DEVICE_PATH whole = path_of(file);
    EFI_STATUS status = bs->LoadImage(FALSE, self, whole, NULL, 0, &image);
    bs->FreePool(whole);
    return EFI_ERROR(status) ? NULL : image;
}
