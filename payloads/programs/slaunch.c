/*
 * Plays a stub of a kernel for secure launches (TrenchBoot): makes boot_params, describes a "kernel" that halts, leaves
 * boot services, and asks for the launch. It does so by EFI_SLAUNCH_PROTOCOL, or by the function that the SLR table
 * names, whichever there is. With neither it jumps to its kernel, as such a stub does.
 *
 * The first letter of its load options asks for a mistake: `e` launches before ExitBootServices, `n` describes
 * nothing, `b` describes what is no kernel, `h` destroys the kernel's header afterwards, `u` adds UEFI_CONFIG to the
 * table, as some stubs do, `c` hands a wrong context over.
 *
 * Outcome: kernel-entry.
 */
#include "support.h"

#define SLAUNCH_GUID {0x534189e0, 0x6fde, 0x413d, {0xbe, 0x91, 0xcd, 0x4e, 0x8d, 0x67, 0x2f, 0xea}}
#define SLR_TABLE_GUID {0x877a9b2a, 0x0385, 0x45d1, {0xa0, 0x34, 0x9d, 0xac, 0x9c, 0x9e, 0x56, 0x5f}}

enum { DL_INFO = 1, POLICY = 3, INTEL_INFO = 4, END = 0xffff, BOOT_PARAMS = 2 };
enum { HEADER_AT = 0x100, ENTRY_AT = 0x200, KERNEL_PAGES = 3, INITRD_BYTES = 5000, CMDLINE_BYTES = 64 };

typedef struct SLAUNCH {
    EFI_STATUS(EFIAPI *SetupDlme)(struct SLAUNCH *This, UINT64 Base, UINT64 HeaderOffset, UINT64 Table);
    EFI_STATUS(EFIAPI *Launch)(struct SLAUNCH *This);
} SLAUNCH;

/* The only copy of this identifier in the image, since a loader may look for it there. */
static volatile struct {
    UINT32 uuid[4], length, version, entry, first_page, begin, end, capabilities, cmdline_begin, cmdline_end;
} header = {{0x9082ac5a, 0x74a7476f, 0xa2555c0f, 0x42b651cb}, 52, 0x20003, ENTRY_AT, 0, 0, 0, 0x227, 0, 0};

static const UINT8 kernel_code[] = HALTING_KERNEL;
static const EFI_GUID slaunch_guid = SLAUNCH_GUID, table_guid = SLR_TABLE_GUID, image_guid = LOADED_IMAGE_GUID;
static const char command_line[] = "console=ttyS0 slaunch";
static UINT8 map[0x10000] __attribute__((aligned(8)));
static struct {
    UINT64 next;
    UINT32 type, length;
    UINT8 data[20];
} setup_data = {0, 9, 20, {1, 2, 3, 4, 5}};

/* Where the "kernel" of this image begins, when it is launched itself. */
__attribute__((naked, noinline)) static void image_kernel(void) { __asm__("1: hlt\n\tjmp 1b"); }

static void put(UINT8 *at, UINT64 value, UINTN size) {
    for (; size; size--, value >>= 8)
        *at++ = (UINT8)value;
}

static UINT64 get(const UINT8 *at, UINTN size) {
    UINT64 value = 0;
    while (size--)
        value = value << 8 | at[size];
    return value;
}

static UINT8 *find_entry(UINT8 *table, UINT32 tag) {
    for (UINT8 *at = table + 16; get(at, 4) != END; at += get(at + 4, 4))
        if (get(at, 4) == tag)
            return at;
    return NULL;
}

/* What a stub whose boot_params are its own tells of them (efi_secure_launch_update_boot_params of Linux's patches). */
static void tell_boot_params(UINT8 *table, UINT64 parameters) {
    UINT8 *policy = find_entry(table, POLICY), *info = find_entry(table, INTEL_INFO);
    /* INTEL_INFO of 560 bytes begins with their address, that of 552 does without. */
    if (info && get(info + 4, 4) == 560)
        put(info + 8, parameters, 8);
    for (UINTN i = 0; i < get(policy + 14, 2); i++)
        if (get(policy + 16 + 56 * i + 2, 2) == BOOT_PARAMS)
            put(policy + 16 + 56 * i + 16, parameters, 8);
}

static void add_config(UINT8 *table, UINT64 address, UINT32 size) {
    UINT8 *end = table + get(table + 8, 4) - 8;
    memset(end, 0, 64);
    put(end, 8, 4);
    put(end + 4, 64, 4);
    put(end + 12, 1, 2);
    put(end + 14, 1, 2);
    put(end + 16, 18, 2);
    put(end + 20, size, 4);
    put(end + 24, address, 8);
    memcpy(end + 32, "Measured UEFI memory map", 25);
    put(end + 64, END, 4);
    put(end + 68, 8, 4);
    put(table + 8, get(table + 8, 4) + 64, 4);
}

static UINT64 pages(EFI_MEMORY_TYPE type, UINTN count) {
    EFI_PHYSICAL_ADDRESS at = 0xffffffff;
    if (EFI_ERROR(bs->AllocatePages(AllocateMaxAddress, type, count, &at)))
        return 0;
    memset((void *)(UINTN)at, 0, count * EFI_PAGE_SIZE);
    return at;
}

