/* Device paths: the three protocols that measure, join, split and spell them (10.5, 10.6). */

typedef EFI_DEVICE_PATH_PROTOCOL *DEVICE_PATH;

typedef struct {
    UINTN(EFIAPI *GetDevicePathSize)(const EFI_DEVICE_PATH_PROTOCOL *);
    DEVICE_PATH(EFIAPI *DuplicateDevicePath)(const EFI_DEVICE_PATH_PROTOCOL *);
    DEVICE_PATH(EFIAPI *AppendDevicePath)(const EFI_DEVICE_PATH_PROTOCOL *, const EFI_DEVICE_PATH_PROTOCOL *);
    DEVICE_PATH(EFIAPI *AppendDeviceNode)(const EFI_DEVICE_PATH_PROTOCOL *, const EFI_DEVICE_PATH_PROTOCOL *);
    DEVICE_PATH(EFIAPI *AppendDevicePathInstance)(const EFI_DEVICE_PATH_PROTOCOL *, const EFI_DEVICE_PATH_PROTOCOL *);
    DEVICE_PATH(EFIAPI *GetNextDevicePathInstance)(DEVICE_PATH *, UINTN *);
    BOOLEAN(EFIAPI *IsDevicePathMultiInstance)(const EFI_DEVICE_PATH_PROTOCOL *);
    DEVICE_PATH(EFIAPI *CreateDeviceNode)(UINT8, UINT8, UINT16);
} EFI_DEVICE_PATH_UTILITIES_PROTOCOL;

typedef struct {
    CHAR16 *(EFIAPI *ConvertDeviceNodeToText)(const void *, BOOLEAN, BOOLEAN);
    CHAR16 *(EFIAPI *ConvertDevicePathToText)(const void *, BOOLEAN, BOOLEAN);
} EFI_DEVICE_PATH_TO_TEXT_PROTOCOL;

typedef struct {
    void *(EFIAPI *ConvertTextToDeviceNode)(const CHAR16 *);
    void *(EFIAPI *ConvertTextToDevicePath)(const CHAR16 *);
} EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL;

static const EFI_GUID utilities_guid = {0x0379be4e, 0xd706, 0x437d, {0xb0, 0x37, 0xed, 0xb8, 0x2f, 0xb7, 0x72, 0xa4}};
static const EFI_GUID to_text_guid = {0x8b843e20, 0x8132, 0x4852, {0x90, 0xcc, 0x55, 0x1a, 0x4e, 0x4a, 0x7f, 0x1c}};
static const EFI_GUID from_text_guid = {0x05c99a21, 0xc70f, 0x4ad2, {0x8a, 0x5f, 0x35, 0xdf, 0x33, 0x43, 0xf5, 0x1e}};
static EFI_DEVICE_PATH_UTILITIES_PROTOCOL *utilities;
static EFI_DEVICE_PATH_TO_TEXT_PROTOCOL *to_text;
static EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL *from_text;

/* Whether that is what was made; frees it. */
static BOOLEAN made(void *got, const void *want, UINTN length) {
    BOOLEAN good = got && same(got, want, length);
    if (got)
        bs->FreePool(got);
    return good;
}

static void joining(void) {
    static const EFI_DEVICE_PATH_PROTOCOL end = PATH_END;
    const void *second = &longer_path.node[1], *no_path = NULL;
    DEVICE_PATH first = &path.node.head, longer = &longer_path.node[0].head;
    holds("DevicePathUtilities.GetDevicePathSize", utilities->GetDevicePathSize(first) == sizeof path);
    holds("DevicePathUtilities.GetDevicePathSize.NULL", utilities->GetDevicePathSize(NULL) == 0);
    DEVICE_PATH copy = utilities->DuplicateDevicePath(first);
    holds("DevicePathUtilities.DuplicateDevicePath.apart", copy && copy != first);
    holds("DevicePathUtilities.DuplicateDevicePath", made(copy, &path, sizeof path));
    holds("DevicePathUtilities.DuplicateDevicePath.NULL", !utilities->DuplicateDevicePath(NULL));
    holds("DevicePathUtilities.AppendDevicePath",
          made(utilities->AppendDevicePath(first, second), &longer_path, sizeof longer_path));
    holds("DevicePathUtilities.AppendDevicePath.first-NULL",
          made(utilities->AppendDevicePath(no_path, first), &path, sizeof path));
    holds("DevicePathUtilities.AppendDevicePath.second-NULL",
          made(utilities->AppendDevicePath(first, no_path), &path, sizeof path));
    holds("DevicePathUtilities.AppendDevicePath.both-NULL",
          made(utilities->AppendDevicePath(no_path, no_path), &end, sizeof end));
    holds("DevicePathUtilities.AppendDeviceNode",
          made(utilities->AppendDeviceNode(first, second), &longer_path, sizeof longer_path));
    holds("DevicePathUtilities.AppendDeviceNode.path-NULL",
          made(utilities->AppendDeviceNode(no_path, first), &path, sizeof path));
    holds("DevicePathUtilities.AppendDeviceNode.node-NULL",
          made(utilities->AppendDeviceNode(first, no_path), &path, sizeof path));
    holds("DevicePathUtilities.IsDevicePathMultiInstance.one", !utilities->IsDevicePathMultiInstance(longer));
    holds("DevicePathUtilities.IsDevicePathMultiInstance.NULL", !utilities->IsDevicePathMultiInstance(NULL));
}

