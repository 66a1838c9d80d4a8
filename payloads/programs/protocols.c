/*
 * The protocol database: installing, opening, finding, being told; with the errors that the specification names (7.3).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok".
 */
#include "support.h"

#define OWN_GUID(last) {0x3c1f9a52, 0x8d47, 0x4e0b, {0xa6, 0x1e, 0x77, 0x42, 0x0b, 0xc9, 0x5d, last}}

static const EFI_GUID guid_a = OWN_GUID(0xa);
static const EFI_GUID guid_b = OWN_GUID(0xb);
static const EFI_GUID guid_c = OWN_GUID(0xc);
static const EFI_GUID guid_unused = OWN_GUID(0xff);
static const EFI_GUID device_path_guid = DEVICE_PATH_GUID;
static const EFI_GUID loaded_image_guid = LOADED_IMAGE_GUID;

static int one, two, three;
static UINT64 no_handle[16];

/* Hardware, vendor-defined: a node of 20 bytes; then the end. */
typedef struct {
    struct {
        EFI_DEVICE_PATH_PROTOCOL head;
        EFI_GUID guid;
    } node[2];
    EFI_DEVICE_PATH_PROTOCOL end;
} PATH;

typedef struct {
    EFI_DEVICE_PATH_PROTOCOL head;
    EFI_GUID guid;
    EFI_DEVICE_PATH_PROTOCOL end;
} SHORT_PATH;

static SHORT_PATH path = {{1, 4, {20, 0}}, OWN_GUID(0x70), {0x7f, 0xff, {4, 0}}};
static SHORT_PATH same_path = {{1, 4, {20, 0}}, OWN_GUID(0x70), {0x7f, 0xff, {4, 0}}};
static PATH longer_path = {{{{1, 4, {20, 0}}, OWN_GUID(0x70)}, {{1, 4, {20, 0}}, OWN_GUID(0x71)}},
                           {0x7f, 0xff, {4, 0}}};

static EFI_STATUS add(EFI_HANDLE *handle, const EFI_GUID *guid, void *interface) {
    return bs->InstallProtocolInterface(handle, guid, EFI_NATIVE_INTERFACE, interface);
}

static EFI_STATUS get(EFI_HANDLE handle, const EFI_GUID *guid) {
    void *found = NULL;
    return bs->HandleProtocol(handle, guid, &found);
}

static EFI_STATUS test(EFI_HANDLE handle, const EFI_GUID *guid) {
    return bs->OpenProtocol(handle, guid, NULL, self, NULL, EFI_OPEN_PROTOCOL_TEST_PROTOCOL);
}

static BOOLEAN is(EFI_HANDLE handle, const EFI_GUID *guid, const void *interface) {
    void *found = NULL;
    return bs->HandleProtocol(handle, guid, &found) == EFI_SUCCESS && found == interface;
}

static void installing(void) {
    EFI_HANDLE handle = NULL, none = NULL;
    void *found = NULL;
    expect("install: no handle", add(NULL, &guid_a, &one), EFI_INVALID_PARAMETER);
    expect("install: no protocol", add(&none, NULL, &one), EFI_INVALID_PARAMETER);
    expect("install: not native", bs->InstallProtocolInterface(&none, &guid_a, 1, &one), EFI_INVALID_PARAMETER);
    expect("install: new handle", add(&handle, &guid_a, &one), EFI_SUCCESS);
    check("install: the handle is given", handle != NULL);
    expect("install: there already", add(&handle, &guid_a, &two), EFI_INVALID_PARAMETER);
    expect("install: a second protocol", add(&handle, &guid_b, NULL), EFI_SUCCESS);
    check("handle: the first", is(handle, &guid_a, &one));
    check("handle: the second, without interface", is(handle, &guid_b, NULL));
    expect("handle: not there", get(handle, &guid_unused), EFI_UNSUPPORTED);
    expect("handle: no handle", get(NULL, &guid_a), EFI_INVALID_PARAMETER);
    expect("handle: never a handle", get(no_handle, &guid_a), EFI_INVALID_PARAMETER);
    expect("handle: no protocol", bs->HandleProtocol(handle, NULL, &found), EFI_INVALID_PARAMETER);
    expect("handle: no place for it", bs->HandleProtocol(handle, &guid_a, NULL), EFI_INVALID_PARAMETER);

    expect("reinstall: wrong interface", bs->ReinstallProtocolInterface(handle, &guid_a, &three, &two),
           EFI_NOT_FOUND);
    expect("reinstall: not there", bs->ReinstallProtocolInterface(handle, &guid_unused, &one, &two), EFI_NOT_FOUND);
    expect("reinstall", bs->ReinstallProtocolInterface(handle, &guid_a, &one, &two), EFI_SUCCESS);
    check("reinstall: the new interface", is(handle, &guid_a, &two));
    expect("uninstall: wrong interface", bs->UninstallProtocolInterface(handle, &guid_a, &one), EFI_NOT_FOUND);
    expect("uninstall: no handle", bs->UninstallProtocolInterface(NULL, &guid_a, &two), EFI_INVALID_PARAMETER);
    expect("uninstall", bs->UninstallProtocolInterface(handle, &guid_a, &two), EFI_SUCCESS);
    expect("uninstall: gone", get(handle, &guid_a), EFI_UNSUPPORTED);
    expect("uninstall: the last", bs->UninstallProtocolInterface(handle, &guid_b, NULL), EFI_SUCCESS);
    expect("uninstall: the handle is gone", get(handle, &guid_b), EFI_INVALID_PARAMETER);
}

