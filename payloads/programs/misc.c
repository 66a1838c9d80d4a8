/*
 * The smaller services: memory copies, checksums, counters, time, the watchdog, configuration tables (4, 7.5, 8.3).
 *
 * Outcome: returned EFI_SUCCESS, every line "ok".
 */
#include "support.h"

static const EFI_GUID own = {0x1e5a4c38, 0x7b02, 0x4d9f, {0x82, 0xe6, 0x90, 0x3f, 0x6b, 0xd7, 0x55, 0x0c}};
static UINT8 bytes[64];
static int table_one, table_two;

static BOOLEAN counts_up(UINTN from, UINTN to, UINT8 first) {
    for (UINTN i = from; i < to; i++)
        if (bytes[i] != (UINT8)(first + i - from))
            return FALSE;
    return TRUE;
}

static void count_up(void) {
    for (UINTN i = 0; i < sizeof bytes; i++)
        bytes[i] = (UINT8)i;
}

static void memory(void) {
    count_up();
    bs->CopyMem(bytes + 8, bytes, 40);
    check("CopyMem: up, overlapping", counts_up(0, 8, 0) && counts_up(8, 48, 0) && counts_up(48, 64, 48));
    count_up();
    bs->CopyMem(bytes, bytes + 8, 40);
    check("CopyMem: down, overlapping", counts_up(0, 40, 8) && counts_up(40, 64, 40));
    count_up();
    bs->CopyMem(bytes + 3, bytes + 3, 40);
    bs->CopyMem(bytes, bytes + 32, 0);
    check("CopyMem: onto itself, and nothing", counts_up(0, 64, 0));
    bs->SetMem(bytes + 1, 3, 0xee);
    check("SetMem", bytes[0] == 0 && bytes[1] == 0xee && bytes[2] == 0xee && bytes[3] == 0xee && bytes[4] == 4);
    bs->SetMem(bytes, 0, 0x77);
    check("SetMem: nothing", bytes[0] == 0);
}

static UINT64 header_copy[128];

/* The checksum in a table's header: over the whole table, with the checksum itself as zero (4.2). */
static BOOLEAN sealed(const EFI_TABLE_HEADER *header) {
    UINT32 crc = 0;
    EFI_TABLE_HEADER *copy = (void *)header_copy;
    if (header->HeaderSize < sizeof *header || header->HeaderSize > sizeof header_copy)
        return FALSE;
    memcpy(header_copy, header, header->HeaderSize);
    copy->CRC32 = 0;
    return bs->CalculateCrc32(header_copy, header->HeaderSize, &crc) == EFI_SUCCESS && crc == header->CRC32;
}

static void checksums(void) {
    UINT32 crc = 0;
    expect("crc", bs->CalculateCrc32("123456789", 9, &crc), EFI_SUCCESS);
    check("crc: the check value", crc == 0xcbf43926);
    expect("crc: no data", bs->CalculateCrc32(NULL, 9, &crc), EFI_INVALID_PARAMETER);
    expect("crc: no length", bs->CalculateCrc32("123456789", 0, &crc), EFI_INVALID_PARAMETER);
    expect("crc: no place for it", bs->CalculateCrc32("123456789", 9, NULL), EFI_INVALID_PARAMETER);
    check("system table: signature", st->Hdr.Signature == EFI_SYSTEM_TABLE_SIGNATURE);
    check("boot services: signature", bs->Hdr.Signature == EFI_BOOT_SERVICES_SIGNATURE);
    check("runtime services: signature", rt->Hdr.Signature == EFI_RUNTIME_SERVICES_SIGNATURE);
    check("system table: size", st->Hdr.HeaderSize >= sizeof *st);
    check("boot services: size", bs->Hdr.HeaderSize >= sizeof *bs);
    check("runtime services: size", rt->Hdr.HeaderSize >= sizeof *rt);
    check("tables: revision", st->Hdr.Revision >= 0x20000 && bs->Hdr.Revision == st->Hdr.Revision &&
                                  rt->Hdr.Revision == st->Hdr.Revision);
    check("system table: checksum", sealed(&st->Hdr));
    check("boot services: checksum", sealed(&bs->Hdr));
    check("runtime services: checksum", sealed(&rt->Hdr));
}