static void instances(void) {
    DEVICE_PATH first = &path.node.head, longer = &longer_path.node[0].head;
    DEVICE_PATH both = utilities->AppendDevicePathInstance(longer, first);
    UINTN size = 0;
    holds("DevicePathUtilities.AppendDevicePathInstance", both && same(both, &longer_path, sizeof longer_path - 4));
    holds("DevicePathUtilities.AppendDevicePathInstance.path-NULL",
          made(utilities->AppendDevicePathInstance(NULL, first), &path, sizeof path));
    holds("DevicePathUtilities.AppendDevicePathInstance.instance-NULL",
          !utilities->AppendDevicePathInstance(first, NULL));
    if (!both)
        return;
    holds("DevicePathUtilities.GetDevicePathSize.two",
          utilities->GetDevicePathSize(both) == sizeof longer_path + sizeof path);
    holds("DevicePathUtilities.IsDevicePathMultiInstance.two", utilities->IsDevicePathMultiInstance(both));
    DEVICE_PATH rest = both;
    DEVICE_PATH got = utilities->GetNextDevicePathInstance(&rest, &size);
    holds("DevicePathUtilities.GetNextDevicePathInstance.size", size == sizeof longer_path);
    holds("DevicePathUtilities.GetNextDevicePathInstance.first", made(got, &longer_path, sizeof longer_path));
    got = utilities->GetNextDevicePathInstance(&rest, &size);
    holds("DevicePathUtilities.GetNextDevicePathInstance.second", made(got, &path, sizeof path));
    holds("DevicePathUtilities.GetNextDevicePathInstance.end", rest == NULL);
    holds("DevicePathUtilities.GetNextDevicePathInstance.no-more",
          !utilities->GetNextDevicePathInstance(&rest, &size));
    holds("DevicePathUtilities.GetNextDevicePathInstance.no-size", size == 0);
    static const CHAR16 spelt[] = u"VenHw(D6C1F0A4-5B1E-4C57-9E3B-418A026DF750)/VenHw(D6C1F0A4-5B1E-4C57-9E3B-"
                                  u"418A026DF751),VenHw(D6C1F0A4-5B1E-4C57-9E3B-418A026DF750)";
    holds("DevicePathToText.two-paths", made(to_text->ConvertDevicePathToText(both, FALSE, FALSE), spelt, sizeof spelt));
    holds("DevicePathFromText.two-paths", made(from_text->ConvertTextToDevicePath(spelt), both,
                                               sizeof longer_path + sizeof path));
    bs->FreePool(both);
    static const EFI_DEVICE_PATH_PROTOCOL node = {4, 4, {10, 0}};
    holds("DevicePathUtilities.CreateDeviceNode", made(utilities->CreateDeviceNode(4, 4, 10), &node, sizeof node));
    holds("DevicePathUtilities.CreateDeviceNode.too-short", !utilities->CreateDeviceNode(4, 4, 3));
}

