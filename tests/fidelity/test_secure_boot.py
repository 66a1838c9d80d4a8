"""What a program prints on two firmwares, compared."""

import pytest

import secure_boot
import signed_images
from qemu import Failed

EVENTS = ["event 7 0x80000001 aa", "event 4 0x80000003 bb"]


def lines(refused=(1, 2), action="3", events=EVENTS):
    loads = [
        f"load {number:02}.efi {'EFI_ACCESS_DENIED' if number in refused else 'EFI_SUCCESS'}"
        for number in range(len(signed_images.CASES))
    ]
    return [*loads, *[f"action {action}"] * len(refused), *events]


def test_equal_ones():
    page, fine = secure_boot.compare(lines(), lines(), ["fine"])
    assert fine
    assert "| signed by a key in db | EFI_SUCCESS |  | fine |" in page
    assert page.count("| equal |") == 2


def test_an_action_that_ovmf_does_not_name_has_a_reason():
    page, fine = secure_boot.compare(lines(), lines(action="0"), [])
    assert fine
    assert "signature not found; on OVMF untested" in page
    assert not secure_boot.compare(lines(action="0"), lines(), [])[1]


@pytest.mark.parametrize("other", [lines(refused=(1,)), lines(events=EVENTS[::-1]), lines(events=EVENTS[:1])])
def test_different_ones(other):
    page, fine = secure_boot.compare(lines(), other, [])
    assert not fine
    assert "on OVMF EFI_SUCCESS" in page or "not there" in page or "The order is not the same" in page


def test_a_table_with_too_little_in_it():
    with pytest.raises(Failed, match="2 images were refused, and 1 are in the table"):
        secure_boot.compare(lines(), [each for each in lines() if not each.startswith("action")] + ["action 3"], [])


def test_the_programs_own_lines():
    said = b"BdsDxe: ...\r\nLoading what lies beside.\r\nload 00.efi EFI_SUCCESS\r\nThat is all.\r\n"
    assert secure_boot.lines_of(said) == ["load 00.efi EFI_SUCCESS"]
    with pytest.raises(Failed, match="did not come to its end"):
        secure_boot.lines_of(said[:-10])


def test_images_of_all_cases(tmp_path, need):
    from efi_services.secure_boot.verification import Judge
    from payloads.catalogue import program
    from shim.tpm.authenticode import PeDigests

    need("sbsign")
    need("openssl")
    signed_images.make_keys(tmp_path)
    made = signed_images.make_images(tmp_path, program("program:hello").read_bytes())
    lists = signed_images.databases(tmp_path, made)
    allowed = [Judge(each, PeDigests(), lists["db"], lists["dbx"], lists["dbt"]).decide().allowed for each in made]
    assert [number for number, each in enumerate(allowed) if each] == [0, 3, 6, 11, 15, 17]
