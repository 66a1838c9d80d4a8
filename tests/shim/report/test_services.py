"""The list of services, beside the tables of the specification."""

from collections import Counter

from efi_services.service import PROTOCOLS, Service
from shim.report.services import Row, rows

#: UEFI 2.10, sections 4.4 and 4.5: services in a table, without its header and reserved slots.
BOOT, RUNTIME = 44 - 1, 14


def test_every_slot_is_listed_once():
    found = list(rows())
    counts = Counter(row.where for row in found)
    assert counts["boot"] == BOOT
    assert counts["runtime"] == RUNTIME
    methods = sum(isinstance(slot, Service) for protocol in PROTOCOLS.values() for slot in protocol.slots)
    assert len(found) == BOOT + RUNTIME + methods
    assert len({(row.where, row.name) for row in found}) == len(found)


def test_boot_services_come_in_the_order_of_their_table():
    names = [row.name for row in rows() if row.where == "boot"]
    assert names[:3] == ["RaiseTPL", "RestoreTPL", "AllocatePages"]
    assert names[-3:] == ["CopyMem", "SetMem", "CreateEventEx"]


def test_protocols_come_behind_by_name():
    protocols = [row.where for row in rows() if row.where not in ("boot", "runtime")]
    assert protocols == sorted(protocols)
    assert "EFI_RNG_PROTOCOL" in protocols


def test_a_row():
    (row,) = [row for row in rows() if row.name == "AllocatePages"]
    assert isinstance(row, Row)
    assert (row.where, row.spec, row.implemented) == ("boot", "7.2.1", True)
    assert "memory: InOut[PhysicalAddress]" in row.arguments
    assert row.doc
    assert "\n" not in row.doc


def test_every_row_has_a_section_and_a_sentence():
    for row in rows():
        # TrenchBoot's protocols are specified by its patches.
        assert row.spec[0].isdigit() or row.spec.startswith("TrenchBoot"), row
        assert row.doc or not row.implemented, row
