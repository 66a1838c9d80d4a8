"""Looking names up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from efi_services.status import Status
from efi_services.volume import MAX_PATH, Volume, is_name


@pytest.fixture
def volume(fakes):
    return Volume(fakes.Tree(fakes.files))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("initrd.img", "\\initrd.img"), ("\\INITRD.IMG", "\\initrd.img"), (".\\efi\\.\\boot", "\\EFI\\BOOT"),
        ("EFI\\\\BOOT\\bootx64.efi", "\\EFI\\BOOT\\BOOTX64.EFI"), ("EFI\\..\\empty", "\\empty"), ("\\", "\\"),
        ("EFI\\", "\\EFI"), ("efi\\linux\\A RATH~1", "\\EFI\\Linux\\a rather long name.efi"), (" empty . ", "\\empty"),
    ],
)  # fmt: skip
def test_names_are_found_whatever_their_case(volume, path, found):
    assert volume.locate(volume.root, path).path == found


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("", Status.INVALID_PARAMETER), ("..", Status.INVALID_PARAMETER), ("EFI\\..\\..\\x", Status.INVALID_PARAMETER),
        ("a/b", Status.INVALID_PARAMETER), ("x" * (MAX_PATH + 1), Status.INVALID_PARAMETER),
        ("C:", Status.INVALID_PARAMETER), ("nothing", Status.NOT_FOUND), ("empty\\x", Status.NOT_FOUND),
        ("empty\\", Status.NOT_FOUND), ("EFI\\BOOT\\x", Status.NOT_FOUND),
    ],
)  # fmt: skip
def test_what_is_not_there(volume, attempt, path, status):
    assert attempt(volume.locate, volume.root, path) == (None, status)


def test_a_damaged_volume_says_so_once_to_the_guest_and_once_to_the_user(fakes, attempt):
    told = []
    volume = Volume(fakes.Tree(fakes.files, broken=("EFI", "empty")), lambda *finding: told.append(finding))
    assert attempt(volume.locate, volume.root, "EFI\\BOOT") == (None, Status.VOLUME_CORRUPTED)
    file = volume.locate(volume.root, "empty").node
    assert attempt(volume.read, file, 0, 1) == (None, Status.VOLUME_CORRUPTED)
    assert told == [("disk-damaged", "EFI can't be listed"), ("disk-damaged", "empty can't be read")]


@given(st.text(alphabet=st.sampled_from("\\./ aEFIé\0\ud800"), max_size=40))
def test_no_path_leads_out_or_breaks_anything(fakes, attempt, path):
    volume = Volume(fakes.Tree(fakes.files))
    place, refusal = attempt(volume.locate, volume.root, path)
    assert refusal in (None, Status.INVALID_PARAMETER, Status.NOT_FOUND)
    assert place is None or place.parents == () or place.parents[0] is volume.root


def test_what_fat_can_have_as_a_name():
    assert is_name("a" * 255)
    assert is_name("Grüße 日本.efi")
    assert not any(map(is_name, ("", "a" * 256, "a/b", "a\\b", "a\n", "nul\0", "dot.", "blank ", "a?", "😀" * 128)))
