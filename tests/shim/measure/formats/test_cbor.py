import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.measure.formats.cbor import MAX_DEPTH, MAX_VALUES, CborError, Reader

LEAVES = st.integers(-(1 << 64), (1 << 64) - 1) | st.binary() | st.text() | st.booleans() | st.none()
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.integers(0, 300) | st.text(), inner, max_size=5),
    max_leaves=20,
)


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(depth, inner), default=0)


@given(VALUES.filter(lambda value: depth(value) <= MAX_DEPTH + 1))
def test_what_cbor2_writes_is_read(value):
    assert Reader(cbor2.dumps(value)).item() == value


@given(st.binary(max_size=200))
def test_other_bytes_are_refused_or_read_as_cbor2_reads_them(data):
    reader = Reader(data)
    try:
        value = reader.item()
    except CborError:
        return
    assert cbor2.loads(data[: reader.at]) == value


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "1 bytes are wanted"),
        (b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "are wanted"),
        (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "are wanted"),
        (b"\xc2\x41\x01", "tag"),
        (b"\xfb" + bytes(8), "no integer"),
        (b"\x1c", "no CBOR"),
        (b"\x5f\x41\x01\xff", "no length"),
        (b"\x61\xff", "UTF-8"),
        (b"\xa2\x01\x01\x01\x02", "twice"),
        (b"\xa1\x41\x01\x02", "neither"),
        (b"\x81" * (MAX_DEPTH + 1) + b"\x00", "deep"),
        (b"\x99\x10\x00" + b"\x80" * MAX_VALUES, "too much"),
    ],
)
def test_what_is_refused(data, why):
    with pytest.raises(CborError, match=why):
        Reader(data).item()


def test_an_array_may_have_its_end_marked():
    reader = Reader(b"\x9f\x01\xff")
    assert reader.array() is None
    assert not reader.ends()
    assert reader.item() == 1
    assert reader.ends()
    assert reader.at == 3
    with pytest.raises(CborError, match="no array"):
        Reader(b"\x01").array()
