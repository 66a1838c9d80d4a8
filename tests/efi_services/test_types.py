import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.abi import X86_64
from efi_services.memory_map import AllocateType, MemoryType
from efi_services.service import Parameter
from efi_services.status import EfiError, Status
from efi_services.types import (
    MAX_STRING,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    UINTN,
    Boolean,
    Buffer,
    Guid,
    Handle,
    InOut,
    Out,
    Scalar,
    StatusCode,
    codec_of,
    read_path,
    read_text,
)

END = b"\x7f\xff\4\0"


@pytest.fixture(scope="module")
def memory(fakes):
    return fakes.Memory()


def value_of(annotation, raw, abi=X86_64):
    return Parameter("it", "value", False, codec_of(annotation), "").decoder(abi, None)(raw)


@given(st.integers(0, (1 << 64) - 1))
def test_the_upper_part_of_a_narrow_argument_is_nobodys_business(raw):
    assert value_of(UINT8, raw) == raw & 0xFF
    assert value_of(Boolean, raw) == raw & 0xFF
    assert value_of(UINT16, raw) == raw & 0xFFFF
    assert value_of(UINT32, raw) == raw & 0xFFFF_FFFF
    assert value_of(UINT64, raw) == value_of(UINTN, raw) == value_of(Handle, raw) == raw


@given(st.integers(0, (1 << 64) - 1))
def test_natural_width_is_the_conventions(i386, raw):
    assert value_of(UINTN, raw, i386) == raw & 0xFFFF_FFFF
    wide = value_of(StatusCode, raw, i386)
    assert (wide >> 63, wide & ((1 << 63) - 1)) == (raw >> 31 & 1, raw & 0x7FFF_FFFF), "the error bit is the highest"


@given(st.sampled_from(AllocateType), st.integers(0, (1 << 32) - 1))
def test_an_enumerator_with_garbage_above_it(kind, garbage):
    assert value_of(AllocateType, garbage << 32 | kind) is kind


@given(st.integers(3, (1 << 32) - 1))
def test_a_number_that_is_no_enumerator(raw):
    with pytest.raises(EfiError) as refused:
        value_of(AllocateType, raw)
    assert refused.value.status is Status.INVALID_PARAMETER


@given(st.integers(16, (1 << 32) - 1))
def test_memory_types_of_oems_and_operating_systems(raw):
    if raw < 0x7000_0000:
        with pytest.raises(EfiError):
            value_of(MemoryType, raw)
        return
    made = value_of(MemoryType, raw)
    assert made == raw
    assert made.name == f"{'OS' if raw >> 31 else 'OEM'}{raw:#x}"
    assert made == MemoryType(raw)
    assert hash(made) == hash(MemoryType(raw))


@pytest.mark.parametrize(
    ("annotation", "value", "shown"),
    [
        (UINT32, 5, 5), (Handle, 0x1000, "0x1000"), (Boolean, 2, True), (Boolean, 0, False),
        (StatusCode, Status.NOT_FOUND, "EFI_NOT_FOUND"), (AllocateType, AllocateType.MaxAddress, "MaxAddress"),
        (Guid, Guid(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)  # fmt: skip
def test_how_values_are_shown(annotation, value, shown):
    assert codec_of(annotation).show(value) == shown


@pytest.mark.parametrize("annotation", [int, str, "UINT32", None, list[int], Buffer])
def test_what_is_not_of_the_vocabulary_is_refused(annotation):
    with pytest.raises(TypeError):
        codec_of(annotation)


def test_a_guid_lies_in_memory_as_section_2_3_1_says():
    guid = Guid("8be4df61-93ca-11d2-aa0d-00e098032b8c")
    raw = bytes.fromhex("61dfe48bca93d211aa0d00e098032b8c")
    assert codec_of(Guid).store(X86_64, guid) == raw
    assert codec_of(Guid).load(X86_64, raw + b"more") == guid


def test_references(memory, specification):
    at = specification.base
    memory.write(at, b"\x11" * 16)
    pointer = InOut(at, Scalar(4), X86_64, memory)
    assert pointer.get() == 0x1111_1111
    pointer.set(0x1_2222_2222)
    assert memory.read(at, 8) == b"\x22" * 4 + b"\x11" * 4
    assert pointer.result == 0x1_2222_2222
    # What the caller passed stays readable.
    assert pointer.get() == 0x1111_1111
    answer = Out(at + 8, Scalar(None), X86_64, memory)
    assert answer.result is None
    answer.set(3)
    assert memory.read(at + 8, 8) == X86_64.pack(3)


@given(st.text(st.characters(exclude_characters="\0", codec="utf-16-le"), max_size=300), st.integers(0, 5000))
def test_text_anywhere(memory, specification, text, offset):
    memory.data[:0x3000] = b"\xff" * 0x3000
    memory.write(specification.base + offset, (text + "\0").encode("utf-16-le"))
    assert read_text(memory, specification.base + offset) == text


def test_text_at_the_very_end_of_memory(memory, specification):
    end = specification.base + specification.size
    for text in ("", "x", "hello"):
        data = (text + "\0").encode("utf-16-le")
        memory.write(end - len(data), data)
        assert read_text(memory, end - len(data)) == text


def test_half_a_surrogate_pair_is_text_all_the_same(memory, specification):
    memory.write(specification.base, b"\x00\xd8a\0\0\0")
    assert read_text(memory, specification.base) == "�a"


def test_text_without_an_end(memory, specification):
    memory.data[: 3 * MAX_STRING] = b"a" * (3 * MAX_STRING)
    with pytest.raises(EfiError) as refused:
        read_text(memory, specification.base)
    assert refused.value.status is Status.INVALID_PARAMETER


def test_a_device_path_ends_with_the_end_of_the_entire_path(memory, specification):
    path = b"\1\4\6\0ab" + b"\x7f\1\4\0" + b"\4\4\4\0" + END
    memory.write(specification.base + 1, path + b"rest")
    assert read_path(memory, specification.base + 1) == path


@pytest.mark.parametrize("node", [b"\1\1\0\0", b"\1\1\3\0", b"\x7f\xff\0\0"])
def test_a_node_shorter_than_its_header(memory, specification, node):
    memory.write(specification.base, node + END)
    with pytest.raises(EfiError) as refused:
        read_path(memory, specification.base)
    assert refused.value.status is Status.INVALID_PARAMETER


def test_a_device_path_without_an_end_is_given_up_soon(memory, specification):
    memory.data[:0x10_0000] = b"\1\1\4\0" * 0x4_0000
    began = time.process_time()
    with pytest.raises(EfiError):
        read_path(memory, specification.base)
    assert time.process_time() - began < 1
    memory.data[:0x10_0000] = bytes(0x10_0000)
