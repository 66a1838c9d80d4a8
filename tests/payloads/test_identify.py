import hashlib
import os
import subprocess
import sys

import pytest

from payloads import Kind, NotRunnable, Unreadable, identify, open_payload


@pytest.mark.parametrize(
    ("subsystem", "kind"), [(10, Kind.EFI_APPLICATION), (11, Kind.EFI_DRIVER), (12, Kind.EFI_DRIVER)]
)
def test_subsystem_tells_applications_from_drivers(build, subsystem, kind):
    assert identify(build.Pe(subsystem=subsystem).build(), "p").kind is kind


def test_what_a_payload_knows(build):
    data = build.Pe().build()
    payload = identify(data, "p")
    assert payload.sha256 == hashlib.sha256(data).hexdigest()
    assert payload.size == len(data)
    assert payload.path is None
    assert payload.linux is None
    assert repr(data) not in repr(payload)


def test_uki(build):
    payload = identify(build.uki().build(), "p")
    assert payload.kind is Kind.UKI
    assert payload.version == "6.12.1-uki"


def test_uki_with_a_hostile_uname(build):
    pe = build.uki()
    pe.parts[3].data = b"\x1b[2J\xff"
    assert identify(pe.build(), "p").version is None


def test_open(build, tmp_path):
    path = tmp_path / "hello.efi"
    path.write_bytes(build.Pe().build())
    assert open_payload(path).name == "hello.efi"
    assert open_payload(path).path == path
    assert open_payload(path, "program:hello").name == "program:hello"


def test_open_follows_symbolic_links(build, tmp_path):
    (tmp_path / "a").write_bytes(build.Pe().build())
    (tmp_path / "b").symlink_to("a")
    assert open_payload(tmp_path / "b").name == "b"


def test_unreadable(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for name, words in {"missing": "No such file", "": "directory", "fifo": "no regular file", "a\0b": "null"}.items():
        with pytest.raises(Unreadable, match=words):
            open_payload(tmp_path / name)
    with pytest.raises(Unreadable, match="no regular file"):
        open_payload(type(tmp_path)("/dev/zero"))
    with pytest.raises(Unreadable, match="Not a directory"):
        open_payload(tmp_path / "fifo" / "x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path):
    (tmp_path / "f").touch(mode=0)
    with pytest.raises(Unreadable, match="Permission denied"):
        open_payload(tmp_path / "f")


def test_too_big_files_are_not_read_whole(tmp_path):
    with (tmp_path / "big").open("wb") as file:
        file.truncate((512 << 20) + 1)
    with pytest.raises(Unreadable, match="512 MiB"):
        open_payload(tmp_path / "big")


def test_empty(tmp_path):
    (tmp_path / "f").touch()
    with pytest.raises(NotRunnable, match="empty"):
        open_payload(tmp_path / "f")


def test_importing_the_package_imports_no_parser():
    code = "import sys, payloads; print([m for m in ('pefile', 'lief', 'cryptography', 'tomllib') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