/* Nodes and how they are spelt: each is read, and must be spelt the same again. */
static const struct {
    const char *written, *read;
    UINT8 type, subtype;
    CHAR16 text[68];
} spellings[] = {
    {"DevicePathToText.PciRoot", "DevicePathFromText.PciRoot", 2, 1, u"PciRoot(0x0)/Pci(0x1F,0x2)"},
    {"DevicePathToText.PcieRoot", "DevicePathFromText.PcieRoot", 2, 1, u"PcieRoot(0x0)"},
    {"DevicePathToText.Acpi", "DevicePathFromText.Acpi", 2, 1, u"Acpi(PNP0C0F,0x1)"},
    {"DevicePathToText.Floppy", "DevicePathFromText.Floppy", 2, 1, u"Floppy(0x0)"},
    {"DevicePathToText.Keyboard", "DevicePathFromText.Keyboard", 2, 1, u"Keyboard(0x0)"},
    {"DevicePathToText.Serial", "DevicePathFromText.Serial", 2, 1, u"Serial(0x1)"},
    {"DevicePathToText.ParallelPort", "DevicePathFromText.ParallelPort", 2, 1, u"ParallelPort(0x0)"},
    {"DevicePathToText.VenHw", "DevicePathFromText.VenHw", 1, 4, u"VenHw(D6C1F0A4-5B1E-4C57-9E3B-418A026DF750)"},
    {"DevicePathToText.VenHw-data", "DevicePathFromText.VenHw-data", 1, 4,
     u"VenHw(D6C1F0A4-5B1E-4C57-9E3B-418A026DF750,0102AB)"},
    {"DevicePathToText.MemoryMapped", "DevicePathFromText.MemoryMapped", 1, 3, u"MemoryMapped(0xB,0x1000,0x1FFF)"},
    {"DevicePathToText.VenMsg", "DevicePathFromText.VenMsg", 3, 10, u"VenMsg(D6C1F0A4-5B1E-4C57-9E3B-418A026DF751)"},
    {"DevicePathToText.Scsi", "DevicePathFromText.Scsi", 3, 2, u"Scsi(0x1,0x2)"},
    {"DevicePathToText.USB", "DevicePathFromText.USB", 3, 5, u"USB(0x1,0x0)"},
    {"DevicePathToText.MAC", "DevicePathFromText.MAC", 3, 11, u"MAC(525400123456,0x1)"},
    {"DevicePathToText.Uart", "DevicePathFromText.Uart", 3, 14, u"Uart(115200,8,N,1)"},
    {"DevicePathToText.Sata", "DevicePathFromText.Sata", 3, 18, u"Sata(0x1,0xFFFF,0x0)"},
    {"DevicePathToText.NVMe", "DevicePathFromText.NVMe", 3, 23, u"NVMe(0x1,00-25-38-B2-71-B5-06-2A)"},
    {"DevicePathToText.SD", "DevicePathFromText.SD", 3, 26, u"SD(0x0)"},
    {"DevicePathToText.eMMC", "DevicePathFromText.eMMC", 3, 29, u"eMMC(0x0)"},
    {"DevicePathToText.HD-GPT", "DevicePathFromText.HD-GPT", 4, 1,
     u"HD(1,GPT,D6C1F0A4-5B1E-4C57-9E3B-418A026DF753,0x800,0x64000)"},
    {"DevicePathToText.HD-MBR", "DevicePathFromText.HD-MBR", 4, 1, u"HD(2,MBR,0xA0021243,0x800,0x2EE000)"},
    {"DevicePathToText.CDROM", "DevicePathFromText.CDROM", 4, 2, u"CDROM(0x1,0x30,0x800)"},
    {"DevicePathToText.VenMedia", "DevicePathFromText.VenMedia", 4, 3,
     u"VenMedia(D6C1F0A4-5B1E-4C57-9E3B-418A026DF752)"},
    {"DevicePathToText.file", "DevicePathFromText.file", 4, 4, u"\\EFI\\BOOT\\BOOTX64.EFI"},
    {"DevicePathToText.FvFile", "DevicePathFromText.FvFile", 4, 6, u"FvFile(D6C1F0A4-5B1E-4C57-9E3B-418A026DF754)"},
    {"DevicePathToText.Fv", "DevicePathFromText.Fv", 4, 7, u"Fv(D6C1F0A4-5B1E-4C57-9E3B-418A026DF755)"},
    {"DevicePathToText.Offset", "DevicePathFromText.Offset", 4, 8, u"Offset(0x1000,0x1FFF)"},
    {"DevicePathToText.PcCard", "DevicePathFromText.PcCard", 1, 2, u"PcCard(0x1)"},
    {"DevicePathToText.Ctrl", "DevicePathFromText.Ctrl", 1, 5, u"Ctrl(0x2)"},
    {"DevicePathToText.BMC", "DevicePathFromText.BMC", 1, 6, u"BMC(0x1,0xCA2)"},
    {"DevicePathToText.AcpiAdr", "DevicePathFromText.AcpiAdr", 2, 3, u"AcpiAdr(0x80010100,0x1)"},
    {"DevicePathToText.Ata", "DevicePathFromText.Ata", 3, 1, u"Ata(Secondary,Slave,0x0)"},
    {"DevicePathToText.Fibre", "DevicePathFromText.Fibre", 3, 3, u"Fibre(0x1122334455667788,0x2)"},
    {"DevicePathToText.I1394", "DevicePathFromText.I1394", 3, 4, u"I1394(00D0B7FFFE1E4B5A)"},
    {"DevicePathToText.UsbClass", "DevicePathFromText.UsbClass", 3, 15, u"UsbClass(0x1234,0xFFFF,0xEE,0x1,0x2)"},
    {"DevicePathToText.UsbMassStorage", "DevicePathFromText.UsbMassStorage", 3, 15,
     u"UsbMassStorage(0xFFFF,0xFFFF,0x6,0x50)"},
    {"DevicePathToText.UsbHub", "DevicePathFromText.UsbHub", 3, 15, u"UsbHub(0xFFFF,0xFFFF,0x0,0x1)"},
    {"DevicePathToText.Unit", "DevicePathFromText.Unit", 3, 17, u"Unit(0x3)"},
    {"DevicePathToText.Vlan", "DevicePathFromText.Vlan", 3, 20, u"Vlan(100)"},
    {"DevicePathToText.Uri", "DevicePathFromText.Uri", 3, 24, u"Uri(http://192.0.2.1/boot.efi)"},
    {"DevicePathToText.UFS", "DevicePathFromText.UFS", 3, 25, u"UFS(0x0,0x1)"},
    {"DevicePathToText.Bluetooth", "DevicePathFromText.Bluetooth", 3, 27, u"Bluetooth(001122AABBCC)"},
    {"DevicePathToText.Wi-Fi", "DevicePathFromText.Wi-Fi", 3, 28, u"Wi-Fi(example)"},
    {"DevicePathToText.Media", "DevicePathFromText.Media", 4, 5, u"Media(D6C1F0A4-5B1E-4C57-9E3B-418A026DF756)"},
    {"DevicePathToText.VirtualDisk", "DevicePathFromText.VirtualDisk", 4, 9, u"VirtualDisk(0x10000000,0x1FFFFFFF,1)"},
    {"DevicePathToText.VirtualCD", "DevicePathFromText.VirtualCD", 4, 9, u"VirtualCD(0x10000000,0x1FFFFFFF,0)"},
    {"DevicePathToText.Path", "DevicePathFromText.Path", 7, 9, u"Path(7,9,0102)"},
};

