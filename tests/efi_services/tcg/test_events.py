import struct

import pytest

from efi_services.guids import GLOBAL_VARIABLE
from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType, image_load_event, tagged_event, type_name, variable_data
from efi_services.tcg.log import decode, encode
from efi_services.tcg.registers import replay

SHA256 = Algorithm.SHA256


def test_types_have_names_or_numbers():
    assert type_name(0x8000_0003) == "EV_EFI_BOOT_SERVICES_APPLICATION"
    assert type_name(0x402) == "0x402"


def test_what_only_informs_extends_nothing():
    assert not Event(0, 3, {}, b"").extends
    informs = {EventType.EV_NO_ACTION, 0x503, 0x504}
    assert all(Event(0, each, {}, b"").extends == (each not in informs) for each in EventType)


@pytest.mark.parametrize("kind", [0x503, 0x504])
def test_markers_of_a_dynamic_launch_extend_nothing(kind):
    assert not Event(17, kind, {Algorithm.SHA1: bytes(20)}, b"").extends
    extended = Event(17, kind, {Algorithm.SHA1: bytes(20), Algorithm.SHA256: b"x" * 32}, b"")
    assert extended.extends
    log = decode(encode((extended, Event(17, kind, {}, b"")), (Algorithm.SHA1, Algorithm.SHA256)))
    assert [each.extends for each in log.events] == [True, False]
    assert replay(log.events, (Algorithm.SHA256,))[17] == {
        Algorithm.SHA256: Algorithm.SHA256.extend(b"\xff" * 32, b"x" * 32)
    }


def test_the_tag_of_an_initrd_is_as_in_real_logs():
    assert tagged_event(0x8F3B22EC, b"Linux initrd\0").hex() == "ec223b8f0d0000004c696e757820696e6974726400"


def test_a_variable_has_its_name_in_characters_without_their_end():
    data = variable_data(GLOBAL_VARIABLE, "PK", b"abc")
    assert data == GLOBAL_VARIABLE.bytes_le + struct.pack("<QQ", 2, 3) + b"P\0K\0abc"


def test_an_image_has_the_length_of_its_path():
    assert image_load_event(1, 2, 3, b"path") == struct.pack("<QQQQ", 1, 2, 3, 4) + b"path"


def test_the_digests_of_the_firmware_s_own_events():
    expected = {
        b"Calling EFI Application from Boot Option": ("3d6772b4", "33ba"),
        b"Exit Boot Services Invocation": ("d8043d6b", "b41b"),
        b"Exit Boot Services Returned with Success": ("b54f7542", "eba0"),
        b"Exit Boot Services Returned with Failure": ("23ddecbc", "dd4f"),
        bytes(4): ("df3f6198", "1119"),
    }
    for data, (start, end) in expected.items():
        digest = SHA256.digest(data).hex()
        assert (digest[:8], digest[-4:]) == (start, end)
