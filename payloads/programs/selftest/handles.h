/* Handles and protocols: installing, opening, finding, being told (7.3). */

static const EFI_GUID guid_a = OWN_GUID(0x40);
static const EFI_GUID guid_b = OWN_GUID(0x41);
static const EFI_GUID guid_c = OWN_GUID(0x42);

static int one, two, three;

static PATH same_path = {{{1, 4, {20, 0}}, OWN_GUID(0x50)}, PATH_END};
static PATH other_path = {{{1, 4, {20, 0}}, OWN_GUID(0x5f)}, PATH_END};
static EFI_STATUS add(EFI_HANDLE *handle, const EFI_GUID *guid, void *interface) {
    return bs->InstallProtocolInterface(handle, guid, EFI_NATIVE_INTERFACE, interface);
}

static EFI_STATUS handle_protocol(EFI_HANDLE handle, const EFI_GUID *guid) {
    void *found = NULL;
    return bs->HandleProtocol(handle, guid, &found);
}

static BOOLEAN is(EFI_HANDLE handle, const EFI_GUID *guid, const void *interface) {
    void *found = NULL;
    return bs->HandleProtocol(handle, guid, &found) == EFI_SUCCESS && found == interface;
}

static void installing(void) {
    EFI_HANDLE handle = NULL, none = NULL, wrong = never;
    void *found = NULL;
    gives("InstallProtocolInterface.no-handle", add(NULL, &guid_a, &one), EFI_INVALID_PARAMETER);
    gives("InstallProtocolInterface.no-guid", add(&none, NULL, &one), EFI_INVALID_PARAMETER);
    gives("InstallProtocolInterface.not-native", bs->InstallProtocolInterface(&none, &guid_a, 1, &one),
          EFI_INVALID_PARAMETER);
    gives("InstallProtocolInterface.never-a-handle", add(&wrong, &guid_a, &one), EFI_INVALID_PARAMETER);
    gives("InstallProtocolInterface.new-handle", add(&handle, &guid_a, &one), EFI_SUCCESS);
    holds("InstallProtocolInterface.handle-given", handle != NULL);
    gives("InstallProtocolInterface.there-already", add(&handle, &guid_a, &two), EFI_INVALID_PARAMETER);
    gives("InstallProtocolInterface.another", add(&handle, &guid_b, NULL), EFI_SUCCESS);
    holds("HandleProtocol.interface", is(handle, &guid_a, &one));
    holds("HandleProtocol.no-interface", is(handle, &guid_b, NULL));
    gives("HandleProtocol.not-there", handle_protocol(handle, &guid_unused), EFI_UNSUPPORTED);
    gives("HandleProtocol.no-handle", handle_protocol(NULL, &guid_a), EFI_INVALID_PARAMETER);
    gives("HandleProtocol.never-a-handle", handle_protocol(never, &guid_a), EFI_INVALID_PARAMETER);
    gives("HandleProtocol.no-guid", bs->HandleProtocol(handle, NULL, &found), EFI_INVALID_PARAMETER);
    gives("HandleProtocol.no-result", bs->HandleProtocol(handle, &guid_a, NULL), EFI_INVALID_PARAMETER);

    gives("ReinstallProtocolInterface.wrong-interface",
          bs->ReinstallProtocolInterface(handle, &guid_a, &three, &two), EFI_NOT_FOUND);
    gives("ReinstallProtocolInterface.not-there",
          bs->ReinstallProtocolInterface(handle, &guid_unused, &one, &two), EFI_NOT_FOUND);
    gives("ReinstallProtocolInterface.no-handle", bs->ReinstallProtocolInterface(NULL, &guid_a, &one, &two),
          EFI_INVALID_PARAMETER);
    gives("ReinstallProtocolInterface.no-guid", bs->ReinstallProtocolInterface(handle, NULL, &one, &two),
          EFI_INVALID_PARAMETER);
    gives("ReinstallProtocolInterface.other", bs->ReinstallProtocolInterface(handle, &guid_a, &one, &two),
          EFI_SUCCESS);
    holds("ReinstallProtocolInterface.interface", is(handle, &guid_a, &two));
    gives("UninstallProtocolInterface.wrong-interface", bs->UninstallProtocolInterface(handle, &guid_a, &one),
          EFI_NOT_FOUND);
    gives("UninstallProtocolInterface.no-handle", bs->UninstallProtocolInterface(NULL, &guid_a, &two),
          EFI_INVALID_PARAMETER);
    gives("UninstallProtocolInterface.no-guid", bs->UninstallProtocolInterface(handle, NULL, &two),
          EFI_INVALID_PARAMETER);
    gives("UninstallProtocolInterface.first", bs->UninstallProtocolInterface(handle, &guid_a, &two), EFI_SUCCESS);
    gives("HandleProtocol.uninstalled", handle_protocol(handle, &guid_a), EFI_UNSUPPORTED);
    gives("UninstallProtocolInterface.last", bs->UninstallProtocolInterface(handle, &guid_b, NULL), EFI_SUCCESS);
    gives("HandleProtocol.handle-gone", handle_protocol(handle, &guid_b), EFI_INVALID_PARAMETER);
}

