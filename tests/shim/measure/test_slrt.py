"""The table's sizes are those that compilers of TrenchBoot's headers give."""

import struct

import pytest

from shim.measure import slrt


@pytest.mark.parametrize(("layout", "head"), [("current", 8), ("first", 4)])
def test_sizes(layout, head):
    assert len(slrt.entry(slrt.Tag.END, b"", layout)) == head
    assert len(slrt.intel_info(0, 0, 0, layout)) == 552 + head
    assert len(slrt.log_info(0, 0, layout)) == 16 + head
    one = slrt.PolicyEntry(18, slrt.Entity.CMDLINE, "Measured Kernel command line", 0x1000, 2048)
    # The current layout has reserved numbers where the first one's entry begins earlier.
    assert len(slrt.policy((one,) * 3, layout)) == (16 if layout == "current" else 8) + 3 * 56


def test_the_policys_address_and_size_change_places():
    one = slrt.PolicyEntry(18, slrt.Entity.CMDLINE, "x" * 40, 0x1000, 2048)
    current, first = (slrt.policy((one,), layout)[-56:] for layout in slrt.LAYOUTS)
    assert struct.unpack_from("<HHHHQQ", current) == (18, 4, 1, 0, 2048, 0x1000)
    assert struct.unpack_from("<HHHHQQ", first) == (18, 4, 1, 0, 0x1000, 2048)
    assert current[24:] == b"x" * 31 + b"\0", "a text ends with a zero"


def test_a_table_knows_its_size_and_its_end():
    made = slrt.table((slrt.intel_info(1, 2, 3, "current"),), slrt.TXT, "current")
    magic, revision, architecture, size, most = struct.unpack_from("<IHHII", made)
    assert (magic, revision, architecture, size, most) == (0x4452544D, 1, 1, len(made), 4096)
    assert struct.unpack("<II", made[-8:]) == (0xFFFF, 8)
