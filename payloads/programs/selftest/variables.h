/* Variables: sizes, attributes, appending, deleting, enumerating, and those that are not for writing (8.2, 3.3). */

#define BS_ACCESS EFI_VARIABLE_BOOTSERVICE_ACCESS
#define RT_ACCESS EFI_VARIABLE_RUNTIME_ACCESS
#define NON_VOLATILE EFI_VARIABLE_NON_VOLATILE
#define APPEND EFI_VARIABLE_APPEND_WRITE
#define AUTHENTICATED EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS

static const EFI_GUID vendor_one = OWN_GUID(0x20);
static const EFI_GUID vendor_two = OWN_GUID(0x21);
static const EFI_GUID global_variable = GLOBAL_VARIABLE_GUID;
static const CHAR16 variable[] = u"SelfTest";
static UINT8 value[128];
static CHAR16 next_name[512];

static EFI_STATUS set_variable(UINT32 attributes, UINTN size, const void *data) {
    return rt->SetVariable(variable, &vendor_one, attributes, size, data);
}

static EFI_STATUS get_variable(void) {
    UINTN size = sizeof value;
    return rt->GetVariable(variable, &vendor_one, NULL, &size, value);
}

/* The variable's value and attributes, both as wanted. */
static BOOLEAN variable_is(UINT32 want_attributes, const char *want, UINTN length) {
    UINT32 attributes = 0;
    UINTN size = sizeof value;
    return rt->GetVariable(variable, &vendor_one, &attributes, &size, value) == EFI_SUCCESS &&
           attributes == want_attributes && size == length && same(value, want, length);
}

static void reading_variables(void) {
    UINTN size = sizeof value;
    UINT32 attributes = 0;
    gives("GetVariable.none", get_variable(), EFI_NOT_FOUND);
    gives("GetVariable.no-name", rt->GetVariable(NULL, &vendor_one, NULL, &size, value), EFI_INVALID_PARAMETER);
    gives("GetVariable.no-vendor", rt->GetVariable(variable, NULL, NULL, &size, value), EFI_INVALID_PARAMETER);
    gives("GetVariable.no-size", rt->GetVariable(variable, &vendor_one, NULL, NULL, value), EFI_INVALID_PARAMETER);
    gives("GetVariable.empty-name", rt->GetVariable(u"", &vendor_one, NULL, &size, value), EFI_NOT_FOUND);
    gives("SetVariable.new", set_variable(BS_ACCESS, 6, "abcdef"), EFI_SUCCESS);
    holds("GetVariable.as-set", variable_is(BS_ACCESS, "abcdef", 6));
    size = 0;
    gives("GetVariable.no-room", rt->GetVariable(variable, &vendor_one, &attributes, &size, NULL),
          EFI_BUFFER_TOO_SMALL);
    holds("GetVariable.room-it-takes", size == 6);
    holds("GetVariable.attributes-all-the-same", attributes == BS_ACCESS);
    size = 5;
    memset(value, 0x5a, sizeof value);
    gives("GetVariable.one-byte-short", rt->GetVariable(variable, &vendor_one, NULL, &size, value),
          EFI_BUFFER_TOO_SMALL);
    size = 6;
    gives("GetVariable.room-enough", rt->GetVariable(variable, &vendor_one, NULL, &size, value), EFI_SUCCESS);
    holds("GetVariable.no-overrun", value[5] == 'f' && value[6] == 0x5a);
    size = 6;
    gives("GetVariable.no-buffer", rt->GetVariable(variable, &vendor_one, NULL, &size, NULL), EFI_INVALID_PARAMETER);
    size = sizeof value;
    gives("GetVariable.other-vendor", rt->GetVariable(variable, &vendor_two, NULL, &size, value), EFI_NOT_FOUND);
    gives("GetVariable.other-case", rt->GetVariable(u"SELFTEST", &vendor_one, NULL, &size, value), EFI_NOT_FOUND);
}

