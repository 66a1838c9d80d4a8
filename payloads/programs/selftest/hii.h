/* The database of package lists and its strings (34.4, 34.8). */

typedef void *EFI_HII_HANDLE;

typedef struct EFI_HII_DATABASE_PROTOCOL {
    EFI_STATUS(EFIAPI *NewPackageList)(struct EFI_HII_DATABASE_PROTOCOL *, const void *, EFI_HANDLE, EFI_HII_HANDLE *);
    EFI_STATUS(EFIAPI *RemovePackageList)(struct EFI_HII_DATABASE_PROTOCOL *, EFI_HII_HANDLE);
    EFI_STATUS(EFIAPI *UpdatePackageList)(struct EFI_HII_DATABASE_PROTOCOL *, EFI_HII_HANDLE, const void *);
    EFI_STATUS(EFIAPI *ListPackageLists)(struct EFI_HII_DATABASE_PROTOCOL *, UINT8, const EFI_GUID *, UINTN *,
                                         EFI_HII_HANDLE *);
    EFI_STATUS(EFIAPI *ExportPackageLists)(struct EFI_HII_DATABASE_PROTOCOL *, EFI_HII_HANDLE, UINTN *, void *);
    void *RegisterPackageNotify, *UnregisterPackageNotify;
    EFI_STATUS(EFIAPI *FindKeyboardLayouts)(struct EFI_HII_DATABASE_PROTOCOL *, UINT16 *, EFI_GUID *);
    EFI_STATUS(EFIAPI *GetKeyboardLayout)(struct EFI_HII_DATABASE_PROTOCOL *, const EFI_GUID *, UINT16 *, void *);
    void *SetKeyboardLayout;
    EFI_STATUS(EFIAPI *GetPackageListHandle)(struct EFI_HII_DATABASE_PROTOCOL *, EFI_HII_HANDLE, EFI_HANDLE *);
} EFI_HII_DATABASE_PROTOCOL;

typedef struct EFI_HII_STRING_PROTOCOL {
    void *NewString;
    EFI_STATUS(EFIAPI *GetString)(struct EFI_HII_STRING_PROTOCOL *, const CHAR8 *, EFI_HII_HANDLE, UINT16, CHAR16 *,
                                  UINTN *, void **);
    void *SetString;
    EFI_STATUS(EFIAPI *GetLanguages)(struct EFI_HII_STRING_PROTOCOL *, EFI_HII_HANDLE, CHAR8 *, UINTN *);
} EFI_HII_STRING_PROTOCOL;

#define LITTLE_ENDIAN_32(number) (number) & 0xff, (number) >> 8 & 0xff, 0, 0
/* A list with one package of strings in American English: 1 is the language's name, 2 is "Two", 3 is "2+1". */
#define STRINGS_HEAD 52
#define STRINGS_SIZE (STRINGS_HEAD + 17 + 9 + 5 + 1)
static const UINT8 package_list[] __attribute__((aligned(8))) = {
    0xa4, 0xf0, 0xc1, 0xd6, 0x1e, 0x5b, 0x57, 0x4c, 0x9e, 0x3b, 0x41, 0x8a, 0x02, 0x6d, 0xf7, 0x90,
    LITTLE_ENDIAN_32(20 + STRINGS_SIZE + 4),
    STRINGS_SIZE, 0, 0, 0x04,
    LITTLE_ENDIAN_32(STRINGS_HEAD), LITTLE_ENDIAN_32(STRINGS_HEAD),
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    1, 0, 'e', 'n', '-', 'U', 'S', 0,
    0x14, 'E', 0, 'n', 0, 'g', 0, 'l', 0, 'i', 0, 's', 0, 'h', 0, 0, 0,
    0x14, 'T', 0, 'w', 0, 'o', 0, 0, 0,
    0x10, '2', '+', '1', 0,
    0,
    4, 0, 0, 0xdf,
};
_Static_assert(sizeof package_list == 20 + STRINGS_SIZE + 4, "the lengths within");

static EFI_HII_DATABASE_PROTOCOL *database;
static EFI_HII_STRING_PROTOCOL *strings;

static EFI_STATUS string(const CHAR8 *language, EFI_HII_HANDLE list, UINT16 number, UINTN *size) {
    memset(more_data, 0x5a, sizeof more_data);
    return strings->GetString(strings, language, list, number, (CHAR16 *)more_data, size, NULL);
}

