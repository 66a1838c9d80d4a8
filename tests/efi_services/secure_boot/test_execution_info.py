from efi_services.abi import X86_64
from efi_services.device_path import END, file_path
from efi_services.guids import IMAGE_SECURITY_DATABASE
from efi_services.secure_boot.execution_info import ExecutionInfo
from efi_services.secure_boot.verification import Action, Verdict


def test_one_table_at_a_time(guest):
    info = ExecutionInfo(guest.firmware)
    info.publish()
    first = guest.tables()[IMAGE_SECURITY_DATABASE]
    assert guest.bytes_at(first, 8) == X86_64.pack(0)
    path = file_path("\\a") + END
    info.add(Verdict(Action.SIG_FAILED, "why"), path, initialized=False)
    at = guest.tables()[IMAGE_SECURITY_DATABASE]
    text = "FilePath(\\a)\0".encode("utf-16-le")
    size = 8 + len(text) + len(path)
    expected = X86_64.pack(1) + (1).to_bytes(4, "little") + size.to_bytes(4, "little") + text + path
    assert guest.bytes_at(at, len(expected)) == expected
    # The table before is gone.
    assert (first, first + 8, None, None) in guest.observer.regions