static void multiple(void) {
    EFI_HANDLE handle = NULL, other = NULL;
    void *found = NULL;
    EFI_STATUS status = bs->InstallMultipleProtocolInterfaces(&handle, &guid_a, &one, &guid_b, &two, NULL);
    expect("multiple: install two", status, EFI_SUCCESS);
    check("multiple: both are there", is(handle, &guid_a, &one) && is(handle, &guid_b, &two));
    status = bs->InstallMultipleProtocolInterfaces(&handle, &guid_c, &three, &guid_a, &two, NULL);
    expect("multiple: one is there already", status, EFI_INVALID_PARAMETER);
    expect("multiple: nothing remains", test(handle, &guid_c), EFI_UNSUPPORTED);
    check("multiple: the old one stays", is(handle, &guid_a, &one));

    expect("multiple: a device path", bs->InstallMultipleProtocolInterfaces(&handle, &device_path_guid, &path, NULL),
           EFI_SUCCESS);
    status = bs->InstallMultipleProtocolInterfaces(&other, &guid_c, &three, &device_path_guid, &same_path, NULL);
    expect("multiple: the same device path", status, EFI_ALREADY_STARTED);
    expect("multiple: nothing remains of it", bs->LocateProtocol(&guid_c, NULL, &found), EFI_NOT_FOUND);

    EFI_DEVICE_PATH_PROTOCOL *rest = &longer_path.node[0].head;
    expect("device path: locate", bs->LocateDevicePath(&guid_a, &rest, &other), EFI_SUCCESS);
    check("device path: the handle", other == handle);
    check("device path: the rest", rest == &longer_path.node[1].head);
    rest = &longer_path.node[0].head;
    expect("device path: no such protocol", bs->LocateDevicePath(&guid_unused, &rest, &other), EFI_NOT_FOUND);
    expect("device path: none given", bs->LocateDevicePath(&guid_a, NULL, &other), EFI_INVALID_PARAMETER);

    status = bs->UninstallMultipleProtocolInterfaces(handle, &guid_a, &one, &guid_b, &three, NULL);
    expect("multiple: uninstall a wrong one", status, EFI_INVALID_PARAMETER);
    check("multiple: all restored", is(handle, &guid_a, &one) && is(handle, &guid_b, &two));
    status = bs->UninstallMultipleProtocolInterfaces(handle, &guid_a, &one, &guid_b, &two, &device_path_guid, &path,
                                                     NULL);
    expect("multiple: uninstall", status, EFI_SUCCESS);
    expect("multiple: the handle is gone", get(handle, &guid_a), EFI_INVALID_PARAMETER);
}

/* How often the agent has the protocol open with these attributes. */
static UINT32 open_count(EFI_HANDLE handle, EFI_HANDLE agent, UINT32 attributes) {
    EFI_OPEN_PROTOCOL_INFORMATION_ENTRY *entries = NULL;
    UINTN count = 0;
    UINT32 total = 0;
    if (EFI_ERROR(bs->OpenProtocolInformation(handle, &guid_a, &entries, &count)))
        return ~0u;
    for (UINTN i = 0; i < count; i++)
        if (entries[i].AgentHandle == agent && entries[i].Attributes == attributes)
            total += entries[i].OpenCount;
    if (entries)
        bs->FreePool(entries);
    return total;
}

