"""Boot options, as variables bring them: one that is read is the same when it is packed again."""

from efi_services.device_path import END, file_path, to_text
from efi_services.load_option import LoadOption

ERRORS = (ValueError,)
MAX_LENGTH = 2048


def seeds():
    path = file_path("\\EFI\\debian\\shimx64.efi") + END
    return {
        "plain": LoadOption("debian", path).pack(),
        "options": LoadOption("other", path, b"o\0p\0", 0).pack(),
        "several": LoadOption("two", path).pack().replace(path, path + path),
    }


def target(data):
    option = LoadOption.unpack(data)
    again = LoadOption.unpack(option.pack())
    assert (again.path, again.data, again.attributes) == (option.path, option.data, option.attributes)
    to_text(option.path)
