/* Finding handles and protocols, and being told of new ones (7.3.5, 7.3.6, 7.3.14 to 7.3.16). */

static BOOLEAN among(EFI_HANDLE handle, const EFI_HANDLE *list, UINTN count) {
    for (UINTN i = 0; i < count; i++)
        if (list[i] == handle)
            return TRUE;
    return FALSE;
}

static UINTN all_handles(void) {
    EFI_HANDLE *list = NULL;
    UINTN count = 0;
    if (!EFI_ERROR(bs->LocateHandleBuffer(AllHandles, NULL, NULL, &count, &list)))
        bs->FreePool(list);
    return count;
}

static EFI_STATUS locate(EFI_LOCATE_SEARCH_TYPE how, const EFI_GUID *guid, void *key, UINTN *size, EFI_HANDLE *room) {
    return bs->LocateHandle(how, guid, key, size, room);
}

static void per_handle(EFI_HANDLE handle) {
    EFI_GUID **guids = NULL;
    UINTN count = 0;
    gives("ProtocolsPerHandle.two", bs->ProtocolsPerHandle(handle, &guids, &count), EFI_SUCCESS);
    holds("ProtocolsPerHandle.count", count == 2);
    holds("ProtocolsPerHandle.these", count == 2 && ((same(guids[0], &guid_a, 16) && same(guids[1], &guid_b, 16)) ||
                                                     (same(guids[0], &guid_b, 16) && same(guids[1], &guid_a, 16))));
    gives("FreePool.list-of-protocols", bs->FreePool(guids), EFI_SUCCESS);
    gives("ProtocolsPerHandle.no-handle", bs->ProtocolsPerHandle(NULL, &guids, &count), EFI_INVALID_PARAMETER);
    gives("ProtocolsPerHandle.never-a-handle", bs->ProtocolsPerHandle(never, &guids, &count), EFI_INVALID_PARAMETER);
    gives("ProtocolsPerHandle.no-result", bs->ProtocolsPerHandle(handle, NULL, &count), EFI_INVALID_PARAMETER);
    gives("ProtocolsPerHandle.no-count", bs->ProtocolsPerHandle(handle, &guids, NULL), EFI_INVALID_PARAMETER);
}