static void opening(void) {
    EFI_HANDLE handle = NULL, controller = NULL, agent = NULL;
    EFI_OPEN_PROTOCOL_INFORMATION_ENTRY *entries = NULL;
    UINTN count;
    void *found = NULL;
    const UINT32 by_get = EFI_OPEN_PROTOCOL_GET_PROTOCOL, by_driver = EFI_OPEN_PROTOCOL_BY_DRIVER;
    const UINT32 exclusive = EFI_OPEN_PROTOCOL_EXCLUSIVE;
    add(&handle, &guid_a, &one);
    add(&controller, &guid_b, &two);
    add(&agent, &guid_c, &three);

    expect("test: there", test(handle, &guid_a), EFI_SUCCESS);
    expect("test: not there", test(handle, &guid_b), EFI_UNSUPPORTED);
    expect("open: no place for it", bs->OpenProtocol(handle, &guid_a, NULL, self, NULL, by_get),
           EFI_INVALID_PARAMETER);
    expect("open: no attributes", bs->OpenProtocol(handle, &guid_a, &found, self, NULL, 0), EFI_INVALID_PARAMETER);
    expect("open: unknown attributes", bs->OpenProtocol(handle, &guid_a, &found, self, NULL, 0x40),
           EFI_INVALID_PARAMETER);
    expect("open: driver without controller", bs->OpenProtocol(handle, &guid_a, &found, self, NULL, by_driver),
           EFI_INVALID_PARAMETER);
    expect("open: driver that is no handle", bs->OpenProtocol(handle, &guid_a, &found, no_handle, controller,
                                                              by_driver), EFI_INVALID_PARAMETER);
    expect("open: get", bs->OpenProtocol(handle, &guid_a, &found, self, NULL, by_get), EFI_SUCCESS);
    check("open: the interface", found == &one);
    expect("open: get again", bs->OpenProtocol(handle, &guid_a, &found, self, NULL, by_get), EFI_SUCCESS);
    check("information: two of them", open_count(handle, self, by_get) == 2);
    expect("information: not there", bs->OpenProtocolInformation(handle, &guid_unused, &entries, &count),
           EFI_NOT_FOUND);
    expect("close", bs->CloseProtocol(handle, &guid_a, self, NULL), EFI_SUCCESS);
    expect("close: no handle", bs->CloseProtocol(NULL, &guid_a, self, NULL), EFI_INVALID_PARAMETER);
    expect("close: not open", bs->CloseProtocol(handle, &guid_a, agent, NULL), EFI_NOT_FOUND);

    expect("driver: open", bs->OpenProtocol(handle, &guid_a, &found, self, controller, by_driver), EFI_SUCCESS);
    expect("driver: open again", bs->OpenProtocol(handle, &guid_a, &found, self, controller, by_driver),
           EFI_ALREADY_STARTED);
    expect("driver: another", bs->OpenProtocol(handle, &guid_a, &found, agent, controller, by_driver),
           EFI_ACCESS_DENIED);
    expect("driver: get is free", bs->OpenProtocol(handle, &guid_a, &found, agent, NULL, by_get), EFI_SUCCESS);
    expect("exclusive: against a driver", bs->OpenProtocol(handle, &guid_a, &found, agent, NULL, exclusive),
           EFI_ACCESS_DENIED);
    check("information: the driver", open_count(handle, self, by_driver) == 1);
    expect("uninstall: against a driver", bs->UninstallProtocolInterface(handle, &guid_a, &one), EFI_ACCESS_DENIED);
    check("uninstall: nothing changed", is(handle, &guid_a, &one));
    expect("driver: close", bs->CloseProtocol(handle, &guid_a, self, controller), EFI_SUCCESS);
    check("information: no driver", open_count(handle, self, by_driver) == 0);
    expect("driver: close again", bs->CloseProtocol(handle, &guid_a, self, controller), EFI_NOT_FOUND);

    expect("exclusive: open", bs->OpenProtocol(handle, &guid_a, &found, self, NULL, exclusive), EFI_SUCCESS);
    expect("exclusive: another", bs->OpenProtocol(handle, &guid_a, &found, agent, NULL, exclusive),
           EFI_ACCESS_DENIED);
    expect("exclusive: a driver", bs->OpenProtocol(handle, &guid_a, &found, agent, controller, by_driver),
           EFI_ACCESS_DENIED);
    expect("exclusive: close", bs->CloseProtocol(handle, &guid_a, self, NULL), EFI_SUCCESS);
    expect("uninstall: although got", bs->UninstallProtocolInterface(handle, &guid_a, &one), EFI_SUCCESS);
    bs->UninstallProtocolInterface(controller, &guid_b, &two);
    bs->UninstallProtocolInterface(agent, &guid_c, &three);
}