static void strings_of(EFI_HII_HANDLE list) {
    UINTN size = sizeof more_data;
    gives("HiiString.GetString.second", string("en-US", list, 2, &size), EFI_SUCCESS);
    holds("HiiString.GetString.text", size == 8 && same(more_data, u"Two", 8) && more_data[8] == 0x5a);
    size = sizeof more_data;
    gives("HiiString.GetString.compressed", string("en-US", list, 3, &size), EFI_SUCCESS);
    holds("HiiString.GetString.compressed-text", same(more_data, u"2+1", 8) && more_data[8] == 0x5a);
    holds("HiiString.GetString.compressed-size", size == 8);
    size = 0;
    gives("HiiString.GetString.no-room", strings->GetString(strings, "en-US", list, 2, NULL, &size, NULL),
          EFI_BUFFER_TOO_SMALL);
    holds("HiiString.GetString.room-it-takes", size == 8);
    size = 7;
    gives("HiiString.GetString.one-byte-short", string("en-US", list, 2, &size), EFI_BUFFER_TOO_SMALL);
    size = sizeof more_data;
    gives("HiiString.GetString.no-such-string", string("en-US", list, 99, &size), EFI_NOT_FOUND);
    gives("HiiString.GetString.string-0", string("en-US", list, 0, &size), EFI_INVALID_PARAMETER);
    gives("HiiString.GetString.other-language", string("fr-FR", list, 2, &size), EFI_INVALID_LANGUAGE);
    gives("HiiString.GetString.no-language", string(NULL, list, 2, &size), EFI_INVALID_PARAMETER);
    gives("HiiString.GetString.no-size", string("en-US", list, 2, NULL), EFI_INVALID_PARAMETER);
    size = 0;
    gives("HiiString.GetLanguages.no-room", strings->GetLanguages(strings, list, NULL, &size), EFI_BUFFER_TOO_SMALL);
    holds("HiiString.GetLanguages.room-it-takes", size == 6);
    gives("HiiString.GetLanguages.told", strings->GetLanguages(strings, list, (CHAR8 *)more_data, &size), EFI_SUCCESS);
    holds("HiiString.GetLanguages.en-US", same(more_data, "en-US", 6));
    gives("HiiString.GetLanguages.no-size", strings->GetLanguages(strings, list, (CHAR8 *)more_data, NULL),
          EFI_INVALID_PARAMETER);
}

static void check_hii(void) {
    static const EFI_GUID database_guid = {0xef9fc172, 0xa1b2, 0x4693, {0xb3, 0x27, 0x6d, 0x32, 0xfc, 0x41, 0x60, 0x42}};
    static const EFI_GUID string_guid = {0x0fd96974, 0x23aa, 0x4cdc, {0xb9, 0xcb, 0x98, 0xd1, 0x77, 0x50, 0x32, 0x2a}};
    EFI_HII_HANDLE list = NULL;
    EFI_HANDLE driver_handle = NULL;
    UINTN size = sizeof more_data;
    UINT16 length = 0;
    bs->LocateProtocol(&database_guid, NULL, (void **)&database);
    bs->LocateProtocol(&string_guid, NULL, (void **)&strings);
    if (!database || !strings) {
        say("No human interface infrastructure here: it is not checked.\n");
        return;
    }
    gives("HiiDatabase.NewPackageList.no-list", database->NewPackageList(database, NULL, self, &list),
          EFI_INVALID_PARAMETER);
    gives("HiiDatabase.NewPackageList.no-result", database->NewPackageList(database, package_list, self, NULL),
          EFI_INVALID_PARAMETER);
    gives("HiiDatabase.NewPackageList.new", database->NewPackageList(database, package_list, self, &list),
          EFI_SUCCESS);
    gives("HiiDatabase.GetPackageListHandle.told", database->GetPackageListHandle(database, list, &driver_handle),
          EFI_SUCCESS);
    holds("HiiDatabase.GetPackageListHandle.driver", driver_handle == self);
    gives("HiiDatabase.GetPackageListHandle.no-result", database->GetPackageListHandle(database, list, NULL),
          EFI_INVALID_PARAMETER);
    gives("HiiDatabase.GetPackageListHandle.never", database->GetPackageListHandle(database, never, &driver_handle),
          EFI_INVALID_PARAMETER);
    gives("HiiDatabase.FindKeyboardLayouts.no-length", database->FindKeyboardLayouts(database, NULL, NULL),
          EFI_INVALID_PARAMETER);
    gives("HiiDatabase.GetKeyboardLayout.unknown",
          database->GetKeyboardLayout(database, &guid_unused, &length, NULL), EFI_NOT_FOUND);
    strings_of(list);
    gives("HiiDatabase.RemovePackageList.never", database->RemovePackageList(database, never), EFI_NOT_FOUND);
    gives("HiiDatabase.RemovePackageList.list", database->RemovePackageList(database, list), EFI_SUCCESS);
    gives("HiiDatabase.RemovePackageList.removed", database->RemovePackageList(database, list), EFI_NOT_FOUND);
    gives("HiiString.GetString.removed", string("en-US", list, 2, &size), EFI_NOT_FOUND);
}
