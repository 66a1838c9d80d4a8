/* The tables: their heads, their checksums, and the list of configuration tables (4.2 to 4.6, 7.5.6, 7.5.7). */

static const EFI_GUID table_guid = OWN_GUID(0x10);
static int table_one, table_two;
static UINT64 header_copy[128];

/* The checksum in a table's header: over the whole table, with the checksum itself as zero. */
static BOOLEAN sealed(const EFI_TABLE_HEADER *header) {
    UINT32 crc = 0;
    EFI_TABLE_HEADER *copy = (void *)header_copy;
    if (header->HeaderSize < sizeof *header || header->HeaderSize > sizeof header_copy)
        return FALSE;
    memcpy(header_copy, header, header->HeaderSize);
    copy->CRC32 = 0;
    return bs->CalculateCrc32(header_copy, header->HeaderSize, &crc) == EFI_SUCCESS && crc == header->CRC32;
}

static void *configured(void) {
    for (UINTN i = 0; i < st->NumberOfTableEntries; i++)
        if (same(&st->ConfigurationTable[i].VendorGuid, &table_guid, sizeof table_guid))
            return st->ConfigurationTable[i].VendorTable;
    return NULL;
}

static UINT32 table_told;

static void EFIAPI tell_table(EFI_EVENT event, void *context) {
    (void)event;
    (void)context;
    table_told++;
}

static void checksums(void) {
    UINT32 crc = 0;
    gives("CalculateCrc32.nine-digits", bs->CalculateCrc32("123456789", 9, &crc), EFI_SUCCESS);
    holds("CalculateCrc32.check-value", crc == 0xcbf43926);
    gives("CalculateCrc32.no-data", bs->CalculateCrc32(NULL, 9, &crc), EFI_INVALID_PARAMETER);
    gives("CalculateCrc32.no-length", bs->CalculateCrc32("123456789", 0, &crc), EFI_INVALID_PARAMETER);
    gives("CalculateCrc32.no-result", bs->CalculateCrc32("123456789", 9, NULL), EFI_INVALID_PARAMETER);
}

static void heads(void) {
    holds("SystemTable.signature", st->Hdr.Signature == EFI_SYSTEM_TABLE_SIGNATURE);
    holds("SystemTable.size", st->Hdr.HeaderSize == sizeof *st);
    holds("SystemTable.checksum", sealed(&st->Hdr));
    holds("SystemTable.reserved", st->Hdr.Reserved == 0);
    holds("SystemTable.revision", st->Hdr.Revision >= 0x20000);
    holds("SystemTable.vendor", st->FirmwareVendor != NULL);
    holds("SystemTable.consoles", st->ConIn && st->ConOut && st->StdErr);
    holds("SystemTable.console-handles", st->ConsoleInHandle && st->ConsoleOutHandle && st->StandardErrorHandle);
    holds("BootServices.signature", bs->Hdr.Signature == EFI_BOOT_SERVICES_SIGNATURE);
    holds("BootServices.size", bs->Hdr.HeaderSize == sizeof *bs);
    holds("BootServices.checksum", sealed(&bs->Hdr));
    holds("BootServices.reserved", bs->Hdr.Reserved == 0);
    holds("BootServices.revision", bs->Hdr.Revision == st->Hdr.Revision);
    holds("RuntimeServices.signature", rt->Hdr.Signature == EFI_RUNTIME_SERVICES_SIGNATURE);
    holds("RuntimeServices.size", rt->Hdr.HeaderSize == sizeof *rt);
    holds("RuntimeServices.checksum", sealed(&rt->Hdr));
    holds("RuntimeServices.reserved", rt->Hdr.Reserved == 0);
    holds("RuntimeServices.revision", rt->Hdr.Revision == st->Hdr.Revision);
}

static void configuration(void) {
    UINTN count = st->NumberOfTableEntries;
    EFI_EVENT event = NULL;
    bs->CreateEventEx(EVT_NOTIFY_SIGNAL, TPL_CALLBACK, tell_table, NULL, &table_guid, &event);
    gives("InstallConfigurationTable.delete-none", bs->InstallConfigurationTable(&table_guid, NULL), EFI_NOT_FOUND);
    gives("InstallConfigurationTable.no-guid", bs->InstallConfigurationTable(NULL, &table_one), EFI_INVALID_PARAMETER);
    gives("InstallConfigurationTable.add", bs->InstallConfigurationTable(&table_guid, &table_one), EFI_SUCCESS);
    holds("InstallConfigurationTable.one-more", st->NumberOfTableEntries == count + 1);
    holds("InstallConfigurationTable.added", configured() == &table_one);
    holds("InstallConfigurationTable.add-tells", table_told == 1);
    holds("InstallConfigurationTable.checksum", sealed(&st->Hdr));
    gives("InstallConfigurationTable.update", bs->InstallConfigurationTable(&table_guid, &table_two), EFI_SUCCESS);
    holds("InstallConfigurationTable.no-duplicate", st->NumberOfTableEntries == count + 1);
    holds("InstallConfigurationTable.updated", configured() == &table_two);
    holds("InstallConfigurationTable.update-tells", table_told == 2);
    gives("InstallConfigurationTable.delete", bs->InstallConfigurationTable(&table_guid, NULL), EFI_SUCCESS);
    holds("InstallConfigurationTable.one-less", st->NumberOfTableEntries == count);
    holds("InstallConfigurationTable.deleted", configured() == NULL);
    holds("InstallConfigurationTable.delete-tells", table_told == 3);
    holds("InstallConfigurationTable.checksum-again", sealed(&st->Hdr));
    bs->CloseEvent(event);
}

static void check_tables(void) {
    checksums();
    heads();
    configuration();
}