static BOOLEAN among(EFI_HANDLE handle, const EFI_HANDLE *list, UINTN count) {
    for (UINTN i = 0; i < count; i++)
        if (list[i] == handle)
            return TRUE;
    return FALSE;
}

static void finding(void) {
    EFI_HANDLE first = NULL, second = NULL, room[4];
    EFI_HANDLE *list = NULL;
    EFI_GUID **guids = NULL;
    UINTN size, count;
    void *found = NULL;
    bs->InstallMultipleProtocolInterfaces(&first, &guid_a, &one, &guid_b, &two, NULL);
    add(&second, &guid_a, &three);

    expect("per handle", bs->ProtocolsPerHandle(first, &guids, &count), EFI_SUCCESS);
    check("per handle: two", count == 2);
    BOOLEAN straight = same(guids[0], &guid_a, 16) && same(guids[1], &guid_b, 16);
    BOOLEAN swapped = same(guids[0], &guid_b, 16) && same(guids[1], &guid_a, 16);
    check("per handle: these two", straight || swapped);
    expect("per handle: free the list", bs->FreePool(guids), EFI_SUCCESS);
    expect("per handle: no handle", bs->ProtocolsPerHandle(NULL, &guids, &count), EFI_INVALID_PARAMETER);

    size = 0;
    expect("locate: no room", bs->LocateHandle(ByProtocol, &guid_a, NULL, &size, NULL), EFI_BUFFER_TOO_SMALL);
    check("locate: the room it takes", size == 2 * sizeof(EFI_HANDLE));
    size = sizeof(EFI_HANDLE);
    expect("locate: room for one", bs->LocateHandle(ByProtocol, &guid_a, NULL, &size, room), EFI_BUFFER_TOO_SMALL);
    check("locate: still two", size == 2 * sizeof(EFI_HANDLE));
    size = sizeof room;
    expect("locate", bs->LocateHandle(ByProtocol, &guid_a, NULL, &size, room), EFI_SUCCESS);
    check("locate: the size used", size == 2 * sizeof(EFI_HANDLE));
    check("locate: both", among(first, room, 2) && among(second, room, 2));
    size = sizeof room;
    expect("locate: not there", bs->LocateHandle(ByProtocol, &guid_unused, NULL, &size, room), EFI_NOT_FOUND);
    expect("locate: no protocol", bs->LocateHandle(ByProtocol, NULL, NULL, &size, room), EFI_INVALID_PARAMETER);
    expect("locate: no key", bs->LocateHandle(ByRegisterNotify, NULL, NULL, &size, room), EFI_INVALID_PARAMETER);
    expect("locate: no size", bs->LocateHandle(ByProtocol, &guid_a, NULL, NULL, room), EFI_INVALID_PARAMETER);
    expect("locate: no buffer", bs->LocateHandle(ByProtocol, &guid_a, NULL, &size, NULL), EFI_INVALID_PARAMETER);
    expect("locate: unknown search", bs->LocateHandle((EFI_LOCATE_SEARCH_TYPE)3, &guid_a, NULL, &size, room),
           EFI_INVALID_PARAMETER);

    expect("buffer: all", bs->LocateHandleBuffer(AllHandles, NULL, NULL, &count, &list), EFI_SUCCESS);
    check("buffer: they are there", among(first, list, count) && among(second, list, count) &&
                                        among(self, list, count));
    bs->FreePool(list);
    expect("buffer: by protocol", bs->LocateHandleBuffer(ByProtocol, &guid_b, NULL, &count, &list), EFI_SUCCESS);
    check("buffer: one", count == 1 && list[0] == first);
    bs->FreePool(list);
    expect("buffer: not there", bs->LocateHandleBuffer(ByProtocol, &guid_unused, NULL, &count, &list),
           EFI_NOT_FOUND);
    expect("buffer: no place for it", bs->LocateHandleBuffer(ByProtocol, &guid_a, NULL, &count, NULL),
           EFI_INVALID_PARAMETER);

    expect("protocol", bs->LocateProtocol(&guid_b, NULL, &found), EFI_SUCCESS);
    check("protocol: the interface", found == &two);
    expect("protocol: not there", bs->LocateProtocol(&guid_unused, NULL, &found), EFI_NOT_FOUND);
    check("protocol: no interface then", found == NULL);
    expect("protocol: no place for it", bs->LocateProtocol(&guid_b, NULL, NULL), EFI_INVALID_PARAMETER);
    expect("protocol: none given", bs->LocateProtocol(NULL, NULL, &found), EFI_INVALID_PARAMETER);
    expect("connect: no driver", bs->ConnectController(first, NULL, NULL, FALSE), EFI_NOT_FOUND);
    expect("connect: no handle", bs->ConnectController(NULL, NULL, NULL, FALSE), EFI_INVALID_PARAMETER);

    EFI_LOADED_IMAGE_PROTOCOL *loaded = NULL;
    expect("image: its own", bs->HandleProtocol(self, &loaded_image_guid, (void **)&loaded), EFI_SUCCESS);
    check("image: this one", loaded && (UINTN)efi_main >= (UINTN)loaded->ImageBase &&
                                 (UINTN)efi_main < (UINTN)loaded->ImageBase + (UINTN)loaded->ImageSize);
    bs->UninstallMultipleProtocolInterfaces(first, &guid_a, &one, &guid_b, &two, NULL);
    bs->UninstallProtocolInterface(second, &guid_a, &three);
}

