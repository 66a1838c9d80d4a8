import re

import pytest

from efi_services import service as declarations
from efi_services import system_table, tables
from efi_services.abi import X86_64
from efi_services.service import PROTOCOLS, Member, Service
from efi_services.system_table import SystemTable, TableHeader

TABLE_SERVICES = [each for each in (*tables.BOOT_SERVICES, *tables.RUNTIME_SERVICES) if each is not None]
METHODS = [slot for each in PROTOCOLS.values() for slot in each.slots if isinstance(slot, Service)]
IMPLEMENTED = [each for each in (*TABLE_SERVICES, *METHODS) if each.implemented]
ROLES = {"value", "in", "out", "inout", "buffer", "text", "text8", "path", "pairs"}
#: A section, or which version of patches that are no specification yet.
SECTION = re.compile(r"\d+(\.\d+)+|TrenchBoot v\d+")

GUIDS = {
    "EFI_SIMPLE_TEXT_INPUT_PROTOCOL": "387477c1-69c7-11d2-8e39-00a0c969723b",
    "EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL": "387477c2-69c7-11d2-8e39-00a0c969723b",
    "EFI_GRAPHICS_OUTPUT_PROTOCOL": "9042a9de-23dc-4a38-96fb-7aded080516a",
    "EFI_HII_DATABASE_PROTOCOL": "ef9fc172-a1b2-4693-b327-6d32fc416042",
    "EFI_HII_STRING_PROTOCOL": "0fd96974-23aa-4cdc-b9cb-98d17750322a",
    "EFI_UNICODE_COLLATION_PROTOCOL": "1d85cd7f-f43d-11d2-9a0c-0090273fc14d",
    "EFI_UNICODE_COLLATION_PROTOCOL2": "a4c751fc-23ae-4c3e-92e9-4964cf63f349",
    "EFI_LOAD_FILE2_PROTOCOL": "4006c0c1-fcb3-403e-996d-4a6c8724e06d",
    "RISCV_EFI_BOOT_PROTOCOL": "ccd15fec-6f73-4eec-8395-3e69e4b940bf",
    "EFI_RNG_PROTOCOL": "3152bca5-eade-433d-862e-c01cdc291f44",
    "EFI_MEMORY_ATTRIBUTE_PROTOCOL": "f4560cf6-40ec-4b4a-a192-bf1d57d0b189",
    "EFI_SECURITY_ARCH_PROTOCOL": "a46423e3-4617-49f1-b9ff-d1bfa9115839",
    "EFI_SECURITY2_ARCH_PROTOCOL": "94ab2f58-1438-4ef1-9152-18941a3a0e68",
    "EFI_TCG2_PROTOCOL": "607f766c-7455-42be-930b-e4d76db2720f",
    "EFI_SIMPLE_FILE_SYSTEM_PROTOCOL": "964e5b22-6459-11d2-8e39-00a0c969723b",
    "EFI_SIMPLE_TEXT_INPUT_EX_PROTOCOL": "dd9e7534-7762-4698-8c14-f58517a625aa",
    "EFI_DEVICE_PATH_UTILITIES_PROTOCOL": "0379be4e-d706-437d-b037-edb82fb772a4",
    "EFI_DEVICE_PATH_TO_TEXT_PROTOCOL": "8b843e20-8132-4852-90cc-551a4e4a7f1c",
    "EFI_DEVICE_PATH_FROM_TEXT_PROTOCOL": "05c99a21-c70f-4ad2-8a5f-35df3343f51e",
    "EFI_BLOCK_IO_PROTOCOL": "964e5b21-6459-11d2-8e39-00a0c969723b",
    "EFI_DISK_IO_PROTOCOL": "ce345171-ba0b-11d2-8e4f-00a0c969723b",
    # Never on a handle.
    "EFI_FILE_PROTOCOL": "None",
    "EFI_SLAUNCH_PROTOCOL": "534189e0-6fde-413d-be91-cd4e8d672fea",
    "SLR_DL_HANDLER": "None",
    "EFI_CC_MEASUREMENT_PROTOCOL": "96751a3d-72f4-41a6-a794-ed5d0e67ae6b",
}

