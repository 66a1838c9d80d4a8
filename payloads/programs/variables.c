/*
 * Variables: sizes, attributes, appending, deleting, enumerating, and those that are not for writing (8.2, 3.3).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok". It leaves no variable behind.
 */
#include "support.h"

#define BS_ACCESS EFI_VARIABLE_BOOTSERVICE_ACCESS
#define RT_ACCESS EFI_VARIABLE_RUNTIME_ACCESS
#define NON_VOLATILE EFI_VARIABLE_NON_VOLATILE
#define APPEND EFI_VARIABLE_APPEND_WRITE
#define AUTHENTICATED EFI_VARIABLE_TIME_BASED_AUTHENTICATED_WRITE_ACCESS

static const EFI_GUID own = {0x9b1c7d20, 0x63ea, 0x4f95, {0x8c, 0x48, 0x2d, 0xf0, 0x19, 0x5b, 0x7e, 0x31}};
static const EFI_GUID other = {0x9b1c7d20, 0x63ea, 0x4f95, {0x8c, 0x48, 0x2d, 0xf0, 0x19, 0x5b, 0x7e, 0x32}};
static const EFI_GUID global = GLOBAL_VARIABLE_GUID;
static const CHAR16 name[] = u"EfiShimCheck";
static UINT8 room[64];

static EFI_STATUS set(UINT32 attributes, UINTN size, const void *data) {
    return rt->SetVariable(name, &own, attributes, size, data);
}

/* The variable's value and attributes, both as wanted. */
static BOOLEAN holds(UINT32 want_attributes, const char *want, UINTN length) {
    UINT32 attributes = 0;
    UINTN size = sizeof room;
    return rt->GetVariable(name, &own, &attributes, &size, room) == EFI_SUCCESS && attributes == want_attributes &&
           size == length && same(room, want, length);
}

static EFI_STATUS get(void) {
    UINTN size = sizeof room;
    return rt->GetVariable(name, &own, NULL, &size, room);
}

static void reading(void) {
    UINTN size = sizeof room;
    UINT32 attributes = 0;
    expect("get: not there", get(), EFI_NOT_FOUND);
    expect("get: no name", rt->GetVariable(NULL, &own, NULL, &size, room), EFI_INVALID_PARAMETER);
    expect("get: no vendor", rt->GetVariable(name, NULL, NULL, &size, room), EFI_INVALID_PARAMETER);
    expect("get: no size", rt->GetVariable(name, &own, NULL, NULL, room), EFI_INVALID_PARAMETER);
    expect("set", set(BS_ACCESS, 6, "abcdef"), EFI_SUCCESS);
    check("get: as set", holds(BS_ACCESS, "abcdef", 6));
    size = 0;
    expect("get: no room", rt->GetVariable(name, &own, &attributes, &size, NULL), EFI_BUFFER_TOO_SMALL);
    check("get: the room it takes", size == 6);
    check("get: attributes all the same", attributes == BS_ACCESS);
    size = 5;
    expect("get: one byte short", rt->GetVariable(name, &own, NULL, &size, room), EFI_BUFFER_TOO_SMALL);
    size = 6;
    expect("get: no buffer", rt->GetVariable(name, &own, NULL, &size, NULL), EFI_INVALID_PARAMETER);
    size = sizeof room;
    expect("get: another vendor's", rt->GetVariable(name, &other, NULL, &size, room), EFI_NOT_FOUND);
}

static void writing(void) {
    expect("set: no name", rt->SetVariable(NULL, &own, BS_ACCESS, 1, "x"), EFI_INVALID_PARAMETER);
    expect("set: empty name", rt->SetVariable(u"", &own, BS_ACCESS, 1, "x"), EFI_INVALID_PARAMETER);
    expect("set: no vendor", rt->SetVariable(name, NULL, BS_ACCESS, 1, "x"), EFI_INVALID_PARAMETER);
    expect("set: no data", set(BS_ACCESS, 1, NULL), EFI_INVALID_PARAMETER);
    expect("set: runtime access alone", rt->SetVariable(u"EfiShimRuntime", &own, RT_ACCESS, 1, "x"),
           EFI_INVALID_PARAMETER);
    expect("set: replace", set(BS_ACCESS, 3, "xyz"), EFI_SUCCESS);
    check("set: replaced", holds(BS_ACCESS, "xyz", 3));
    expect("set: other attributes", set(BS_ACCESS | RT_ACCESS, 3, "123"), EFI_INVALID_PARAMETER);
    expect("set: other storage", set(NON_VOLATILE | BS_ACCESS, 3, "123"), EFI_INVALID_PARAMETER);
    check("set: nothing changed", holds(BS_ACCESS, "xyz", 3));

    expect("append", set(BS_ACCESS | APPEND, 2, "!?"), EFI_SUCCESS);
    check("append: appended", holds(BS_ACCESS, "xyz!?", 5));
    expect("append: nothing", set(BS_ACCESS | APPEND, 0, NULL), EFI_SUCCESS);
    check("append: nothing changed", holds(BS_ACCESS, "xyz!?", 5));
    expect("delete: by size", set(BS_ACCESS, 0, NULL), EFI_SUCCESS);
    expect("delete: gone", get(), EFI_NOT_FOUND);
    expect("delete: not there", set(BS_ACCESS, 0, NULL), EFI_NOT_FOUND);
    expect("append: to none", set(BS_ACCESS | APPEND, 2, "ok"), EFI_SUCCESS);
    check("append: made it", holds(BS_ACCESS, "ok", 2));
    expect("delete: by attributes", set(0, 2, "no"), EFI_SUCCESS);
    expect("delete: gone by attributes", get(), EFI_NOT_FOUND);

    const UINT32 all = NON_VOLATILE | BS_ACCESS | RT_ACCESS;
    expect("lasting: set", set(all, 4, "last"), EFI_SUCCESS);
    check("lasting: as set", holds(all, "last", 4));
    expect("lasting: delete", set(all, 0, NULL), EFI_SUCCESS);
    expect("lasting: gone", get(), EFI_NOT_FOUND);
}