static UINT64 make_boot_params(void) {
    UINT64 at = pages(EfiLoaderData, 1), text = pages(EfiLoaderData, 1), initrd = pages(EfiLoaderData, 2);
    UINT8 *page = (UINT8 *)(UINTN)at;
    memcpy((void *)(UINTN)text, command_line, sizeof command_line);
    for (UINTN i = 0; i < INITRD_BYTES; i++)
        ((UINT8 *)(UINTN)initrd)[i] = (UINT8)(i * 7);
    memcpy(page + 0x1c0, "EL64", 4);
    memcpy(page + 0x202, "HdrS", 4);
    put(page + 0x1c4, (UINTN)st, 4);
    put(page + 0x1d8, (UINT64)(UINTN)st >> 32, 4);
    put(page + 0x210, 0x21, 1);
    put(page + 0x211, 1, 1);
    put(page + 0x218, initrd, 4);
    put(page + 0x21c, INITRD_BYTES, 4);
    put(page + 0x228, text, 4);
    put(page + 0x238, CMDLINE_BYTES, 4);
    put(page + 0x250, (UINTN)&setup_data, 8);
    return at;
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    EFI_LOADED_IMAGE_PROTOCOL *loaded;
    SLAUNCH *slaunch = NULL;
    UINT8 *slrt = NULL;
    start(image, table);
    EFI_STATUS status = bs->HandleProtocol(image, &image_guid, (void **)&loaded);
    if (EFI_ERROR(status))
        return status;
    CHAR16 mistake = loaded->LoadOptionsSize >= sizeof(CHAR16) ? *(CHAR16 *)loaded->LoadOptions : 0;
    status = bs->LocateProtocol(&slaunch_guid, NULL, (void **)&slaunch);
    if (status != EFI_SUCCESS && status != EFI_NOT_FOUND)
        return status;
    for (UINTN i = 0; i < st->NumberOfTableEntries; i++)
        if (same(&st->ConfigurationTable[i].VendorGuid, &table_guid, sizeof table_guid))
            slrt = st->ConfigurationTable[i].VendorTable;

    UINT64 parameters = make_boot_params(), kernel = pages(EfiLoaderCode, KERNEL_PAGES);
    UINT8 *code = (UINT8 *)(UINTN)kernel;
    memset(code, 0xcc, KERNEL_PAGES * EFI_PAGE_SIZE);
    memcpy(code + ENTRY_AT, kernel_code, sizeof kernel_code);
    header.end = KERNEL_PAGES * EFI_PAGE_SIZE;
    memcpy(code + HEADER_AT, (const void *)&header, sizeof header);
    if (slaunch && mistake != 'n') {
        say("Describing the kernel to EFI_SLAUNCH_PROTOCOL.\n");
        status = slaunch->SetupDlme(slaunch, kernel + (mistake == 'b' ? 8 : 0), HEADER_AT, parameters);
        if (EFI_ERROR(status))
            return status;
    }
    if (slrt) {
        say("Found an SLR table.\n");
        header.entry = (UINT32)((UINTN)image_kernel - (UINTN)loaded->ImageBase);
        header.end = (UINT32)loaded->ImageSize;
    }
    if (slaunch && mistake == 'e') {
        status = slaunch->Launch(slaunch);
        say("A launch with boot services gave %r.\n", status);
        return status;
    }
    UINTN size = sizeof map, key, step;
    UINT32 version;
    status = bs->GetMemoryMap(&size, map, &key, &step, &version);
    if (!EFI_ERROR(status))
        status = bs->ExitBootServices(image, key);
    if (EFI_ERROR(status))
        return status;
    put((UINT8 *)(UINTN)parameters + 0x1c8, step, 4);
    put((UINT8 *)(UINTN)parameters + 0x1cc, version, 4);
    put((UINT8 *)(UINTN)parameters + 0x1d0, (UINTN)map, 4);
    put((UINT8 *)(UINTN)parameters + 0x1d4, size, 4);
    put((UINT8 *)(UINTN)parameters + 0x1dc, (UINT64)(UINTN)map >> 32, 4);
    if (mistake == 'h') {
        code[HEADER_AT] = 0;
        header.uuid[0] = 0;
    }
    if (slaunch) {
        status = slaunch->Launch(slaunch);
        rt->ResetSystem(EfiResetCold, status, 0, NULL);
    }
    if (slrt) {
        UINT8 *info = find_entry(slrt, DL_INFO);
        UINT64 context = (UINTN)info + 48 + (mistake == 'c' ? 1 : 0);
        if (mistake != 'n')
            tell_boot_params(slrt, parameters);
        if (mistake == 'u')
            add_config(slrt, (UINTN)map, (UINT32)size);
        ((void(__attribute__((sysv_abi)) *)(UINT64))(UINTN)get(info + 64, 8))(context);
        rt->ResetSystem(EfiResetCold, EFI_NOT_READY, 0, NULL);
    }
    LEAVE_FOR((UINTN)kernel + ENTRY_AT, (UINTN)parameters);
    __builtin_unreachable();
}
