import re

import pytest

from payloads import PayloadError, UnknownName, catalogue
from payloads.catalogue import entries, find, is_name, program, programs


def test_names_are_unique_and_found():
    names = [entry.name for entry in entries()]
    assert len(set(names)) == len(names)
    for entry in entries():
        assert find(entry.name) is entry
        assert entry.name == f"{entry.distribution}:{entry.suite}/{entry.name.partition('/')[2]}"
        assert is_name(entry.name)
        assert entry.description


@pytest.mark.parametrize("suite", ["bookworm", "trixie", "trixie-backports", "sid"])
@pytest.mark.parametrize("flavour", ["cloud-amd64", "amd64", "cloud-arm64", "arm64", "armmp"])
def test_what_is_promised(suite, flavour):
    find(f"debian:{suite}/{flavour}")


@pytest.mark.parametrize(
    ("name", "package", "matches"),
    [
        ("debian:bookworm/amd64", "linux-image-6.1.0-50-amd64", True),
        ("debian:bookworm/amd64", "linux-image-6.1.0-50-cloud-amd64", False),
        ("debian:bookworm/amd64", "linux-image-6.1.0-50-rt-amd64", False),
        ("debian:bookworm/amd64", "linux-image-6.1.0-50-amd64-unsigned", False),
        ("debian:bookworm/amd64", "linux-image-6.1.0-50-amd64-dbg", False),
        ("debian:bookworm/amd64", "linux-image-amd64", False),
        ("debian:bookworm/686-pae", "linux-image-6.1.0-50-686-pae", True),
        ("debian:trixie/cloud-amd64", "linux-image-6.12.107+deb13-cloud-amd64", True),
        ("debian:trixie/amd64", "linux-image-6.12.107+deb13-cloud-amd64", False),
        ("debian:trixie/arm64", "linux-image-6.12.107+deb13-arm64-16k", False),
        ("debian:sid/amd64", "linux-binary-7.2.13+deb14-amd64", True),
        ("debian:sid/amd64", "linux-binary-unsigned-7.2.13+deb14-amd64", False),
        ("debian:sid/amd64", "linux-image-7.2.13+deb14-amd64", False),
        ("debian:sid/armmp", "linux-binary-7.2.13+deb14-armmp-lpae", False),
        ("debian:trixie/cloud-amd64@6.12", "linux-image-6.12.94+deb13-cloud-amd64", True),
        ("debian:trixie/cloud-amd64@6.12.94", "linux-image-6.12.94+deb13-cloud-amd64", True),
        ("debian:trixie/cloud-amd64@6.12.94+deb13", "linux-image-6.12.94+deb13-cloud-amd64", True),
        ("debian:trixie/cloud-amd64@6.12.9", "linux-image-6.12.94+deb13-cloud-amd64", False),
        ("debian:trixie/cloud-amd64@6.1", "linux-image-6.12.94+deb13-cloud-amd64", False),
        ("debian:bookworm/amd64@6.1.0-47", "linux-image-6.1.0-47-amd64", True),
        ("debian:bookworm/amd64@6.1.0-4", "linux-image-6.1.0-47-amd64", False),
        ("debian:trixie-backports/amd64", "linux-image-6.17.8+deb13-amd64", True),
        ("debian:trixie-backports/amd64", "linux-image-7.0.4+deb13-amd64", False),
    ],
)
def test_package_patterns(name, package, matches):
    assert bool(re.fullmatch(find(name).package, package)) is matches


@pytest.mark.parametrize(
    ("suite", "architecture"),
    [
        *((suite, each) for suite in ("bookworm", "trixie", "sid") for each in ("amd64", "arm64")),
        *((suite, each) for suite in ("trixie", "sid") for each in ("armhf", "riscv64")),
        ("bookworm", "i386"),
    ],
)
def test_stubs_are_promised(suite, architecture):
    stub = find(f"debian:{suite}/systemd-stub-{architecture}")
    uefi = {"amd64": "x64", "arm64": "aa64", "armhf": "arm", "i386": "ia32"}.get(architecture, architecture)
    assert (stub.package, stub.architecture, stub.kernel) == ("systemd-boot-efi", architecture, False)
    assert stub.paths == (f"usr/lib/systemd/boot/efi/linux{uefi}.efi.stub",)


@pytest.mark.parametrize("architecture", ["amd64", "arm64", "i386"])
def test_a_package_with_several_programs(architecture):
    sample = find(f"debian:trixie/gnu-efi-bltgrid-{architecture}")
    assert (sample.package, sample.architecture, sample.kernel) == ("gnu-efi", architecture, False)
    assert sample.paths == ("usr/lib/gnuefi/apps/bltgrid.efi",)
    assert "bltgrid" in sample.description


def test_only_kernels_have_older_versions():
    with pytest.raises(UnknownName):
        find("debian:sid/systemd-stub-amd64@262")


def test_unknown_names_are_told_what_comes_close():
    with pytest.raises(UnknownName, match=r"did you mean .*debian:trixie/cloud-amd64") as error:
        find("debian:trixie/cloudamd64")
    assert isinstance(error.value, PayloadError)
    with pytest.raises(UnknownName, match="lists all names"):
        find("zzz")
    with pytest.raises(UnknownName):
        find("debian:trixie/amd64@")


def test_programs(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "_BUILT_PROGRAMS", tmp_path)
    assert programs() == ()
    for name in ("hello-x86_64.efi", "hello-aarch64.efi", "exit-error-riscv64.efi", "notes.txt"):
        (tmp_path / name).touch()
    assert programs() == ("program:exit-error-riscv64", "program:hello-aarch64", "program:hello-x86_64")
    assert program("program:hello-aarch64") == tmp_path / "hello-aarch64.efi"
    assert program("program:hello") == tmp_path / "hello-x86_64.efi"
    assert program("program:exit-error") == tmp_path / "exit-error-riscv64.efi"
    for bad in ("program:hell", "program:../catalogue", "program:exit", "program:"):
        with pytest.raises(UnknownName):
            program(bad)