#: How many arguments each function has in UEFI 2.10, `This` not counted; the two variadic ones have the list as one.
#: A name that several protocols have may be the protocol's.
ARGUMENTS = {
    "RaiseTPL": 1, "RestoreTPL": 1, "AllocatePages": 4, "FreePages": 2, "GetMemoryMap": 5, "AllocatePool": 3,
    "FreePool": 1, "CreateEvent": 5, "SetTimer": 3, "WaitForEvent": 3, "SignalEvent": 1, "CloseEvent": 1,
    "CheckEvent": 1, "InstallProtocolInterface": 4, "ReinstallProtocolInterface": 4, "UninstallProtocolInterface": 3,
    "HandleProtocol": 3, "RegisterProtocolNotify": 3, "LocateHandle": 5, "LocateDevicePath": 3,
    "InstallConfigurationTable": 2, "LoadImage": 6, "StartImage": 3, "Exit": 4, "UnloadImage": 1,
    "ExitBootServices": 2, "GetNextMonotonicCount": 1, "Stall": 1, "SetWatchdogTimer": 4, "ConnectController": 4,
    "DisconnectController": 3, "OpenProtocol": 6, "CloseProtocol": 4, "OpenProtocolInformation": 4,
    "ProtocolsPerHandle": 3, "LocateHandleBuffer": 5, "LocateProtocol": 3, "InstallMultipleProtocolInterfaces": 2,
    "UninstallMultipleProtocolInterfaces": 2, "CalculateCrc32": 3, "CopyMem": 3, "SetMem": 3, "CreateEventEx": 6,
    "GetTime": 2, "SetTime": 1, "SetVirtualAddressMap": 4, "ConvertPointer": 2, "GetVariable": 5,
    "GetNextVariableName": 3, "SetVariable": 5, "GetNextHighMonotonicCount": 1, "ResetSystem": 4,
    "QueryVariableInfo": 4, "Reset": 1, "ReadKeyStroke": 1, "OutputString": 1, "TestString": 1, "QueryMode": 3,
    "SetMode": 1, "SetAttribute": 1, "ClearScreen": 0, "SetCursorPosition": 2, "EnableCursor": 1, "LoadFile": 4,
    "GetInfo": 2, "GetRNG": 3, "GetMemoryAttributes": 3, "SetMemoryAttributes": 3, "ClearMemoryAttributes": 3,
    "GetCapability": 1, "GetEventLog": 4, "HashLogExtendEvent": 4, "SubmitCommand": 4, "GetActivePcrBanks": 1,
    "GetBootHartId": 1, "FileAuthenticationState": 2, "FileAuthentication": 4,
    "SetActivePcrBanks": 1, "GetResultOfSetActivePcrBanks": 2, "MapPcrToMrIndex": 2, "OpenVolume": 1, "Open": 4,
    "Close": 0, "Delete": 0, "Read": 2, "Write": 2, "GetPosition": 1, "SetPosition": 1, "SetInfo": 3, "Flush": 0,
    "GetDevicePathSize": 1,
    "DuplicateDevicePath": 1, "AppendDevicePath": 2, "AppendDeviceNode": 2, "AppendDevicePathInstance": 2,
    "GetNextDevicePathInstance": 2, "IsDevicePathMultiInstance": 1, "CreateDeviceNode": 3,
    "ConvertDeviceNodeToText": 3, "ConvertDevicePathToText": 3, "ConvertTextToDeviceNode": 1,
    "ConvertTextToDevicePath": 1, "ReadBlocks": 4, "WriteBlocks": 4, "FlushBlocks": 0, "ReadDisk": 4, "WriteDisk": 4,
    "ReadKeyStrokeEx": 1, "SetState": 1, "OpenEx": 5, "ReadEx": 1, "WriteEx": 1, "FlushEx": 1,
    "EFI_FILE_PROTOCOL.GetInfo": 3, "Blt": 9, "SetupDlme": 3, "Launch": 0, "DlHandler": 0,
    "StriColl": 2, "MetaiMatch": 2, "StrLwr": 1, "StrUpr": 1, "FatToStr": 3,
    "StrToFat": 3, "NewPackageList": 3, "RemovePackageList": 1, "GetPackageListHandle": 2, "FindKeyboardLayouts": 2,
    "GetKeyboardLayout": 3, "GetString": 6,
    "GetLanguages": 3, "RegisterKeyNotify": 3, "UnregisterKeyNotify": 1,
}  # fmt: skip