static void multiple(void) {
    EFI_HANDLE handle = NULL, other = NULL;
    void *found = NULL;
    EFI_STATUS status = bs->InstallMultipleProtocolInterfaces(&handle, &guid_a, &one, &guid_b, &two, NULL);
    gives("InstallMultipleProtocolInterfaces.two", status, EFI_SUCCESS);
    holds("InstallMultipleProtocolInterfaces.both", is(handle, &guid_a, &one) && is(handle, &guid_b, &two));
    status = bs->InstallMultipleProtocolInterfaces(&handle, &guid_c, &three, &guid_a, &two, NULL);
    gives("InstallMultipleProtocolInterfaces.one-there", status, EFI_INVALID_PARAMETER);
    gives("OpenProtocol.install-rolled-back", test(handle, &guid_c), EFI_UNSUPPORTED);
    holds("HandleProtocol.install-changed-nothing", is(handle, &guid_a, &one));
    status = bs->InstallMultipleProtocolInterfaces(&handle, &device_path_guid, &path, NULL);
    gives("InstallMultipleProtocolInterfaces.device-path", status, EFI_SUCCESS);
    status = bs->InstallMultipleProtocolInterfaces(&other, &guid_c, &three, &device_path_guid, &same_path, NULL);
    gives("InstallMultipleProtocolInterfaces.same-path", status, EFI_ALREADY_STARTED);
    holds("InstallMultipleProtocolInterfaces.no-handle-made", other == NULL);
    gives("LocateProtocol.same-path-rolled-back", bs->LocateProtocol(&guid_c, NULL, &found), EFI_NOT_FOUND);

    status = bs->InstallMultipleProtocolInterfaces(&other, &guid_c, &three, &guid_c, &two, NULL);
    gives("InstallMultipleProtocolInterfaces.same-twice", status, EFI_INVALID_PARAMETER);
    gives("LocateProtocol.same-twice-rolled-back", bs->LocateProtocol(&guid_c, NULL, &found), EFI_NOT_FOUND);
    status = bs->InstallMultipleProtocolInterfaces(NULL, &guid_c, &three, NULL);
    gives("InstallMultipleProtocolInterfaces.no-handle", status, EFI_INVALID_PARAMETER);
    other = never;
    status = bs->InstallMultipleProtocolInterfaces(&other, &guid_c, &three, NULL);
    gives("InstallMultipleProtocolInterfaces.never-a-handle", status, EFI_INVALID_PARAMETER);

    EFI_DEVICE_PATH_PROTOCOL *rest = &longer_path.node[0].head;
    gives("LocateDevicePath.longer", bs->LocateDevicePath(&guid_a, &rest, &other), EFI_SUCCESS);
    holds("LocateDevicePath.handle", other == handle);
    holds("LocateDevicePath.rest", rest == &longer_path.node[1].head);
    rest = &path.node.head;
    gives("LocateDevicePath.exact", bs->LocateDevicePath(&guid_a, &rest, &other), EFI_SUCCESS);
    holds("LocateDevicePath.end", rest == &path.end);
    rest = &other_path.node.head;
    gives("LocateDevicePath.elsewhere", bs->LocateDevicePath(&guid_a, &rest, &other), EFI_NOT_FOUND);
    holds("LocateDevicePath.not-moved", rest == &other_path.node.head);
    rest = &longer_path.node[0].head;
    gives("LocateDevicePath.not-there", bs->LocateDevicePath(&guid_unused, &rest, &other), EFI_NOT_FOUND);
    gives("LocateDevicePath.no-path", bs->LocateDevicePath(&guid_a, NULL, &other), EFI_INVALID_PARAMETER);
    gives("LocateDevicePath.no-guid", bs->LocateDevicePath(NULL, &rest, &other), EFI_INVALID_PARAMETER);
    gives("LocateDevicePath.no-result", bs->LocateDevicePath(&guid_a, &rest, NULL), EFI_INVALID_PARAMETER);

    status = bs->UninstallMultipleProtocolInterfaces(handle, &guid_a, &one, &guid_b, &three, NULL);
    gives("UninstallMultipleProtocolInterfaces.wrong-one", status, EFI_INVALID_PARAMETER);
    holds("UninstallMultipleProtocolInterfaces.restored", is(handle, &guid_a, &one) && is(handle, &guid_b, &two));
    status = bs->UninstallMultipleProtocolInterfaces(handle, &guid_a, &one, &guid_unused, &two, NULL);
    gives("UninstallMultipleProtocolInterfaces.not-there", status, EFI_INVALID_PARAMETER);
    holds("UninstallMultipleProtocolInterfaces.restored-again", is(handle, &guid_a, &one));
    status = bs->UninstallMultipleProtocolInterfaces(NULL, &guid_a, &one, NULL);
    gives("UninstallMultipleProtocolInterfaces.no-handle", status, EFI_INVALID_PARAMETER);
    status = bs->UninstallMultipleProtocolInterfaces(handle, &guid_a, &one, &guid_b, &two, &device_path_guid, &path,
                                                     NULL);
    gives("UninstallMultipleProtocolInterfaces.all", status, EFI_SUCCESS);
    gives("HandleProtocol.all-uninstalled", handle_protocol(handle, &guid_a), EFI_INVALID_PARAMETER);
}