static UINT32 told;

static void EFIAPI tell(EFI_EVENT event, void *context) {
    (void)event;
    (void)context;
    told++;
}

static EFI_STATUS next_registered(void *key, EFI_HANDLE *handle) {
    UINTN size = sizeof *handle;
    return bs->LocateHandle(ByRegisterNotify, NULL, key, &size, handle);
}

static void being_told(void) {
    EFI_EVENT event = NULL;
    EFI_HANDLE first = NULL, second = NULL, next = NULL;
    void *key = NULL, *found = NULL;
    bs->CreateEvent(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tell, NULL, &event);
    expect("register: no event", bs->RegisterProtocolNotify(&guid_c, NULL, &key), EFI_INVALID_PARAMETER);
    expect("register: no protocol", bs->RegisterProtocolNotify(NULL, event, &key), EFI_INVALID_PARAMETER);
    expect("register: no place for the key", bs->RegisterProtocolNotify(&guid_c, event, NULL),
           EFI_INVALID_PARAMETER);
    expect("register", bs->RegisterProtocolNotify(&guid_c, event, &key), EFI_SUCCESS);
    expect("registered: none yet", next_registered(key, &next), EFI_NOT_FOUND);
    add(&first, &guid_a, &one);
    check("told: not of another protocol", told == 0);
    add(&first, &guid_c, &one);
    check("told: of the first", told == 1);
    add(&second, &guid_c, &two);
    check("told: of the second", told == 2);
    expect("registered: one", next_registered(key, &next), EFI_SUCCESS);
    check("registered: the first", next == first);
    expect("registered: another", next_registered(key, &next), EFI_SUCCESS);
    check("registered: the second", next == second);
    expect("registered: no more", next_registered(key, &next), EFI_NOT_FOUND);
    bs->ReinstallProtocolInterface(first, &guid_c, &one, &three);
    check("told: of reinstalling", told == 3);
    expect("registered: the interface", bs->LocateProtocol(&guid_c, key, &found), EFI_SUCCESS);
    check("registered: the reinstalled one", found == &three);
    bs->CloseEvent(event);
    bs->UninstallProtocolInterface(second, &guid_c, &two);
    bs->UninstallMultipleProtocolInterfaces(first, &guid_a, &one, &guid_c, &three, NULL);
    check("told: not of uninstalling", told == 3);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    installing();
    multiple();
    opening();
    finding();
    being_told();
    return verdict();
}