static void writing_variables(void) {
    gives("SetVariable.no-name", rt->SetVariable(NULL, &vendor_one, BS_ACCESS, 1, "x"), EFI_INVALID_PARAMETER);
    gives("SetVariable.empty-name", rt->SetVariable(u"", &vendor_one, BS_ACCESS, 1, "x"), EFI_INVALID_PARAMETER);
    gives("SetVariable.no-vendor", rt->SetVariable(variable, NULL, BS_ACCESS, 1, "x"), EFI_INVALID_PARAMETER);
    gives("SetVariable.no-data", set_variable(BS_ACCESS, 1, NULL), EFI_INVALID_PARAMETER);
    gives("SetVariable.runtime-alone", rt->SetVariable(u"SelfTestNew", &vendor_one, RT_ACCESS, 1, "x"),
          EFI_INVALID_PARAMETER);
    /* No access: this deletes a variable, and there is none. */
    gives_either("SetVariable.non-volatile-alone", rt->SetVariable(u"SelfTestNew", &vendor_one, NON_VOLATILE, 1, "x"),
                 EFI_INVALID_PARAMETER, EFI_NOT_FOUND);
    gives("SetVariable.unknown-attribute", rt->SetVariable(u"SelfTestNew", &vendor_one, BS_ACCESS | 0x100, 1, "x"),
          EFI_INVALID_PARAMETER);
    gives("SetVariable.count-authenticated", rt->SetVariable(u"SelfTestNew", &vendor_one, BS_ACCESS | 0x10, 1, "x"),
          EFI_UNSUPPORTED);
    gives("SetVariable.replace", set_variable(BS_ACCESS, 3, "xyz"), EFI_SUCCESS);
    holds("SetVariable.replaced", variable_is(BS_ACCESS, "xyz", 3));
    gives("SetVariable.more-attributes", set_variable(BS_ACCESS | RT_ACCESS, 3, "123"), EFI_INVALID_PARAMETER);
    gives("SetVariable.other-storage", set_variable(NON_VOLATILE | BS_ACCESS, 3, "123"), EFI_INVALID_PARAMETER);
    holds("SetVariable.nothing-changed", variable_is(BS_ACCESS, "xyz", 3));
    gives("SetVariable.append", set_variable(BS_ACCESS | APPEND, 2, "!?"), EFI_SUCCESS);
    holds("SetVariable.appended", variable_is(BS_ACCESS, "xyz!?", 5));
    gives("SetVariable.append-nothing", set_variable(BS_ACCESS | APPEND, 0, NULL), EFI_SUCCESS);
    holds("SetVariable.nothing-appended", variable_is(BS_ACCESS, "xyz!?", 5));
    gives("SetVariable.append-more-attributes", set_variable(BS_ACCESS | RT_ACCESS | APPEND, 1, "+"),
          EFI_INVALID_PARAMETER);
    gives("SetVariable.delete-more-attributes", set_variable(BS_ACCESS | RT_ACCESS, 0, NULL), EFI_INVALID_PARAMETER);
    gives_either("SetVariable.authenticated", set_variable(BS_ACCESS | AUTHENTICATED, 1, "x"),
                 EFI_INVALID_PARAMETER, EFI_SECURITY_VIOLATION);
    gives("SetVariable.delete-other-vendor", rt->SetVariable(variable, &vendor_two, BS_ACCESS, 0, NULL),
          EFI_NOT_FOUND);
    gives("SetVariable.delete-longer-name", rt->SetVariable(u"SelfTest2", &vendor_one, BS_ACCESS, 0, NULL),
          EFI_NOT_FOUND);
    holds("SetVariable.still-there", variable_is(BS_ACCESS, "xyz!?", 5));
    gives("SetVariable.same-again", set_variable(BS_ACCESS, 5, "xyz!?"), EFI_SUCCESS);
    gives("SetVariable.delete-by-size", set_variable(BS_ACCESS, 0, NULL), EFI_SUCCESS);
    gives("GetVariable.deleted-by-size", get_variable(), EFI_NOT_FOUND);
    gives("SetVariable.delete-none", set_variable(BS_ACCESS, 0, NULL), EFI_NOT_FOUND);
    gives("SetVariable.append-to-none", set_variable(BS_ACCESS | APPEND, 2, "ok"), EFI_SUCCESS);
    holds("SetVariable.append-made-it", variable_is(BS_ACCESS, "ok", 2));
    gives("SetVariable.delete-by-attributes", set_variable(0, 2, "no"), EFI_SUCCESS);
    gives("GetVariable.deleted-by-attributes", get_variable(), EFI_NOT_FOUND);
    gives("SetVariable.append-nothing-to-none", set_variable(BS_ACCESS | APPEND, 0, NULL), EFI_SUCCESS);
    gives("GetVariable.nothing-appended-to-none", get_variable(), EFI_NOT_FOUND);
    const UINT32 all = NON_VOLATILE | BS_ACCESS | RT_ACCESS;
    gives("SetVariable.non-volatile", set_variable(all, 4, "last"), EFI_SUCCESS);
    holds("GetVariable.non-volatile", variable_is(all, "last", 4));
    gives("SetVariable.non-volatile-append", set_variable(all | APPEND, 3, "ing"), EFI_SUCCESS);
    holds("GetVariable.non-volatile-appended", variable_is(all, "lasting", 7));
    gives("SetVariable.non-volatile-delete", set_variable(all, 0, NULL), EFI_SUCCESS);
    gives("GetVariable.non-volatile-deleted", get_variable(), EFI_NOT_FOUND);
}