/* How often the agent has the protocol open with these attributes. */
static UINT32 open_count(EFI_HANDLE handle, EFI_HANDLE agent, EFI_HANDLE controller, UINT32 attributes) {
    EFI_OPEN_PROTOCOL_INFORMATION_ENTRY *entries = NULL;
    UINTN count = 0;
    UINT32 total = 0;
    if (EFI_ERROR(bs->OpenProtocolInformation(handle, &guid_a, &entries, &count)))
        return ~0u;
    for (UINTN i = 0; i < count; i++)
        if (entries[i].AgentHandle == agent && entries[i].ControllerHandle == controller &&
            entries[i].Attributes == attributes)
            total += entries[i].OpenCount;
    if (entries)
        bs->FreePool(entries);
    return total;
}

static EFI_HANDLE target, controller, agent;

static EFI_STATUS open_as(EFI_HANDLE by, EFI_HANDLE for_controller, UINT32 attributes) {
    void *found = NULL;
    return bs->OpenProtocol(target, &guid_a, &found, by, for_controller, attributes);
}

/* The table of 7.3.9: what an opening of one kind does to one of another kind by another agent. */
static void opening_beside(void) {
    static const struct {
        const char *name;
        UINT32 first, then;
        EFI_STATUS status;
    } pairs[] = {
        {"OpenProtocol.get-beside-driver", 0x10, 0x02, EFI_SUCCESS},
        {"OpenProtocol.test-beside-driver", 0x10, 0x04, EFI_SUCCESS},
        {"OpenProtocol.child-beside-driver", 0x10, 0x08, EFI_SUCCESS},
        {"OpenProtocol.driver-beside-driver", 0x10, 0x10, EFI_ACCESS_DENIED},
        {"OpenProtocol.exclusive-beside-driver", 0x10, 0x20, EFI_ACCESS_DENIED},
        {"OpenProtocol.driver-exclusive-beside-driver", 0x10, 0x30, EFI_ACCESS_DENIED},
        {"OpenProtocol.get-beside-exclusive", 0x20, 0x02, EFI_SUCCESS},
        {"OpenProtocol.test-beside-exclusive", 0x20, 0x04, EFI_SUCCESS},
        {"OpenProtocol.child-beside-exclusive", 0x20, 0x08, EFI_SUCCESS},
        {"OpenProtocol.driver-beside-exclusive", 0x20, 0x10, EFI_ACCESS_DENIED},
        {"OpenProtocol.exclusive-beside-exclusive", 0x20, 0x20, EFI_ACCESS_DENIED},
        {"OpenProtocol.driver-exclusive-beside-exclusive", 0x20, 0x30, EFI_ACCESS_DENIED},
        {"OpenProtocol.driver-beside-driver-exclusive", 0x30, 0x10, EFI_ACCESS_DENIED},
        {"OpenProtocol.exclusive-beside-driver-exclusive", 0x30, 0x20, EFI_ACCESS_DENIED},
        {"OpenProtocol.both-beside-driver-exclusive", 0x30, 0x30, EFI_ACCESS_DENIED},
        {"OpenProtocol.driver-beside-child", 0x08, 0x10, EFI_SUCCESS},
        {"OpenProtocol.exclusive-beside-child", 0x08, 0x20, EFI_SUCCESS},
        {"OpenProtocol.driver-beside-get", 0x02, 0x10, EFI_SUCCESS},
        {"OpenProtocol.exclusive-beside-get", 0x02, 0x20, EFI_SUCCESS},
    };
    for (UINTN i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        EFI_STATUS first = open_as(self, controller, pairs[i].first);
        EFI_STATUS then = open_as(agent, controller, pairs[i].then);
        gives(pairs[i].name, first ? first : then, pairs[i].status);
        bs->CloseProtocol(target, &guid_a, self, controller);
        bs->CloseProtocol(target, &guid_a, agent, controller);
    }
}

