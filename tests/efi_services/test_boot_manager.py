"""What is tried to boot, in which order, and what is told and measured of it."""

import struct

import pytest

from efi_services import guids
from efi_services.boot_choices import choices, full_path
from efi_services.boot_manager import boot
from efi_services.device_path import END, file_path, hard_drive, pci, to_text
from efi_services.disks import FileSystem
from efi_services.dispatch import RunEnds
from efi_services.load_option import LoadOption
from efi_services.status import Status
from efi_services.variables import Variable
from efi_services.volume import Volume

HARD_DRIVE = hard_drive(1, 2048, 1000, bytes(range(16)), 2)
DISK = pci(0, 3, 0)
REMOVABLE = "\\EFI\\BOOT\\BOOTX64.EFI"


@pytest.fixture
def systems(fakes):
    return [FileSystem(DISK + HARD_DRIVE, Volume(fakes.Tree(fakes.files)))]


@pytest.mark.parametrize(
    "given",
    [
        DISK + HARD_DRIVE + file_path(REMOVABLE), HARD_DRIVE + file_path(REMOVABLE), file_path(REMOVABLE),
        DISK + HARD_DRIVE, DISK, HARD_DRIVE, HARD_DRIVE + file_path("\\EFI") + file_path("BOOT\\bootx64.efi"),
    ],
    ids=lambda each: to_text(each + END),
)  # fmt: skip
def test_short_paths_become_whole_ones(systems, given):
    found = full_path(given + END, systems, "x86_64")
    assert found.startswith(DISK + HARD_DRIVE)
    assert to_text(found).lower().replace("/filepath(", "").endswith("x64.efi)")


@pytest.mark.parametrize(
    "given",
    [
        pci(0, 4, 0) + file_path(REMOVABLE), HARD_DRIVE + file_path("\\nothing"), pci(0, 4, 0), b"",
        hard_drive(2, 2048, 1000, bytes(range(16)), 2),
    ],
)  # fmt: skip
def test_what_means_nothing_stays_what_it_is(systems, given):
    assert full_path(given + END, systems, "x86_64") == given + END


def test_the_order(systems):
    options = {number: LoadOption(f"option {number}", pci(0, 9, number) + END) for number in (1, 2, 3)}
    options[3] = LoadOption("inactive", END, attributes=0)
    values = {f"Boot{number:04X}": each.pack() for number, each in options.items()}
    values |= {"BootNext": b"\2\0", "BootOrder": struct.pack("<5H", 1, 2, 3, 4, 5) + b"x", "Boot0005": b"damaged"}
    found = list(choices(lambda name: values.get(name[0], b""), systems, "x86_64"))
    assert [each.number for each in found] == [2, 1, 2, None]
    assert found[-1].path == DISK + HARD_DRIVE + file_path(REMOVABLE) + END


class Machine:
    """A machine that boots by itself: the CPU runs until it is in an image."""

    def __init__(self, guest, path=None, options=None):
        self.guest = guest
        guest.firmware.dispatcher.start(boot(guest.firmware, options, path))
        self.settle()

    def settle(self):
        guest = self.guest
        while any(start <= guest.cpu.registers["rip"] < end for start, end in guest.firmware.gates.ranges):
            guest.cpu.moved = False
            guest.firmware.dispatcher.enter(guest.cpu.registers["rip"])
            if not guest.cpu.moved:
                guest._return()

    def image_returns(self, value):
        self.guest.leave_start(value)
        self.settle()

    @property
    def image(self):
        return self.guest.firmware.images.current


FILES = {"EFI\\BOOT\\BOOTX64.EFI": b"MZremovable", "first.efi": b"MZfirst", "second.efi": b"MZsecond"}


@pytest.fixture
def switched_on(power_on, fakes, measuring):
    def make(*options, order=None, **variables):
        names = {f"Boot{i:04X}": each.pack() for i, each in enumerate(options)}
        if options:
            names["BootOrder"] = b"".join(struct.pack("<H", i) for i in order or range(len(options)))
        own = [Variable(name, guids.GLOBAL_VARIABLE, 7, data) for name, data in (names | variables).items()]
        guest = power_on(trees=[fakes.Tree(FILES)], variables=tuple(own), tpm=measuring["tpm"])
        for name in ("removable", "first", "second"):
            guest.image(name=name)
        return guest

    return make


def option(name, data=b""):
    return LoadOption(name, DISK + file_path(f"\\{name}.efi") + END, data)


def current(guest):
    try:
        return guest.firmware.variables.get("BootCurrent", guids.GLOBAL_VARIABLE).data
    except Exception:  # noqa: BLE001 - there is none
        return None


def test_the_first_option_is_booted(switched_on):
    guest = switched_on(option("first", b"o\0"), option("second"))
    machine = Machine(guest)
    assert machine.image.file.name == "first"
    assert current(guest) == b"\0\0"
    assert guest.observer.inputs[-1][2] == b"o\0"
    with pytest.raises(RunEnds) as end:
        machine.image_returns(0)
    assert (end.value.kind, end.value.status) == ("returned", 0)


def test_one_that_fails_is_followed_by_the_next(switched_on):
    guest = switched_on(option("nothing"), option("first"), option("second"))
    machine = Machine(guest)
    assert current(guest) == b"\1\0"
    machine.image_returns(Status.ABORTED)
    assert machine.image.file.name == "second"
    machine.image_returns(Status.NOT_FOUND)
    assert machine.image.file.name == "removable"
    assert current(guest) is None
    with pytest.raises(RunEnds, match="nothing that could be booted"):
        machine.image_returns(Status.ABORTED)
    failed = [detail for kind, detail in guest.observer.findings if kind == "boot-option-failed"]
    assert [each.rpartition(": ")[2] for each in failed] == [
        "EFI_NOT_FOUND", "EFI_ABORTED", "EFI_NOT_FOUND", "EFI_ABORTED",
    ]  # fmt: skip


def test_what_is_measured(switched_on):
    guest = switched_on(option("first"), option("second"))
    Machine(guest).image_returns(Status.ABORTED)
    told = [(each.index, each.description) for each in guest.observer.extensions if each.index in (1, 4)]
    calling = [each for index, each in told if index == 4 and "EFI Application" in each]
    assert len([each for index, each in told if index == 1 and "Boot" in each]) == 3
    assert [each.split()[0] for each in calling] == ["Calling", "Returning", "Calling"]


def test_boot_next_counts_once(switched_on):
    guest = switched_on(option("first"), option("second"), BootNext=b"\1\0")
    machine = Machine(guest)
    assert machine.image.file.name == "second"
    assert guest.firmware.variables.value(("BootNext", guids.GLOBAL_VARIABLE)) == b""


def test_a_file_that_is_asked_for_and_other_load_options(switched_on):
    guest = switched_on(option("first"))
    machine = Machine(guest, DISK + file_path("\\second.efi") + END, b"mine")
    assert machine.image.file.name == "second"
    assert guest.observer.inputs[-1][2] == b"mine"
    with pytest.raises(RunEnds):
        machine.image_returns(Status.ABORTED)


def test_nothing_at_all(power_on):
    with pytest.raises(RunEnds) as end:
        Machine(power_on())
    assert end.value.status == Status.NOT_FOUND
