/*
 * ExitBootServices, and what is left of the firmware then: runtime services, at their first addresses and moved to the
 * same ones (7.4.6, 8.2 to 8.5).
 *
 * There is no console then. What is said is kept, becomes a variable for the next run to print, and in short the data
 * of the reset that ends it all.
 */

static const EFI_GUID after_guid = OWN_GUID(0x60);
static CHAR16 after_name[] = u"SelfTest";
static char kept[6000];
static UINTN kept_fill;
static CHAR16 last_words[500];
static UINTN last_fill;

/* In the place of the console's: keeps the lines, and of those that failed and of the count more than that. */
static EFI_STATUS EFIAPI keep(EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL *out, const CHAR16 *line) {
    (void)out;
    BOOLEAN shown = *line != 'P';
    for (; *line; line++) {
        if (*line == '\r')
            continue;
        if (kept_fill < sizeof kept)
            kept[kept_fill++] = (char)*line;
        if (shown && *line != '\n' && last_fill < sizeof last_words / sizeof last_words[0] - 3)
            last_words[last_fill++] = *line;
    }
    if (shown)
        last_words[last_fill++] = ';';
    return EFI_SUCCESS;
}

static EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL keeping_console = {.OutputString = keep};
static EFI_SYSTEM_TABLE keeping_table = {.ConOut = &keeping_console};

/* What the run before kept. */
static void say_last_run(void) {
    const UINT32 lasting = NON_VOLATILE | BS_ACCESS | RT_ACCESS;
    UINTN size = sizeof kept;
    UINT32 attributes;
    if (EFI_ERROR(rt->GetVariable(after_name, &after_guid, &attributes, &size, kept)))
        return;
    for (UINTN at = 0; at < size; at++) {
        if (at == 0 || kept[at - 1] == '\n')
            say("last run: ");
        say_char((CHAR16)kept[at]);
    }
    rt->SetVariable(after_name, &after_guid, lasting, 0, NULL);
}

typedef struct {
    UINT32 calls;
    UINT32 at;
} TOLD;

static volatile UINT32 all_told;
static volatile TOLD told_before, told_group, told_type, told_closed, told_moved;

static void EFIAPI tell_leaving(EFI_EVENT event, void *context) {
    volatile TOLD *one = context;
    (void)event;
    one->calls++;
    one->at = ++all_told;
}

static EFI_STATUS convert_known, convert_null, convert_optional, convert_unknown;
static BOOLEAN convert_same;

static void EFIAPI convert(EFI_EVENT event, void *context) {
    void *known = rt, *null = NULL, *optional = NULL, *unknown = (void *)(UINTN)(UNMAPPED_POINTER + 0x1000);
    tell_leaving(event, context);
    convert_known = rt->ConvertPointer(0, &known);
    convert_same = known == rt;
    convert_null = rt->ConvertPointer(0, &null);
    convert_optional = rt->ConvertPointer(1, &optional);
    convert_unknown = rt->ConvertPointer(0, &unknown);
}