static void opening(void) {
    EFI_OPEN_PROTOCOL_INFORMATION_ENTRY *entries = NULL;
    UINTN count;
    void *found = NULL;
    const UINT32 by_get = EFI_OPEN_PROTOCOL_GET_PROTOCOL, by_driver = EFI_OPEN_PROTOCOL_BY_DRIVER;
    const UINT32 by_child = EFI_OPEN_PROTOCOL_BY_CHILD_CONTROLLER, exclusive = EFI_OPEN_PROTOCOL_EXCLUSIVE;
    add(&target, &guid_a, &one);
    add(&controller, &guid_b, &two);
    add(&agent, &guid_c, &three);

    gives("OpenProtocol.test-there", test(target, &guid_a), EFI_SUCCESS);
    gives("OpenProtocol.test-not-there", test(target, &guid_b), EFI_UNSUPPORTED);
    gives("OpenProtocol.no-result", bs->OpenProtocol(target, &guid_a, NULL, self, NULL, by_get),
          EFI_INVALID_PARAMETER);
    gives("OpenProtocol.no-guid", bs->OpenProtocol(target, NULL, &found, self, NULL, by_get), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.no-handle", bs->OpenProtocol(NULL, &guid_a, &found, self, NULL, by_get),
          EFI_INVALID_PARAMETER);
    gives("OpenProtocol.get-not-there", bs->OpenProtocol(target, &guid_b, &found, self, NULL, by_get),
          EFI_UNSUPPORTED);
    gives("OpenProtocol.attributes-0", open_as(self, NULL, 0), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.attributes-0x40", open_as(self, NULL, 0x40), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.attributes-get-and-test", open_as(self, NULL, 0x06), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.driver-no-controller", open_as(self, NULL, by_driver), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.driver-no-agent", open_as(NULL, controller, by_driver), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.driver-never-an-agent", open_as(never, controller, by_driver), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.exclusive-no-agent", open_as(NULL, NULL, exclusive), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.child-no-controller", open_as(self, NULL, by_child), EFI_INVALID_PARAMETER);
    gives("OpenProtocol.child-of-itself", open_as(self, target, by_child), EFI_INVALID_PARAMETER);

    gives("OpenProtocol.get", bs->OpenProtocol(target, &guid_a, &found, self, NULL, by_get), EFI_SUCCESS);
    holds("OpenProtocol.get-interface", found == &one);
    gives("OpenProtocol.get-again", open_as(self, NULL, by_get), EFI_SUCCESS);
    holds("OpenProtocolInformation.two-times", open_count(target, self, NULL, by_get) == 2);
    gives("OpenProtocolInformation.not-there", bs->OpenProtocolInformation(target, &guid_unused, &entries, &count),
          EFI_NOT_FOUND);
    gives("CloseProtocol.get", bs->CloseProtocol(target, &guid_a, self, NULL), EFI_SUCCESS);
    holds("OpenProtocolInformation.closed", open_count(target, self, NULL, by_get) == 0);
    gives("CloseProtocol.other-agent", bs->CloseProtocol(target, &guid_a, agent, NULL), EFI_NOT_FOUND);
    gives("CloseProtocol.closed", bs->CloseProtocol(target, &guid_a, self, NULL), EFI_NOT_FOUND);
    gives("CloseProtocol.not-there", bs->CloseProtocol(target, &guid_unused, self, NULL), EFI_NOT_FOUND);
    gives("CloseProtocol.no-handle", bs->CloseProtocol(NULL, &guid_a, self, NULL), EFI_INVALID_PARAMETER);
    gives("CloseProtocol.no-guid", bs->CloseProtocol(target, NULL, self, NULL), EFI_INVALID_PARAMETER);
    gives("CloseProtocol.no-agent", bs->CloseProtocol(target, &guid_a, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("CloseProtocol.never-a-controller", bs->CloseProtocol(target, &guid_a, self, never), EFI_INVALID_PARAMETER);

    gives("OpenProtocol.driver", open_as(self, controller, by_driver), EFI_SUCCESS);
    gives("OpenProtocol.driver-again", open_as(self, controller, by_driver), EFI_ALREADY_STARTED);
    gives("OpenProtocol.driver-also-exclusive", open_as(self, controller, by_driver | exclusive), EFI_ACCESS_DENIED);
    holds("OpenProtocolInformation.driver", open_count(target, self, controller, by_driver) == 1);
    gives("UninstallProtocolInterface.driver", bs->UninstallProtocolInterface(target, &guid_a, &one),
          EFI_ACCESS_DENIED);
    gives("ReinstallProtocolInterface.driver", bs->ReinstallProtocolInterface(target, &guid_a, &one, &two),
          EFI_ACCESS_DENIED);
    holds("HandleProtocol.driver", is(target, &guid_a, &one));
    gives("CloseProtocol.driver", bs->CloseProtocol(target, &guid_a, self, controller), EFI_SUCCESS);
    holds("OpenProtocolInformation.driver-closed", open_count(target, self, controller, by_driver) == 0);
    gives("CloseProtocol.driver-again", bs->CloseProtocol(target, &guid_a, self, controller), EFI_NOT_FOUND);
    gives("OpenProtocol.driver-exclusive", open_as(self, controller, by_driver | exclusive), EFI_SUCCESS);
    gives("OpenProtocol.driver-exclusive-again", open_as(self, controller, by_driver | exclusive),
          EFI_ALREADY_STARTED);
    bs->CloseProtocol(target, &guid_a, self, controller);
    gives("OpenProtocol.child", open_as(self, controller, by_child), EFI_SUCCESS);
    gives("UninstallProtocolInterface.child", bs->UninstallProtocolInterface(target, &guid_a, &one),
          EFI_ACCESS_DENIED);
    bs->CloseProtocol(target, &guid_a, self, controller);
    opening_beside();
    open_as(self, NULL, by_get);
    gives("UninstallProtocolInterface.got", bs->UninstallProtocolInterface(target, &guid_a, &one), EFI_SUCCESS);
    bs->UninstallProtocolInterface(controller, &guid_b, &two);
    bs->UninstallProtocolInterface(agent, &guid_c, &three);
}

static void check_handles(void) {
    installing();
    multiple();
    opening();
}