static void locating(EFI_HANDLE first, EFI_HANDLE second) {
    EFI_HANDLE room[4];
    EFI_HANDLE *list = NULL;
    UINTN count = 0, size = 0;
    gives("LocateHandle.no-room", locate(ByProtocol, &guid_a, NULL, &size, NULL), EFI_BUFFER_TOO_SMALL);
    holds("LocateHandle.room-it-takes", size == 2 * sizeof(EFI_HANDLE));
    size = sizeof(EFI_HANDLE);
    gives("LocateHandle.room-for-one", locate(ByProtocol, &guid_a, NULL, &size, room), EFI_BUFFER_TOO_SMALL);
    holds("LocateHandle.still-two", size == 2 * sizeof(EFI_HANDLE));
    size = sizeof room;
    gives("LocateHandle.by-protocol", locate(ByProtocol, &guid_a, NULL, &size, room), EFI_SUCCESS);
    holds("LocateHandle.size", size == 2 * sizeof(EFI_HANDLE));
    holds("LocateHandle.both", among(first, room, 2) && among(second, room, 2));
    size = sizeof room;
    gives("LocateHandle.not-there", locate(ByProtocol, &guid_unused, NULL, &size, room), EFI_NOT_FOUND);
    gives("LocateHandle.no-guid", locate(ByProtocol, NULL, NULL, &size, room), EFI_INVALID_PARAMETER);
    gives("LocateHandle.no-key", locate(ByRegisterNotify, NULL, NULL, &size, room), EFI_INVALID_PARAMETER);
    gives("LocateHandle.no-size", locate(ByProtocol, &guid_a, NULL, NULL, room), EFI_INVALID_PARAMETER);
    gives("LocateHandle.no-buffer", locate(ByProtocol, &guid_a, NULL, &size, NULL), EFI_INVALID_PARAMETER);
    gives("LocateHandle.search-3", locate((EFI_LOCATE_SEARCH_TYPE)3, &guid_a, NULL, &size, room),
          EFI_INVALID_PARAMETER);
    size = 0;
    gives("LocateHandle.all", locate(AllHandles, NULL, NULL, &size, NULL), EFI_BUFFER_TOO_SMALL);

    gives("LocateHandleBuffer.all", bs->LocateHandleBuffer(AllHandles, NULL, NULL, &count, &list), EFI_SUCCESS);
    holds("LocateHandleBuffer.as-many", count * sizeof(EFI_HANDLE) == size);
    holds("LocateHandleBuffer.all-there",
          among(first, list, count) && among(second, list, count) && among(self, list, count));
    bs->FreePool(list);
    gives("LocateHandleBuffer.by-protocol", bs->LocateHandleBuffer(ByProtocol, &guid_b, NULL, &count, &list),
          EFI_SUCCESS);
    holds("LocateHandleBuffer.one", count == 1 && list[0] == first);
    gives("FreePool.list-of-handles", bs->FreePool(list), EFI_SUCCESS);
    gives("LocateHandleBuffer.not-there", bs->LocateHandleBuffer(ByProtocol, &guid_unused, NULL, &count, &list),
          EFI_NOT_FOUND);
    gives("LocateHandleBuffer.no-result", bs->LocateHandleBuffer(ByProtocol, &guid_a, NULL, &count, NULL),
          EFI_INVALID_PARAMETER);
    gives("LocateHandleBuffer.no-count", bs->LocateHandleBuffer(ByProtocol, &guid_a, NULL, NULL, &list),
          EFI_INVALID_PARAMETER);
    gives("LocateHandleBuffer.no-guid", bs->LocateHandleBuffer(ByProtocol, NULL, NULL, &count, &list),
          EFI_INVALID_PARAMETER);
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
    gives("RegisterProtocolNotify.no-event", bs->RegisterProtocolNotify(&guid_c, NULL, &key), EFI_INVALID_PARAMETER);
    gives("RegisterProtocolNotify.no-guid", bs->RegisterProtocolNotify(NULL, event, &key), EFI_INVALID_PARAMETER);
    gives("RegisterProtocolNotify.no-result", bs->RegisterProtocolNotify(&guid_c, event, NULL),
          EFI_INVALID_PARAMETER);
    gives("RegisterProtocolNotify.new", bs->RegisterProtocolNotify(&guid_c, event, &key), EFI_SUCCESS);
    gives("LocateHandle.none-registered", next_registered(key, &next), EFI_NOT_FOUND);
    add(&first, &guid_a, &one);
    holds("RegisterProtocolNotify.other-protocol", told == 0);
    add(&first, &guid_c, &one);
    holds("RegisterProtocolNotify.first", told == 1);
    add(&second, &guid_c, &two);
    holds("RegisterProtocolNotify.second", told == 2);
    gives("LocateHandle.registered", next_registered(key, &next), EFI_SUCCESS);
    holds("LocateHandle.registered-first", next == first);
    gives("LocateHandle.registered-again", next_registered(key, &next), EFI_SUCCESS);
    holds("LocateHandle.registered-second", next == second);
    gives("LocateHandle.no-more-registered", next_registered(key, &next), EFI_NOT_FOUND);
    bs->ReinstallProtocolInterface(first, &guid_c, &one, &three);
    holds("RegisterProtocolNotify.reinstalled", told == 3);
    gives("LocateProtocol.registered", bs->LocateProtocol(&guid_c, key, &found), EFI_SUCCESS);
    holds("LocateProtocol.registered-interface", found == &three);
    gives("LocateProtocol.no-more-registered", bs->LocateProtocol(&guid_c, key, &found), EFI_NOT_FOUND);
    bs->UninstallProtocolInterface(second, &guid_c, &two);
    holds("RegisterProtocolNotify.not-uninstalled", told == 3);
    bs->CloseEvent(event);
    add(&second, &guid_c, &two);
    holds("CloseEvent.not-told-any-more", told == 3);
    bs->UninstallProtocolInterface(second, &guid_c, &two);
    bs->UninstallMultipleProtocolInterfaces(first, &guid_a, &one, &guid_c, &three, NULL);
}

static void check_finding(void) {
    EFI_HANDLE first = NULL, second = NULL;
    void *found = NULL;
    bs->InstallMultipleProtocolInterfaces(&first, &guid_a, &one, &guid_b, &two, NULL);
    add(&second, &guid_a, &three);
    per_handle(first);
    locating(first, second);
    gives("LocateProtocol.there", bs->LocateProtocol(&guid_b, NULL, &found), EFI_SUCCESS);
    holds("LocateProtocol.interface", found == &two);
    gives("LocateProtocol.not-there", bs->LocateProtocol(&guid_unused, NULL, &found), EFI_NOT_FOUND);
    holds("LocateProtocol.no-interface", found == NULL);
    gives("LocateProtocol.no-result", bs->LocateProtocol(&guid_b, NULL, NULL), EFI_INVALID_PARAMETER);
    gives("LocateProtocol.no-guid", bs->LocateProtocol(NULL, NULL, &found), EFI_INVALID_PARAMETER);
    bs->UninstallMultipleProtocolInterfaces(first, &guid_a, &one, &guid_b, &two, NULL);
    bs->UninstallProtocolInterface(second, &guid_a, &three);
    being_told();
}
