"""What the stub took, one in a line."""

import hashlib
import json

import pytest

from efi_services.tcg.algorithms import Algorithm
from efi_services.tcg.events import Event, EventType
from efi_services.tcg.piece import piece
from shim.errors import UsageError
from shim.measure.formats import FORMATS
from shim.measure.model import Measurements


def taken(*inputs):
    events = tuple(Event(0, EventType.EV_IPL, piece("", data).digests, name) for name, data in inputs)
    return Measurements("exact", tuple(Algorithm), events)


def test_a_line_is_as_sha256sum_writes_it(wrap):
    made = FORMATS["inputs"].write(wrap(taken((b"load options", b"quiet"), ("größe".encode(), b""))))
    assert made.decode() == (
        f"{hashlib.sha256(b'quiet').hexdigest()}  load options\n{hashlib.sha256(b'').hexdigest()}  größe\n"
    )


def test_its_digest_is_the_one_value(wrap):
    measured = wrap(taken((b"a", b"1"), (b"b", b"2")))
    said = json.loads(FORMATS["json"].write(measured))["sets"][0]["inputs_sha256"]
    assert said == hashlib.sha256(FORMATS["inputs"].write(measured)).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        taken((b"b", b"1"), (b"a", b"2")),
        taken((b"a", b"2"), (b"b", b"1")),
        taken((b"b", b"2"), (b"a", b"1")),
        taken((b"a", b"1")),
        taken((b"a", b"1"), (b"b\n", b"2")),
    ],
)
def test_it_differs_where_a_name_a_value_or_the_order_does(other, wrap):
    form = FORMATS["inputs"]
    assert form.write(wrap(other)) != form.write(wrap(taken((b"a", b"1"), (b"b", b"2"))))


@pytest.mark.parametrize(("name", "shown"), [(b"a\nb", "a\\u000ab"), (b"\\", "\\u005c"), (b"\xff", "\\u005cxff")])
def test_a_name_stays_in_its_line(name, shown, wrap):
    assert FORMATS["inputs"].write(wrap(taken((name, b"")))).decode()[66:] == f"{shown}\n"


def test_of_registers_there_is_no_such_list(boots, wrap):
    with pytest.raises(UsageError, match="--profile exact"):
        FORMATS["inputs"].write(wrap(boots()))