/* Walks all names; returns how often the given variable came. */
static UINT32 times_named(const CHAR16 *name, UINTN length, const EFI_GUID *vendor, EFI_STATUS *status) {
    EFI_GUID guid = {0, 0, 0, {0}};
    UINT32 times = 0;
    next_name[0] = 0;
    for (UINT32 count = 0; count < 5000; count++) {
        UINTN size = sizeof next_name;
        *status = rt->GetNextVariableName(&size, next_name, &guid);
        if (EFI_ERROR(*status))
            break;
        if (size == length && same(next_name, name, length) && same(&guid, vendor, sizeof guid))
            times++;
    }
    return times;
}

static void naming_variables(void) {
    EFI_GUID guid = {0, 0, 0, {0}};
    EFI_STATUS status = EFI_SUCCESS;
    UINTN size = sizeof next_name;
    set_variable(BS_ACCESS, 3, "one");
    rt->SetVariable(variable, &vendor_two, BS_ACCESS, 3, "two");
    holds("GetNextVariableName.once", times_named(variable, sizeof variable, &vendor_one, &status) == 1);
    gives("GetNextVariableName.end", status, EFI_NOT_FOUND);
    holds("GetNextVariableName.other-vendor", times_named(variable, sizeof variable, &vendor_two, &status) == 1);
    holds("GetVariable.vendors-apart", variable_is(BS_ACCESS, "one", 3));
    rt->SetVariable(variable, &vendor_two, BS_ACCESS, 0, NULL);
    holds("GetNextVariableName.deleted", times_named(variable, sizeof variable, &vendor_two, &status) == 0);
    gives("GetNextVariableName.no-size", rt->GetNextVariableName(NULL, next_name, &guid), EFI_INVALID_PARAMETER);
    gives("GetNextVariableName.no-name", rt->GetNextVariableName(&size, NULL, &guid), EFI_INVALID_PARAMETER);
    next_name[0] = 0;
    gives("GetNextVariableName.no-vendor", rt->GetNextVariableName(&size, next_name, NULL), EFI_INVALID_PARAMETER);
    next_name[0] = 0;
    size = sizeof next_name[0];
    gives("GetNextVariableName.no-room", rt->GetNextVariableName(&size, next_name, &guid), EFI_BUFFER_TOO_SMALL);
    holds("GetNextVariableName.room-it-takes", size > sizeof next_name[0] && size <= sizeof next_name);
    holds("GetNextVariableName.nothing-given", next_name[0] == 0);
    gives("GetNextVariableName.room-enough", rt->GetNextVariableName(&size, next_name, &guid), EFI_SUCCESS);
    holds("GetNextVariableName.size", next_name[size / 2 - 1] == 0 && next_name[size / 2 - 2]);
    memcpy(next_name, u"SelfTestNone", 26);
    guid = vendor_one;
    size = sizeof next_name;
    gives("GetNextVariableName.after-none", rt->GetNextVariableName(&size, next_name, &guid), EFI_INVALID_PARAMETER);
    size = 10;
    gives("GetNextVariableName.name-without-end", rt->GetNextVariableName(&size, next_name, &guid),
          EFI_INVALID_PARAMETER);
    set_variable(BS_ACCESS, 0, NULL);
}

