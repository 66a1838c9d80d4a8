"""What is remarkable about an access: each kind on both recorders."""

import pytest

from efi_services.ports import Access
from shim.trace.findings import KINDS, Check, checks_of
from shim.trace.regions import Region
from shim.trace.tables import TOUCHED


def found(watched):
    watched.finish()
    return {each.kind: (each.count, each.first, each.first_call) for each in watched.recorder.findings()}


def test_reads_of_what_nobody_wrote(watched):
    watched.born(0x100, 0x200)
    watched.recorder.access(0x10, 0x100, 8, True)
    watched.recorder.access(0x10, 0x100, 8, False)
    watched.call()
    watched.call()
    watched.recorder.access(0x14, 0x104, 8, False)  # the upper half is new
    watched.recorder.access(0x14, 0x180, 1, False)
    assert found(watched) == {"read-of-unwritten": (2, "0x104 in pool x, from the code at 0x14", 1)}


@pytest.mark.parametrize("kind", ["firmware", "image"])
def test_what_the_firmware_made_was_written_by_it(watched, kind):
    watched.born(0x100, 0x200, kind=kind)
    watched.recorder.access(0x10, 0x100, 8, False)
    assert found(watched) == {}


def test_what_a_service_wrote_is_written(watched):
    watched.born(0x100, 0x200)
    watched.recorder.service_access(0x100, 0x20, True)
    watched.recorder.access(0x10, 0x118, 8, False)
    assert found(watched) == {}


def test_memory_is_new_each_time_it_is_given_out(watched):
    watched.born(0x100, 0x200)
    watched.recorder.access(0x10, 0x100, 8, True)
    watched.died(0x100, 0x200)
    watched.born(0x100, 0x200)
    watched.recorder.access(0x10, 0x100, 8, False)
    assert list(found(watched)) == ["read-of-unwritten"]


def test_what_is_left_of_a_region_keeps_what_was_written(watched):
    watched.born(0x100, 0x200)
    watched.recorder.access(0x10, 0x100, 8, True)
    watched.died(0x180, 0x200)
    watched.recorder.access(0x10, 0x100, 8, False)
    assert found(watched) == {}


def test_freed_memory_and_nobodys(watched):
    watched.born(0x100, 0x200)
    watched.died(0x140, 0x180)
    watched.recorder.access(0x10, 0x150, 8, False)
    watched.recorder.access(0x10, 0x150, 8, True)
    watched.recorder.access(0x10, 0x600, 8, True)
    watched.recorder.access(0x10, (1 << 64) - 8, 8, True)
    watched.born(0x140, 0x150)
    watched.recorder.access(0x10, 0x148, 4, True)
    watched.recorder.access(0x10, 0x150, 4, True)  # what is left of the freed part
    assert found(watched) == {
        "access-to-freed": (3, "0x150 in memory that was freed, from the code at 0x10", None),
        "access-to-nobodys": (2, "0x600 in memory that nobody owns, from the code at 0x10", None),
    }


def test_boot_services_memory_after_the_exit(watched):
    watched.born(0x100, 0x200, type_="BootServicesData", name="")
    watched.born(0x200, 0x300, type_="LoaderData")
    watched.born(0x300, 0x400, kind="stack", type_="BootServicesData")
    for address in (0x100, 0x200, 0x300):
        watched.recorder.access(0x10, address, 8, True)
    watched.call()
    watched.recorder.exited()
    for address in (0x200, 0x300, 0x100, 0x100):
        watched.recorder.access(0x10, address, 8, False)
    assert found(watched) == {
        "boot-services-memory-after-exit": (2, "0x100 in pool BootServicesData, from the code at 0x10", 0)
    }


def test_writes_to_code_and_to_what_is_read_only(watched):
    watched.born(0x100, 0x200, kind="image", name="payload .text", access=Access.RWX)
    watched.born(0x200, 0x300, kind="image", name="payload .rodata", access=Access.READ)
    watched.born(0x300, 0x400, kind="image", name="payload .data", access=Access.RW)
    for address in (0x100, 0x200, 0x300):
        watched.recorder.access(0x10, address, 8, True)
        watched.recorder.access(0x10, address, 8, False)
    assert found(watched) == {"write-to-code": (2, "0x100 in image payload .text, from the code at 0x10", None)}


def test_execution_of_data(watched):
    watched.born(0x100, 0x200, access=Access.RW)
    watched.born(0x200, 0x300, kind="pages", type_="LoaderCode", access=Access.RWX)
    for address in (0x200, 0x110, 0x110, 0x700):
        watched.recorder.block(address, 4)
    assert found(watched) == {"execution-of-data": (3, "0x110 in pool x", None)}


def test_rows_say_how_many_of_them_are_findings(watched):
    watched.born(0x100, 0x200)
    watched.recorder.access(0x10, 0x100, 8, False)
    watched.recorder.access(0x10, 0x100, 8, False)
    watched.recorder.access(0x20, 0x100, 8, True)
    watched.recorder.access(0x10, 0x100, 8, False)
    watched.finish()
    assert [(row["count"], row["findings"]) for row in watched.rows.named(TOUCHED)] == [(3, 2), (1, 0)]


def test_the_place_of_the_first_is_named_while_it_lives(watched):
    watched.born(0x100, 0x200, name="early")
    watched.recorder.access(0x10, 0x100, 8, False)
    watched.died(0x100, 0x200)
    watched.born(0x100, 0x200, name="late")
    watched.recorder.access(0x10, 0x100, 8, False)
    assert found(watched)["read-of-unwritten"] == (2, "0x100 in pool early, from the code at 0x10", None)


def test_kinds_and_checks():
    assert len(KINDS) == len(set(KINDS))
    region = Region(1, 0, 1, "pages", "", "BootServicesData", "", None, access=Access.RWX)
    assert checks_of(region) == Check.WRITTEN | Check.BOOT_SERVICES | Check.EXECUTABLE