static void spelling(void) {
    for (UINTN i = 0; i < sizeof spellings / sizeof spellings[0]; i++) {
        UINTN length = 0;
        while (spellings[i].text[length])
            length++;
        void *read = from_text->ConvertTextToDevicePath(spellings[i].text);
        EFI_DEVICE_PATH_PROTOCOL *node = read;
        holds(spellings[i].read, node && node->Type == spellings[i].type && node->SubType == spellings[i].subtype);
        CHAR16 *text = read ? to_text->ConvertDevicePathToText(read, FALSE, FALSE) : NULL;
        holds(spellings[i].written, made(text, spellings[i].text, (length + 1) * sizeof(CHAR16)));
        if (read)
            bs->FreePool(read);
    }
    static const CHAR16 vendor[] = u"VenHw(D6C1F0A4-5B1E-4C57-9E3B-418A026DF750)";
    holds("DevicePathToText.one-node", made(to_text->ConvertDeviceNodeToText(&path, FALSE, FALSE), vendor,
                                            sizeof vendor));
    holds("DevicePathFromText.one-node", made(from_text->ConvertTextToDeviceNode(vendor), &path, 20));
    holds("DevicePathFromText.whole-path", made(from_text->ConvertTextToDevicePath(vendor), &path, sizeof path));
    holds("DevicePathToText.NULL", !to_text->ConvertDevicePathToText(NULL, FALSE, FALSE));
    holds("DevicePathToText.node-NULL", !to_text->ConvertDeviceNodeToText(NULL, FALSE, FALSE));
    holds("DevicePathFromText.NULL", !from_text->ConvertTextToDevicePath(NULL));
    holds("DevicePathFromText.node-NULL", !from_text->ConvertTextToDeviceNode(NULL));
}

static void check_paths(void) {
    gives("LocateProtocol.DevicePathUtilities", bs->LocateProtocol(&utilities_guid, NULL, (void **)&utilities),
          EFI_SUCCESS);
    gives("LocateProtocol.DevicePathToText", bs->LocateProtocol(&to_text_guid, NULL, (void **)&to_text), EFI_SUCCESS);
    gives("LocateProtocol.DevicePathFromText", bs->LocateProtocol(&from_text_guid, NULL, (void **)&from_text),
          EFI_SUCCESS);
    if (!utilities || !to_text || !from_text)
        return;
    joining();
    instances();
    spelling();
}
