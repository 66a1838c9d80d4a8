"""The firmware's own measurements: EDK2's, in EDK2's order (digests from TCG PC Client PFP and real logs)."""

import dataclasses
import hashlib
import struct

import pytest

from efi_services import guids
from efi_services.device_path import END, file_path, vendor_hardware, vendor_media
from efi_services.platform import PlatformError
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType, variable_data
from efi_services.variables import Variable, secure_boot_set

SHA256, SHA384 = Algorithm.SHA256, Algorithm.SHA384
SEPARATOR = "df3f619804a92fdb4057192dc43dd748ea778adc52bc498ce80524c014b81119"
CALLING = "3d6772b4f84ed47595d72a2c4c5ffd15f5bb72c7507fe26f2aaee2c69d5633ba"
INVOCATION = "d8043d6b7b85ad358eb3b6ae6a873ab7ef23a26352c5dc4faa5aeedacf5eb41b"
SUCCESS = "b54f7542cbd872a81a9d9dea839b2b8d747c7ebd5ea6615c40f42f44a6dbeba0"


def names(ledger, kind=EventType.EV_EFI_VARIABLE_DRIVER_CONFIG):
    found = [each.data for each in ledger.events if each.type == kind]
    return [each[32 : 32 + 2 * struct.unpack_from("<Q", each, 16)[0]].decode("utf-16-le") for each in found]


def sequence(ledger):
    return [(each.index, EventType(each.type).name.removeprefix("EV_")) for each in ledger.events]


@pytest.fixture
def both(power_on, measuring):
    return power_on(**measuring, variables=secure_boot_set())


def test_the_whole_order(both):
    both.start()
    ledger = both.firmware.measurer.tpm
    assert sequence(ledger) == [
        *[(7, "EFI_VARIABLE_DRIVER_CONFIG")] * 5,
        (7, "SEPARATOR"),
        (4, "EFI_ACTION"),
        *[(index, "SEPARATOR") for index in range(7)],
        (4, "EFI_BOOT_SERVICES_APPLICATION"),
    ]
    assert names(ledger) == ["SecureBoot", "PK", "KEK", "db", "dbx"]
    assert {each.digests[SHA256].hex() for each in ledger.events if each.type == EventType.EV_SEPARATOR} == {SEPARATOR}
    assert ledger.events[6].digests[SHA256].hex() == CALLING


def test_the_order_of_a_trust_domain(both):
    both.start()
    assert sequence(both.firmware.measurer.cc) == [
        *[(1, "EFI_VARIABLE_DRIVER_CONFIG")] * 5,
        (1, "SEPARATOR"),
        (2, "EFI_ACTION"),
        (2, "SEPARATOR"),
        (2, "EFI_BOOT_SERVICES_APPLICATION"),
    ]


def test_secure_boot_variables_are_measured_whole_and_absent_ones_too(both):
    first, second, *_ = both.firmware.measurer.tpm.events
    assert first.data == variable_data(guids.GLOBAL_VARIABLE, "SecureBoot", b"\0")
    assert second.data == variable_data(guids.GLOBAL_VARIABLE, "PK", b"")
    for event in (first, second):
        assert event.digests[SHA256] == hashlib.sha256(event.data).digest()


def test_dbt_is_measured_where_it_is(power_on, measuring):
    dbt = Variable("dbt", guids.IMAGE_SECURITY_DATABASE, 0x27, b"list")
    ledger = power_on(**measuring, variables=(dbt,)).firmware.measurer.tpm
    assert names(ledger) == ["SecureBoot", "PK", "KEK", "db", "dbx", "dbt"]


def test_boot_variables_by_their_contents(power_on, measuring):
    given = {"BootOrder": struct.pack("<HHH", 0x1A, 7, 1) + b"x", "Boot001A": b"option", "Boot0001": b"one"}
    variables = [Variable(name, guids.GLOBAL_VARIABLE, 7, data) for name, data in given.items()]
    guest = power_on(**measuring, variables=tuple(variables))
    guest.start()
    ledger = guest.firmware.measurer.tpm
    assert names(ledger, EventType.EV_EFI_VARIABLE_BOOT) == ["BootOrder", "Boot001A", "Boot0001"]
    event = next(each for each in ledger.events if b"option" in each.data)
    assert (event.index, event.digests[SHA256]) == (1, hashlib.sha256(b"option").digest())


