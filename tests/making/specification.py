"""What UEFI 2.10 says of tables: offsets and slots, typed from it and not taken from the code under test."""

# Offsets and slot orders of UEFI 2.10 for 64-bit processors: sections 4.4 and 4.5, and those of each protocol.
BOOT_SERVICES = {
    24: "RaiseTPL", 32: "RestoreTPL", 40: "AllocatePages", 48: "FreePages", 56: "GetMemoryMap", 64: "AllocatePool",
    72: "FreePool", 80: "CreateEvent", 88: "SetTimer", 96: "WaitForEvent", 104: "SignalEvent", 112: "CloseEvent",
    120: "CheckEvent", 128: "InstallProtocolInterface", 136: "ReinstallProtocolInterface",
    144: "UninstallProtocolInterface", 152: "HandleProtocol", 160: None, 168: "RegisterProtocolNotify",
    176: "LocateHandle", 184: "LocateDevicePath", 192: "InstallConfigurationTable", 200: "LoadImage",
    208: "StartImage", 216: "Exit", 224: "UnloadImage", 232: "ExitBootServices", 240: "GetNextMonotonicCount",
    248: "Stall", 256: "SetWatchdogTimer", 264: "ConnectController", 272: "DisconnectController",
    280: "OpenProtocol", 288: "CloseProtocol", 296: "OpenProtocolInformation", 304: "ProtocolsPerHandle",
    312: "LocateHandleBuffer", 320: "LocateProtocol", 328: "InstallMultipleProtocolInterfaces",
    336: "UninstallMultipleProtocolInterfaces", 344: "CalculateCrc32", 352: "CopyMem", 360: "SetMem",
    368: "CreateEventEx",
}  # fmt: skip
RUNTIME_SERVICES = {
    24: "GetTime", 32: "SetTime", 40: "GetWakeupTime", 48: "SetWakeupTime", 56: "SetVirtualAddressMap",
    64: "ConvertPointer", 72: "GetVariable", 80: "GetNextVariableName", 88: "SetVariable",
    96: "GetNextHighMonotonicCount", 104: "ResetSystem", 112: "UpdateCapsule", 120: "QueryCapsuleCapabilities",
    128: "QueryVariableInfo",
}  # fmt: skip
SYSTEM_TABLE = {
    "header": 0, "firmware_vendor": 24, "firmware_revision": 32, "console_in_handle": 40, "con_in": 48,
    "console_out_handle": 56, "con_out": 64, "standard_error_handle": 72, "std_err": 80, "runtime_services": 88,
    "boot_services": 96, "number_of_table_entries": 104, "configuration_table": 112,
}  # fmt: skip
PROTOCOLS = {
    "EFI_SIMPLE_TEXT_INPUT_PROTOCOL": ("Reset", "ReadKeyStroke", "WaitForKey"),
    "EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL": (
        "Reset", "ReadKeyStrokeEx", "WaitForKeyEx", "SetState", "RegisterKeyNotify", "UnregisterKeyNotify",
    ),
    "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL": (
        "Reset", "OutputString", "TestString", "QueryMode", "SetMode", "SetAttribute", "ClearScreen",
        "SetCursorPosition", "EnableCursor", "Mode",
    ),
    "EFI_GRAPHICS_OUTPUT_PROTOCOL": ("QueryMode", "SetMode", "Blt", "Mode"),
    "EFI_HII_DATABASE_PROTOCOL": (
        "NewPackageList", "RemovePackageList", "UpdatePackageList", "ListPackageLists", "ExportPackageLists",
        "RegisterPackageNotify", "UnregisterPackageNotify", "FindKeyboardLayouts", "GetKeyboardLayout",
        "SetKeyboardLayout", "GetPackageListHandle",
    ),
    "EFI_HII_STRING_PROTOCOL": ("NewString", "GetString", "SetString", "GetLanguages", "GetSecondaryLanguages"),
    "EFI_UNICODE_COLLATION_PROTOCOL": (
        "StriColl", "MetaiMatch", "StrLwr", "StrUpr", "FatToStr", "StrToFat", "SupportedLanguages",
    ),
    "EFI_UNICODE_COLLATION_PROTOCOL2": (
        "StriColl", "MetaiMatch", "StrLwr", "StrUpr", "FatToStr", "StrToFat", "SupportedLanguages",
    ),
    "EFI_LOAD_FILE2_PROTOCOL": ("LoadFile",),
    "RISCV_EFI_BOOT_PROTOCOL": ("Revision", "GetBootHartId"),
    "EFI_RNG_PROTOCOL": ("GetInfo", "GetRNG"),
    "EFI_MEMORY_ATTRIBUTE_PROTOCOL": ("GetMemoryAttributes", "SetMemoryAttributes", "ClearMemoryAttributes"),
    "EFI_SECURITY_ARCH_PROTOCOL": ("FileAuthenticationState",),
    "EFI_SECURITY2_ARCH_PROTOCOL": ("FileAuthentication",),
    "EFI_TCG2_PROTOCOL": (
        "GetCapability", "GetEventLog", "HashLogExtendEvent", "SubmitCommand", "GetActivePcrBanks", "SetActivePcrBanks",
        "GetResultOfSetActivePcrBanks",
    ),
    "EFI_SIMPLE_FILE_SYSTEM_PROTOCOL": ("Revision", "OpenVolume"),
    "EFI_DEVICE_PATH_UTILITIES_PROTOCOL": (
        "GetDevicePathSize", "DuplicateDevicePath", "AppendDevicePath", "AppendDeviceNode", "AppendDevicePathInstance",
        "GetNextDevicePathInstance", "IsDevicePathMultiInstance", "CreateDeviceNode",
    ),
    "EFI_DEVICE_PATH_TO_TEXT_PROTOCOL": ("ConvertDeviceNodeToText", "ConvertDevicePathToText"),
    "EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL": ("ConvertTextToDeviceNode", "ConvertTextToDevicePath"),
    "EFI_BLOCK_IO_PROTOCOL": ("Revision", "Media", "Reset", "ReadBlocks", "WriteBlocks", "FlushBlocks"),
    "EFI_DISK_IO_PROTOCOL": ("Revision", "ReadDisk", "WriteDisk"),
    "EFI_FILE_PROTOCOL": (
        "Revision", "Open", "Close", "Delete", "Read", "Write", "GetPosition", "SetPosition", "GetInfo", "SetInfo",
        "Flush", "OpenEx", "ReadEx", "WriteEx", "FlushEx",
    ),
    "EFI_SLAUNCH_PROTOCOL": ("SetupDlme", "Launch"),
    "SLR_DL_HANDLER": ("DlHandler",),
    "EFI_CC_MEASUREMENT_PROTOCOL": ("GetCapability", "GetEventLog", "HashLogExtendEvent", "MapPcrToMrIndex"),
}  # fmt: skip