def test_boot_services_are_where_the_specification_has_them(specification):
    assert {24 + 8 * i: each and each.name for i, each in enumerate(tables.BOOT_SERVICES)} == specification.boot
    assert 24 + 8 * len(tables.BOOT_SERVICES) == 376


def test_runtime_services_are_where_the_specification_has_them(specification):
    assert {24 + 8 * i: each.name for i, each in enumerate(tables.RUNTIME_SERVICES)} == specification.runtime
    assert 24 + 8 * len(tables.RUNTIME_SERVICES) == 136


def test_the_system_table(specification):
    assert {name: SystemTable.offsetof(X86_64, name) for name in specification.system} == specification.system
    assert (SystemTable.sizeof(X86_64), TableHeader.sizeof(X86_64)) == (120, 24)


def test_signatures_and_revision():
    assert tables.BOOT_SIGNATURE.to_bytes(8, "little") == b"BOOTSERV"
    assert tables.RUNTIME_SIGNATURE.to_bytes(8, "little") == b"RUNTSERV"
    assert X86_64.system_table_signature == b"IBI SYST"
    assert tables.REVISION == 0x0002_0064


def test_32_bit_tables(i386):
    assert TableHeader.sizeof(i386) + 4 * len(tables.BOOT_SERVICES) == 200
    assert TableHeader.sizeof(i386) + 4 * len(tables.RUNTIME_SERVICES) == 80
    assert SystemTable.sizeof(i386) == 72
    assert len(tables.service_table(i386, 1, [0] * 44)) == 200


def test_protocols_have_their_slots_in_order(specification):
    found = {name: tuple(slot.name for slot in each.slots) for name, each in PROTOCOLS.items()}
    assert found == specification.protocols
    assert {name: str(each.guid) for name, each in PROTOCOLS.items()} == GUIDS


@pytest.mark.parametrize("each", [*TABLE_SERVICES, *METHODS], ids=lambda each: each.name)
def test_a_declaration_names_its_section(each):
    assert SECTION.fullmatch(each.spec)


@pytest.mark.parametrize("each", IMPLEMENTED, ids=lambda each: each.name)
def test_a_declaration_says_what_it_does_and_with_what(each):
    assert each.doc.endswith(".")
    assert each.returns in ("status", "value", "nothing")
    assert len(each.parameters) == ARGUMENTS.get(f"{each.protocol}.{each.name}", ARGUMENTS.get(each.name))
    for parameter in each.parameters:
        assert parameter.role in ROLES
        # A string, a path, a buffer and a list are what they are; everything else has a codec of the vocabulary.
        assert (parameter.codec is None) == (parameter.role in ("buffer", "text", "text8", "path", "pairs"))
        if parameter.codec is not None:
            assert parameter.codec.size(X86_64) > 0
        if parameter.role == "value":
            assert parameter.codec.size(X86_64) in (1, 2, 4, 8)
            assert not parameter.optional, "a value can't be left out"
        assert (parameter.role == "pairs") <= (parameter is each.parameters[-1])


@pytest.mark.parametrize("each", PROTOCOLS.values(), ids=lambda each: each.name)
def test_a_protocol_says_what_it_is(each):
    document = r"^(TCG EFI Protocol|PI|RISC-V UEFI Protocol 1\.0), section "
    assert SECTION.fullmatch(re.sub(document, "", each.spec))
    assert each.doc
    for slot in each.slots:
        if isinstance(slot, Member):
            assert declarations.codec_of(slot.annotation).size(X86_64) == 8


def test_no_gate_serves_two_slots():
    assert len({id(each) for each in (*TABLE_SERVICES, *METHODS)}) == len(TABLE_SERVICES) + len(METHODS)


def test_runtime_properties_name_runtime_services(specification):
    # Section 4.6.2 numbers them in another order than the table has them.
    assert sorted(system_table.RUNTIME_PROPERTY_BITS) == sorted(specification.runtime.values())
    assert system_table.RUNTIME_PROPERTY_BITS.index("SetVirtualAddressMap") == 7
    assert system_table.RUNTIME_PROPERTY_BITS.index("GetVariable") == 4