def test_the_payload_by_its_authenticode(both):
    both.start()
    event = both.firmware.measurer.tpm.events[-1]
    assert event.digests[SHA256] == hashlib.sha256(b"payload").digest()
    path = vendor_hardware(guids.SHIM_PAYLOAD) + file_path("\\payload.efi") + END
    assert event.data == struct.pack("<QQQQ", 0, len(b"MZpayload"), 0, len(path)) + path


def test_a_kernel_of_qemus_is_loaded_before_anything_is_booted(power_on, measuring):
    """OvmfPkg's TryRunningQemuKernel: LoadImage, and only then EfiSignalEventReadyToBoot."""
    order = Variable("BootOrder", guids.GLOBAL_VARIABLE, 7, b"\0\0")
    guest = power_on(**measuring, direct_boot=True, variables=(order,))
    guest.start()
    ledger = guest.firmware.measurer.tpm
    assert sequence(ledger)[6:] == [
        (4, "EFI_BOOT_SERVICES_APPLICATION"),
        (1, "EFI_VARIABLE_BOOT"),
        (4, "EFI_ACTION"),
        *[(index, "SEPARATOR") for index in range(7)],
    ]
    path = vendor_media(guids.QEMU_KERNEL_LOADER) + file_path("kernel") + END
    assert ledger.events[6].data[32:] == path
    assert [each for _, each in sequence(guest.firmware.measurer.cc)[6:]] == [
        "EFI_BOOT_SERVICES_APPLICATION", "EFI_VARIABLE_BOOT", "EFI_ACTION", "SEPARATOR",
    ]  # fmt: skip


def test_an_image_of_the_guest_says_where_its_file_is(both):
    both.start()
    both.load(name="driver", subsystem=11)
    event = both.firmware.measurer.tpm.events[-1]
    assert (event.index, event.type) == (2, EventType.EV_EFI_BOOT_SERVICES_DRIVER)
    location, length = struct.unpack_from("<QQ", event.data)
    assert both.bytes_at(location, length) == b"MZdriver"
    assert event.digests[SHA256] == hashlib.sha256(b"driver").digest()


def test_leaving_boot_services(both):
    both.start()
    both.exit_boot_services()
    tpm = both.firmware.measurer.tpm.events[-2:]
    assert [each.digests[SHA256].hex() for each in tpm] == [INVOCATION, SUCCESS]
    assert [each.index for each in tpm] == [5, 5]
    assert [each.index for each in both.firmware.measurer.cc.events[-2:]] == [2, 2]


def test_failing_to_leave_boot_services(both):
    both.start()
    count = len(both.firmware.measurer.tpm.events)
    assert both.call("ExitBootServices", both.payload, both.map_key() + 1)
    said = [each.data.decode() for each in both.firmware.measurer.tpm.events[count:]]
    assert said == ["Exit Boot Services Invocation", "Exit Boot Services Returned with Failure"]
    assert both.firmware.measurer.cc.events[-1].data.endswith(b"Failure")
    assert both.firmware.measurer.cc.events[-2].type != EventType.EV_EFI_ACTION
    both.exit_boot_services()
    assert both.firmware.measurer.tpm.events[-1].data.endswith(b"Success")


def test_events_of_the_platform_come_first(power_on, measuring):
    digest = {SHA384: b"d" * 48}
    given = (Event(0, EventType.EV_NO_ACTION, {}, b"said"), Event(1, EventType.EV_EFI_HANDOFF_TABLES2, digest, b"x"))
    guest = power_on(cc=dataclasses.replace(measuring["cc"], events=given))
    assert tuple(guest.firmware.measurer.cc.events[:2]) == given


def test_a_digest_for_each_bank(power_on, measuring):
    event = Event(0, EventType.EV_POST_CODE, {SHA256: bytes(32)}, b"")
    with pytest.raises(PlatformError, match="register 0 has no digest by sha1"):
        power_on(tpm=dataclasses.replace(measuring["tpm"], events=(event,)))


def test_where_an_image_was_linked_to_lie():
    from efi_services.tcg.firmware_events import _link_address

    head = bytearray(0x100)
    head[0x3C:0x40] = (0x40).to_bytes(4, "little")
    head[0x58:0x5A] = b"\x0b\x02"
    head[0x70:0x78] = (0x1_4000_0000).to_bytes(8, "little")
    assert _link_address(bytes(head)) == 0x1_4000_0000
    head[0x58:0x5A] = b"\x0b\x01"
    head[0x74:0x78] = (0x40_0000).to_bytes(4, "little")
    assert _link_address(bytes(head)) == 0x40_0000