static void variable_space(void) {
    UINT64 maximum = 0, left = 0, largest = 0;
    void *data = NULL;
    gives("QueryVariableInfo.boot", rt->QueryVariableInfo(BS_ACCESS, &maximum, &left, &largest), EFI_SUCCESS);
    holds("QueryVariableInfo.left", left <= maximum && maximum > 0);
    holds("QueryVariableInfo.largest", largest > 0 && largest <= maximum);
    gives("QueryVariableInfo.no-attributes", rt->QueryVariableInfo(0, &maximum, &left, &largest),
          EFI_INVALID_PARAMETER);
    gives("QueryVariableInfo.runtime-alone", rt->QueryVariableInfo(RT_ACCESS, &maximum, &left, &largest),
          EFI_INVALID_PARAMETER);
    gives_either("QueryVariableInfo.nv-alone",
                 rt->QueryVariableInfo(NON_VOLATILE, &maximum, &left, &largest), EFI_INVALID_PARAMETER,
                 EFI_UNSUPPORTED);
    gives_either("QueryVariableInfo.unknown",
                 rt->QueryVariableInfo(BS_ACCESS | 0x100, &maximum, &left, &largest), EFI_INVALID_PARAMETER,
                 EFI_UNSUPPORTED);
    gives("QueryVariableInfo.no-maximum", rt->QueryVariableInfo(BS_ACCESS, NULL, &left, &largest),
          EFI_INVALID_PARAMETER);
    gives("QueryVariableInfo.no-left", rt->QueryVariableInfo(BS_ACCESS, &maximum, NULL, &largest),
          EFI_INVALID_PARAMETER);
    gives("QueryVariableInfo.no-largest", rt->QueryVariableInfo(BS_ACCESS, &maximum, &left, NULL),
          EFI_INVALID_PARAMETER);
    gives("QueryVariableInfo.non-volatile",
          rt->QueryVariableInfo(NON_VOLATILE | BS_ACCESS, &maximum, &left, &largest), EFI_SUCCESS);
    UINT64 after = 0;
    set_variable(NON_VOLATILE | BS_ACCESS, 100, value);
    rt->QueryVariableInfo(NON_VOLATILE | BS_ACCESS, &maximum, &after, &largest);
    holds("QueryVariableInfo.less-left", after + 100 <= left);
    set_variable(NON_VOLATILE | BS_ACCESS, 0, NULL);
    if (largest < 0x1000000 && bs->AllocatePool(EfiLoaderData, (UINTN)largest + 1, &data) == EFI_SUCCESS) {
        gives_either("SetVariable.too-large", set_variable(NON_VOLATILE | BS_ACCESS, (UINTN)largest + 1, data),
                     EFI_INVALID_PARAMETER, EFI_OUT_OF_RESOURCES);
        bs->FreePool(data);
    }
    gives("GetVariable.too-large", get_variable(), EFI_NOT_FOUND);
    gives_either("SetVariable.absurdly-large", set_variable(BS_ACCESS, 0x40000000, value), EFI_INVALID_PARAMETER,
                 EFI_OUT_OF_RESOURCES);
}

/* EFI_VARIABLE_AUTHENTICATION_2 with a signature that is none: a time, a WIN_CERTIFICATE_UEFI_GUID, no bytes. */
static UINTN unsigned_value(void) {
    static const EFI_GUID pkcs7 = {0x4aafd29d, 0x68df, 0x49ee, {0x8a, 0xa9, 0x34, 0x7d, 0x37, 0x56, 0x65, 0xa7}};
    memset(value, 0, sizeof value);
    value[0] = 0xe6; /* 2022-01-01 */
    value[1] = 0x07;
    value[2] = value[3] = 1;
    value[16] = 24;
    value[21] = 2;
    value[22] = 0xf1;
    value[23] = 0x0e;
    memcpy(value + 24, &pkcs7, sizeof pkcs7);
    value[40] = 'x';
    return 41;
}

static void guarded_variables(void) {
    const UINT32 all = NON_VOLATILE | BS_ACCESS | RT_ACCESS;
    UINTN size = 1;
    UINT8 before = 0, after = 0;
    gives("GetVariable.SecureBoot", rt->GetVariable(u"SecureBoot", &global_variable, NULL, &size, &before),
          EFI_SUCCESS);
    after = !before;
    gives("SetVariable.SecureBoot", rt->SetVariable(u"SecureBoot", &global_variable, BS_ACCESS | RT_ACCESS, 1, &after),
          EFI_WRITE_PROTECTED);
    gives("SetVariable.SecureBoot-delete",
          rt->SetVariable(u"SecureBoot", &global_variable, BS_ACCESS | RT_ACCESS, 0, NULL), EFI_WRITE_PROTECTED);
    rt->GetVariable(u"SecureBoot", &global_variable, NULL, &size, &after);
    holds("SetVariable.SecureBoot-unchanged", before == after);
    gives("SetVariable.PK-not-authenticated", rt->SetVariable(u"PK", &global_variable, all, 6, "no key"),
          EFI_INVALID_PARAMETER);
    size = unsigned_value();
    refused("SetVariable.PK-no-list", rt->SetVariable(u"PK", &global_variable, all | AUTHENTICATED, size, value));
    size = unsigned_value();
    gives("SetVariable.unsigned", set_variable(all | AUTHENTICATED, size, value), EFI_SECURITY_VIOLATION);
    value[16] = 23;
    gives("SetVariable.certificate-too-short", set_variable(all | AUTHENTICATED, size, value),
          EFI_SECURITY_VIOLATION);
    gives("SetVariable.no-certificate", set_variable(all | AUTHENTICATED, 8, value), EFI_SECURITY_VIOLATION);
    gives("GetVariable.unsigned", get_variable(), EFI_NOT_FOUND);
}

static void check_variables(void) {
    reading_variables();
    writing_variables();
    naming_variables();
    variable_space();
    guarded_variables();
}
