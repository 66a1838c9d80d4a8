/*
 * Loads the files 00.efi, 01.efi and so on that lie beside it, starts none, and prints what LoadImage says of each; then what
 * the firmware wrote down of that: the actions of its image execution table, and the events of PCRs 4 and 7 in the TPM's log
 * with their SHA-256 digests. What it prints names no address and no device, so that it is the same on any firmware that decides
 * and measures alike.
 *
 * Outcome: returned, EFI_SUCCESS; started from memory it finds no file.
 */
#include "support.h"

#define MOST 32
#define SHA256 0x000b

static const EFI_GUID tcg2_guid = {0x607f766c, 0x7455, 0x42be, {0x93, 0x0b, 0xe4, 0xd7, 0x6d, 0xb2, 0x72, 0x0f}};
static const EFI_GUID security = {0xd719b2cb, 0x3d3a, 0x4596, {0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f}};
static const EFI_GUID device_path_guid = DEVICE_PATH_GUID, loaded_image_guid = LOADED_IMAGE_GUID;

typedef struct TCG2 {
    void *GetCapability;
    EFI_STATUS(EFIAPI *GetEventLog)(struct TCG2 *This, UINT32 Format, UINT64 *Location, UINT64 *LastEntry, BOOLEAN *Cut);
} TCG2;

static UINT32 number(const UINT8 *at, UINTN bytes) {
    UINT32 value = 0;
    while (bytes--)
        value = value << 8 | at[bytes];
    return value;
}

static UINTN digest_size(UINT32 algorithm) {
    switch (algorithm) {
    case 0x0004:
        return 20;
    case SHA256:
    case 0x0012:
        return 32;
    case 0x000c:
        return 48;
    case 0x000d:
        return 64;
    default:
        return 0;
    }
}

/* One event of the log; gives where the next one begins. */
static const UINT8 *event(const UINT8 *at) {
    UINT32 pcr = number(at, 4), type = number(at + 4, 4), digests = number(at + 8, 4);
    const UINT8 *digest = NULL;
    at += 12;
    while (digests--) {
        UINT32 algorithm = number(at, 2);
        if (algorithm == SHA256)
            digest = at + 2;
        at += 2 + digest_size(algorithm);
    }
    if ((pcr == 4 || pcr == 7) && digest) {
        say("event %u %x ", (UINT64)pcr, (UINT64)type);
        for (UINTN i = 0; i < 32; i++) {
            say_char((CHAR16) "0123456789abcdef"[digest[i] >> 4]);
            say_char((CHAR16) "0123456789abcdef"[digest[i] & 15]);
        }
        say("\n");
    }
    return at + 4 + number(at, 4);
}

static void events(void) {
    TCG2 *tcg2;
    UINT64 location = 0, last = 0;
    BOOLEAN cut;
    if (EFI_ERROR(bs->LocateProtocol(&tcg2_guid, NULL, (void **)&tcg2)))
        return;
    if (EFI_ERROR(tcg2->GetEventLog(tcg2, 2, &location, &last, &cut)) || !location)
        return;
    const UINT8 *at = (const UINT8 *)(UINTN)location;
    /* The first one is of the old form, and says what the others look like. */
    if (last > location)
        for (at += 32 + number(at + 28, 4); (UINTN)at <= last;)
            at = event(at);
}

static void actions(void) {
    for (UINTN i = 0; i < st->NumberOfTableEntries; i++) {
        const UINT8 *at = st->ConfigurationTable[i].VendorTable;
        if (!same(&st->ConfigurationTable[i].VendorGuid, &security, sizeof security))
            continue;
        UINTN count = *(const UINTN *)at;
        for (at += sizeof count; count--; at += number(at + 4, 4))
            say("action %u\n", (UINT64)number(at, 4));
    }
}

static void load(EFI_DEVICE_PATH_PROTOCOL *device, UINTN device_size, UINTN which) {
    static UINT8 path[1024] __attribute__((aligned(8)));
    static CHAR16 name[] = u"\\00.efi";
    EFI_HANDLE loaded = NULL;
    name[1] = (CHAR16)('0' + which / 10);
    name[2] = (CHAR16)('0' + which % 10);
    memcpy(path, device, device_size);
    UINT8 *node = path + device_size;
    node[0] = node[1] = 4;
    node[2] = 4 + sizeof name;
    node[3] = 0;
    memcpy(node + 4, name, sizeof name);
    memcpy(node + 4 + sizeof name, "\x7f\xff\4", 4);
    EFI_STATUS status = bs->LoadImage(FALSE, self, (EFI_DEVICE_PATH_PROTOCOL *)path, NULL, 0, &loaded);
    if (status == EFI_NOT_FOUND)
        return;
    say("load %w %r\n", name + 1, status);
    if (loaded)
        bs->UnloadImage(loaded);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_LOADED_IMAGE_PROTOCOL *own;
    EFI_DEVICE_PATH_PROTOCOL *device;
    start(image, table);
    say("Loading what lies beside.\n");
    if (!EFI_ERROR(bs->HandleProtocol(image, &loaded_image_guid, (void **)&own)) &&
        !EFI_ERROR(bs->HandleProtocol(own->DeviceHandle, &device_path_guid, (void **)&device))) {
        UINTN size = 0;
        for (const UINT8 *at = (const UINT8 *)device; at[size] != 0x7f; size += number(at + size + 2, 2)) {
        }
        for (UINTN i = 0; i < MOST && size < 512; i++)
            load(device, size, i);
    }
    actions();
    events();
    say("That is all.\n");
    return EFI_SUCCESS;
}