static CHAR16 next[512];

/* Walks all names; returns how often the given variable came. */
static UINT32 walk(const EFI_GUID *vendor, EFI_STATUS *status) {
    EFI_GUID guid = {0, 0, 0, {0}};
    UINT32 times = 0;
    next[0] = 0;
    for (UINT32 count = 0; count < 5000; count++) {
        UINTN size = sizeof next;
        *status = rt->GetNextVariableName(&size, next, &guid);
        if (EFI_ERROR(*status))
            break;
        if (size == sizeof name && same(next, name, sizeof name) && same(&guid, vendor, sizeof guid))
            times++;
    }
    return times;
}

static void names(void) {
    EFI_GUID guid = {0, 0, 0, {0}};
    EFI_STATUS status = EFI_SUCCESS;
    UINTN size = sizeof next;
    set(BS_ACCESS, 3, "one");
    rt->SetVariable(name, &other, BS_ACCESS, 3, "two");
    check("next: one vendor's, once", walk(&own, &status) == 1);
    expect("next: to the end", status, EFI_NOT_FOUND);
    check("next: the other vendor's, once", walk(&other, &status) == 1);
    check("next: values kept apart", holds(BS_ACCESS, "one", 3));
    rt->SetVariable(name, &other, BS_ACCESS, 0, NULL);
    check("next: deleted", walk(&other, &status) == 0);

    expect("next: no size", rt->GetNextVariableName(NULL, next, &guid), EFI_INVALID_PARAMETER);
    expect("next: no name", rt->GetNextVariableName(&size, NULL, &guid), EFI_INVALID_PARAMETER);
    next[0] = 0;
    expect("next: no vendor", rt->GetNextVariableName(&size, next, NULL), EFI_INVALID_PARAMETER);
    next[0] = 0;
    size = sizeof next[0];
    expect("next: no room", rt->GetNextVariableName(&size, next, &guid), EFI_BUFFER_TOO_SMALL);
    check("next: the room it takes", size > sizeof next[0] && size <= sizeof next);
    memcpy(next, u"EfiShimNoSuch", 28);
    guid = own;
    size = sizeof next;
    expect("next: after none", rt->GetNextVariableName(&size, next, &guid), EFI_INVALID_PARAMETER);
    size = 10;
    expect("next: name without end", rt->GetNextVariableName(&size, next, &guid), EFI_INVALID_PARAMETER);
    set(BS_ACCESS, 0, NULL);
}

static void space(void) {
    UINT64 maximum = 0, remaining = 0, largest = 0;
    expect("query", rt->QueryVariableInfo(BS_ACCESS, &maximum, &remaining, &largest), EFI_SUCCESS);
    check("query: what remains", remaining <= maximum && maximum > 0);
    check("query: the largest", largest > 0 && largest <= maximum);
    expect("query: no attributes", rt->QueryVariableInfo(0, &maximum, &remaining, &largest), EFI_INVALID_PARAMETER);
    expect("query: runtime access alone", rt->QueryVariableInfo(RT_ACCESS, &maximum, &remaining, &largest),
           EFI_INVALID_PARAMETER);
    expect("query: no place for it", rt->QueryVariableInfo(BS_ACCESS, NULL, &remaining, &largest),
           EFI_INVALID_PARAMETER);
    expect("query: lasting", rt->QueryVariableInfo(NON_VOLATILE | BS_ACCESS, &maximum, &remaining, &largest),
           EFI_SUCCESS);

    rt->QueryVariableInfo(BS_ACCESS, &maximum, &remaining, &largest);
    void *data = NULL;
    if (largest < 0x1000000 && bs->AllocatePool(EfiLoaderData, (UINTN)largest + 1, &data) == EFI_SUCCESS) {
        expect_either("set: larger than the largest", set(BS_ACCESS, (UINTN)largest + 1, data), EFI_INVALID_PARAMETER,
                      EFI_OUT_OF_RESOURCES);
        expect("set: so it is not there", get(), EFI_NOT_FOUND);
        bs->FreePool(data);
    }
}

static void guarded(void) {
    const UINT32 lasting = NON_VOLATILE | BS_ACCESS | RT_ACCESS;
    UINTN size = 1;
    UINT8 before = 0, after = 0;
    if (rt->GetVariable(u"SecureBoot", &global, NULL, &size, &before) != EFI_SUCCESS) {
        say("skipped: no variable SecureBoot\n");
        return;
    }
    UINT8 turned = !before;
    expect("SecureBoot: write", rt->SetVariable(u"SecureBoot", &global, BS_ACCESS | RT_ACCESS, 1, &turned),
           EFI_WRITE_PROTECTED);
    expect("SecureBoot: delete", rt->SetVariable(u"SecureBoot", &global, BS_ACCESS | RT_ACCESS, 0, NULL),
           EFI_WRITE_PROTECTED);
    size = 1;
    rt->GetVariable(u"SecureBoot", &global, NULL, &size, &after);
    check("SecureBoot: unchanged", before == after);
    expect("PK: not authenticated", rt->SetVariable(u"PK", &global, lasting, 6, "no key"), EFI_INVALID_PARAMETER);
    memset(room, 0x5a, sizeof room);
    expect("PK: no signature", rt->SetVariable(u"PK", &global, lasting | AUTHENTICATED, sizeof room, room),
           EFI_SECURITY_VIOLATION);
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    reading();
    writing();
    names();
    space();
    guarded();
    return verdict();
}
