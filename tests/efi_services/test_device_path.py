import struct
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from efi_services import device_path, guids
from efi_services.device_path import END, length_of_match, nodes, to_text
from efi_services.status import Status
from efi_services.types import MAX_DEVICE_PATH, Guid, read_path

GUID = Guid("5568e427-68fc-4f3d-ac74-ca555231cc68")


def node(kind, subkind, data=b""):
    return struct.pack("<BBH", kind, subkind, 4 + len(data)) + data


KINDS = st.one_of(st.integers(1, 4), st.integers(0, 255).filter(lambda each: each != 0x7F))
SUBKINDS = st.one_of(st.integers(1, 7), st.integers(0, 0x20), st.integers(0, 255))
NODES = st.builds(node, KINDS, SUBKINDS, st.binary(max_size=60))


def test_nodes_as_chapter_10_has_them():
    assert device_path.vendor_media(GUID).hex() == "04031400" + "27e46855fc683d4fac74ca555231cc68"
    assert device_path.vendor_hardware(GUID).hex() == "01041400" + "27e46855fc683d4fac74ca555231cc68"
    assert device_path.file_path("\\a").hex() == "04040a00" + "5c0061000000"
    assert device_path.memory_mapped(2, 0x1000, 0x1FFF).hex() == (
        "01031800" + "02000000" + "0010000000000000" + "ff1f000000000000"
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (END, "End"),
        (device_path.vendor_media(GUID) + END, "VenMedia(LINUX_EFI_INITRD_MEDIA)"),
        (device_path.memory_mapped(2, 0x1000, 0x1FFF) + END, "MemoryMapped(0x1000,0x1fff)"),
        (device_path.file_path("\\EFI\\a.efi") + END, "FilePath(\\EFI\\a.efi)"),
        (node(1, 1, b"\1\2") + node(4, 3, b"short") + END, "PCI(dev=02:1)/Media(subtype=0x3)"),
        # A URI that is no text.
        (node(3, 0x18, b"\xff\xfe") + END, "03180600fffe"),
    ],
)
def test_text(path, text):
    assert to_text(path) == text


@given(st.lists(NODES, max_size=6), st.binary())
def test_nodes_are_found_whatever_lies_behind_the_end(parts, tail):
    assert list(nodes(b"".join(parts) + END + tail)) == parts


@given(st.binary(max_size=200))
def test_any_bytes_have_some_text(data):
    assert b"".join(nodes(data)) == data[: sum(map(len, nodes(data)))]
    assert isinstance(to_text(data), str)


@settings(max_examples=300)
@given(st.lists(NODES, min_size=1, max_size=2))
def test_any_path_has_some_text_that_can_be_stored(parts):
    to_text(b"".join(parts) + END).encode()


@given(st.lists(NODES, max_size=4), st.lists(NODES, max_size=4))
def test_a_start_of_a_path_matches_with_its_length(start, rest):
    prefix, path = b"".join(start) + END, b"".join(start + rest) + END
    assert length_of_match(prefix, path) == len(prefix) - 4
    if rest:
        assert length_of_match(path, prefix) is None
        assert length_of_match(rest[0] + node(9, 9) + END, path) is None


def test_a_prefix_of_bytes_is_not_a_prefix_of_nodes():
    assert length_of_match(node(1, 1, b"ab") + END, node(1, 1, b"abc") + END) is None


@given(st.binary(max_size=300))
def test_any_memory_holds_a_path_or_none(memory_of, attempt, data):
    try:
        path, refused = attempt(read_path, memory_of(data), 0)
    except IndexError:
        # It would go on behind the end of memory.
        return
    assert refused in (None, Status.INVALID_PARAMETER)
    if not refused:
        assert data.startswith(path)
        assert path.endswith(END)
        assert len(path) <= MAX_DEVICE_PATH + 0x1_0000


@pytest.fixture(scope="module")
def memory_of():
    """Memory that is nothing but some bytes from address 0 on."""

    class Bytes:
        def __init__(self, data):
            self.data = data

        def read(self, address, size):
            if address + size > len(self.data):
                raise IndexError
            return self.data[address : address + size]

    return Bytes


@pytest.mark.parametrize("piece", [node(1, 9), node(4, 4, b"a\0" * 30000), node(3, 0x18, b"x" * 0xFFFB)])
def test_the_longest_paths_are_shown_soon(piece):
    path = piece * (MAX_DEVICE_PATH // len(piece)) + END
    began = time.process_time()
    to_text(path)
    assert time.process_time() - began < 2


def test_names_of_guids():
    assert guids.name_of(guids.LOADED_IMAGE) == "EFI_LOADED_IMAGE_PROTOCOL"
    assert guids.name_of(Guid(int=12345)) == str(Guid(int=12345))