/* The checksum of 4.2, without the boot service for it. */
static BOOLEAN still_sealed(const EFI_TABLE_HEADER *header) {
    UINT32 crc = 0xffffffff;
    for (UINT32 i = 0; i < header->HeaderSize; i++) {
        BOOLEAN own = i >= 16 && i < 20;
        crc ^= own ? 0 : ((const UINT8 *)header)[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return ~crc == header->CRC32;
}

static EFI_STATUS leave(UINTN wrong) {
    EFI_STATUS status = read_map();
    return EFI_ERROR(status) ? status : bs->ExitBootServices(self, map_key + wrong);
}

static void prepare(void) {
    static const EFI_GUID before_group = BEFORE_EXIT_BOOT_SERVICES_GUID, exit_group = EXIT_BOOT_SERVICES_GUID;
    const UINT32 notify = EVT_NOTIFY_SIGNAL;
    EFI_EVENT event;
    bs->CreateEvent(EVT_SIGNAL_EXIT_BOOT_SERVICES, TPL_CALLBACK, tell_leaving, (void *)&told_type, &event);
    bs->CreateEventEx(notify, TPL_NOTIFY, tell_leaving, (void *)&told_group, &exit_group, &event);
    bs->CreateEventEx(notify, TPL_CALLBACK, tell_leaving, (void *)&told_before, &before_group, &event);
    bs->CreateEvent(EVT_SIGNAL_VIRTUAL_ADDRESS_CHANGE, TPL_CALLBACK, convert, (void *)&told_moved, &event);
    bs->CreateEventEx(notify, TPL_CALLBACK, tell_leaving, (void *)&told_closed, &exit_group, &event);
    bs->CloseEvent(event);
    rt->SetVariable(u"SelfTestBoot", &vendor_one, BS_ACCESS, 4, "boot");
    rt->SetVariable(u"SelfTestVolatile", &vendor_one, BS_ACCESS | RT_ACCESS, 4, "soft");
    rt->SetVariable(u"SelfTest", &vendor_one, NON_VOLATILE | BS_ACCESS | RT_ACCESS, 4, "hard");
}

static void left(const EFI_SYSTEM_TABLE *real) {
    holds("ExitBootServices.group-told-once", told_group.calls == 1);
    holds("ExitBootServices.type-told-once", told_type.calls == 1);
    holds("ExitBootServices.before-told-once", told_before.calls == 1);
    holds("ExitBootServices.before-comes-first", told_before.at && told_before.at < told_group.at);
    holds("ExitBootServices.higher-level-first", told_group.at < told_type.at);
    holds("ExitBootServices.closed-not-told", told_closed.calls == 0);
    holds("ExitBootServices.no-address-change", told_moved.calls == 0);
    holds("SystemTable.no-input", !real->ConsoleInHandle && !real->ConIn);
    holds("SystemTable.no-output", !real->ConsoleOutHandle && !real->ConOut);
    holds("SystemTable.no-errors", !real->StandardErrorHandle && !real->StdErr);
    holds("SystemTable.no-boot-services", !real->BootServices);
    holds("SystemTable.runtime-services", real->RuntimeServices == rt);
    holds("SystemTable.checksum-left", still_sealed(&real->Hdr));
    holds("RuntimeServices.checksum-left", still_sealed(&rt->Hdr));
}

static EFI_STATUS get_of_runtime(const CHAR16 *name) {
    UINTN size = sizeof value;
    return rt->GetVariable(name, &vendor_one, NULL, &size, value);
}

static EFI_STATUS set_at_runtime(const CHAR16 *name, UINT32 attributes, UINTN size, const void *data) {
    return rt->SetVariable(name, &vendor_one, attributes, size, data);
}

static void runtime_variables(void) {
    static const CHAR16 boot[] = u"SelfTestBoot", soft[] = u"SelfTestVolatile";
    const UINT32 all = NON_VOLATILE | BS_ACCESS | RT_ACCESS;
    UINT64 maximum, remaining, largest;
    EFI_STATUS status;
    gives("GetVariable.boot-at-runtime", get_of_runtime(boot), EFI_NOT_FOUND);
    gives("GetVariable.volatile-at-runtime", get_of_runtime(soft), EFI_SUCCESS);
    holds("GetVariable.value-at-runtime", variable_is(all, "hard", 4));
    holds("GetNextVariableName.boot-hidden", times_named(boot, sizeof boot, &vendor_one, &status) == 0);
    gives("GetNextVariableName.end-at-runtime", status, EFI_NOT_FOUND);
    holds("GetNextVariableName.runtime-once", times_named(variable, sizeof variable, &vendor_one, &status) == 1);
    gives_either("SetVariable.new-boot-at-runtime", set_at_runtime(u"SelfTestNew", BS_ACCESS, 1, "x"),
                 EFI_INVALID_PARAMETER, EFI_WRITE_PROTECTED);
    gives_either("SetVariable.new-volatile-at-runtime",
                 set_at_runtime(u"SelfTestNew", BS_ACCESS | RT_ACCESS, 1, "x"), EFI_INVALID_PARAMETER,
                 EFI_WRITE_PROTECTED);
    gives_either("SetVariable.volatile-at-runtime", set_at_runtime(soft, BS_ACCESS | RT_ACCESS, 4, "SOFT"),
                 EFI_INVALID_PARAMETER, EFI_WRITE_PROTECTED);
    gives("SetVariable.replace-at-runtime", set_variable(all, 3, "new"), EFI_SUCCESS);
    gives("SetVariable.append-at-runtime", set_variable(all | APPEND, 2, "er"), EFI_SUCCESS);
    holds("GetVariable.appended-at-runtime", variable_is(all, "newer", 5));
    gives_either("SetVariable.attributes-at-runtime", set_variable(all | AUTHENTICATED, 1, "x"),
                 EFI_INVALID_PARAMETER, EFI_SECURITY_VIOLATION);
    gives("SetVariable.delete-at-runtime", set_variable(all, 0, NULL), EFI_SUCCESS);
    gives("GetVariable.deleted-at-runtime", get_variable(), EFI_NOT_FOUND);
    gives("QueryVariableInfo.at-runtime", rt->QueryVariableInfo(all, &maximum, &remaining, &largest), EFI_SUCCESS);
}

static void runtime_services(void) {
    EFI_TIME now = {0};
    UINT32 high = 0, higher = 0;
    gives("GetTime.at-runtime", rt->GetTime(&now, NULL), EFI_SUCCESS);
    holds("GetTime.in-range-at-runtime", plausible(&now));
    gives("GetTime.no-result-at-runtime", rt->GetTime(NULL, NULL), EFI_INVALID_PARAMETER);
    gives("GetNextHighMonotonicCount.at-runtime", rt->GetNextHighMonotonicCount(&high), EFI_SUCCESS);
    rt->GetNextHighMonotonicCount(&higher);
    holds("GetNextHighMonotonicCount.more-at-runtime", higher == high + 1);
    refused("UpdateCapsule.none-at-runtime", rt->UpdateCapsule(NULL, 0, 0));
}

static void moving(const EFI_SYSTEM_TABLE *real) {
    UINTN runtime = 0;
    void *pointer = rt;
    /* The runtime descriptors, gathered at the map's start, each to stay where it is. */
    for (UINTN at = 0; at + map_step <= map_size; at += map_step) {
        EFI_MEMORY_DESCRIPTOR *one = (void *)(map + at);
        if (!(one->Attribute >> 63))
            continue;
        one->VirtualStart = one->PhysicalStart;
        memcpy(map + runtime, one, map_step);
        runtime += map_step;
    }
    gives("SetVirtualAddressMap.version-2", rt->SetVirtualAddressMap(runtime, map_step, 2, (void *)map),
          EFI_INVALID_PARAMETER);
    gives("SetVirtualAddressMap.descriptor-size", rt->SetVirtualAddressMap(runtime, 8, 1, (void *)map),
          EFI_INVALID_PARAMETER);
    gives("SetVirtualAddressMap.first", rt->SetVirtualAddressMap(runtime, map_step, 1, (void *)map), EFI_SUCCESS);
    holds("SetVirtualAddressMap.told-once", told_moved.calls == 1);
    gives("ConvertPointer.known", convert_known, EFI_SUCCESS);
    holds("ConvertPointer.same", convert_same);
    gives("ConvertPointer.NULL", convert_null, EFI_INVALID_PARAMETER);
    gives("ConvertPointer.optional-NULL", convert_optional, EFI_SUCCESS);
    gives("ConvertPointer.unknown", convert_unknown, EFI_NOT_FOUND);
    gives("SetVirtualAddressMap.second", rt->SetVirtualAddressMap(runtime, map_step, 1, (void *)map),
          EFI_UNSUPPORTED);
    gives_either("ConvertPointer.too-late", rt->ConvertPointer(0, &pointer), EFI_UNSUPPORTED, EFI_NOT_FOUND);
    holds("SystemTable.runtime-services-moved", real->RuntimeServices == rt);
    holds("SystemTable.checksum-moved", still_sealed(&real->Hdr));
    holds("RuntimeServices.checksum-moved", still_sealed(&rt->Hdr));
    gives("GetVariable.none-moved", get_variable(), EFI_NOT_FOUND);
    gives("SetVariable.moved", set_variable(NON_VOLATILE | BS_ACCESS | RT_ACCESS, 4, "last"), EFI_SUCCESS);
    holds("GetVariable.moved", variable_is(NON_VOLATILE | BS_ACCESS | RT_ACCESS, "last", 4));
    gives("SetVariable.delete-moved", set_variable(NON_VOLATILE | BS_ACCESS | RT_ACCESS, 0, NULL), EFI_SUCCESS);
}

static __attribute__((noreturn)) void check_leaving(void) {
    const EFI_SYSTEM_TABLE *real = st;
    UINT32 failed = checks_failed;
    prepare();
    checks_done = checks_failed = 0;
    st = &keeping_table;
    gives("ExitBootServices.stale-key", leave(0x1000), EFI_INVALID_PARAMETER);
    gives("GetMemoryMap.after-stale-key", read_map(), EFI_SUCCESS);
    EFI_STATUS status = leave(0);
    if (status == EFI_INVALID_PARAMETER)
        status = leave(0);
    gives("ExitBootServices.fresh-key", status, EFI_SUCCESS);
    left(real);
    runtime_variables();
    runtime_services();
    moving(real);
    say("%u checks after ExitBootServices, %u failed\n", (UINT64)checks_done, (UINT64)checks_failed);
    rt->SetVariable(after_name, &after_guid, NON_VOLATILE | BS_ACCESS | RT_ACCESS, kept_fill, kept);
    failed += checks_failed;
    last_words[last_fill - 1] = 0;
    rt->ResetSystem(EfiResetShutdown, failed ? EFI_COMPROMISED_DATA : EFI_SUCCESS, last_fill * sizeof *last_words,
                    last_words);
    for (;;)
        __asm__ volatile("");
}