static void counters(void) {
    UINT64 first = 0, second = 0;
    UINT32 high = 0, higher = 0;
    expect("count", bs->GetNextMonotonicCount(&first), EFI_SUCCESS);
    expect("count: again", bs->GetNextMonotonicCount(&second), EFI_SUCCESS);
    check("count: one more", second == first + 1);
    expect("count: no place for it", bs->GetNextMonotonicCount(NULL), EFI_INVALID_PARAMETER);
    expect("high count", rt->GetNextHighMonotonicCount(&high), EFI_SUCCESS);
    expect("high count: again", rt->GetNextHighMonotonicCount(&higher), EFI_SUCCESS);
    check("high count: one more", higher == high + 1);
    expect("high count: no place for it", rt->GetNextHighMonotonicCount(NULL), EFI_INVALID_PARAMETER);
    bs->GetNextMonotonicCount(&second);
    check("high count: in the count", (UINT32)(second >> 32) == higher);
}

/* Seconds since the month began: enough to compare two moments of one run, its turn apart. */
static UINT32 seconds(const EFI_TIME *time) {
    return ((time->Day * 24u + time->Hour) * 60 + time->Minute) * 60 + time->Second;
}

static void time(void) {
    EFI_TIME now = {0}, later = {0};
    EFI_TIME_CAPABILITIES capabilities = {0};
    expect("time: no place for it", rt->GetTime(NULL, NULL), EFI_INVALID_PARAMETER);
    expect("time: no capabilities asked", rt->GetTime(&now, NULL), EFI_SUCCESS);
    expect("time", rt->GetTime(&now, &capabilities), EFI_SUCCESS);
    check("time: date", now.Year >= 1900 && now.Year <= 9999 && now.Month >= 1 && now.Month <= 12 && now.Day >= 1 &&
                            now.Day <= 31);
    check("time: of day", now.Hour <= 23 && now.Minute <= 59 && now.Second <= 59 && now.Nanosecond <= 999999999);
    check("time: zone", now.TimeZone == EFI_UNSPECIFIED_TIMEZONE || (now.TimeZone >= -1440 && now.TimeZone <= 1440));
    check("time: daylight", (now.Daylight & ~3) == 0);
    check("time: resolution", capabilities.Resolution >= 1);
    expect("stall", bs->Stall(2000000), EFI_SUCCESS);
    rt->GetTime(&later, NULL);
    UINT32 passed = seconds(&later) - seconds(&now);
    check("stall: time passes", now.Month != later.Month || (passed >= 1 && passed <= 60));
    expect("watchdog: set", bs->SetWatchdogTimer(300, 0x10000, 0, NULL), EFI_SUCCESS);
    expect("watchdog: off", bs->SetWatchdogTimer(0, 0, 0, NULL), EFI_SUCCESS);
    expect("virtual addresses: not yet", rt->SetVirtualAddressMap(0, sizeof(EFI_MEMORY_DESCRIPTOR), 1, NULL),
           EFI_UNSUPPORTED);
}

static void *configured(void) {
    for (UINTN i = 0; i < st->NumberOfTableEntries; i++)
        if (same(&st->ConfigurationTable[i].VendorGuid, &own, sizeof own))
            return st->ConfigurationTable[i].VendorTable;
    return NULL;
}

static void configuration(void) {
    UINTN count = st->NumberOfTableEntries;
    expect("table: delete, not there", bs->InstallConfigurationTable(&own, NULL), EFI_NOT_FOUND);
    expect("table: no name", bs->InstallConfigurationTable(NULL, &table_one), EFI_INVALID_PARAMETER);
    expect("table: add", bs->InstallConfigurationTable(&own, &table_one), EFI_SUCCESS);
    check("table: added", st->NumberOfTableEntries == count + 1 && configured() == &table_one);
    check("table: checksum", sealed(&st->Hdr));
    expect("table: update", bs->InstallConfigurationTable(&own, &table_two), EFI_SUCCESS);
    check("table: updated", st->NumberOfTableEntries == count + 1 && configured() == &table_two);
    expect("table: delete", bs->InstallConfigurationTable(&own, NULL), EFI_SUCCESS);
    check("table: deleted", st->NumberOfTableEntries == count && configured() == NULL);
    check("table: checksum after deleting", sealed(&st->Hdr));
}

EFI_STATUS EFIAPI efi_main(EFI_HANDLE image, EFI_SYSTEM_TABLE *table) {
    start(image, table);
    memory();
    checksums();
    counters();
    time();
    configuration();
    return verdict();
}
