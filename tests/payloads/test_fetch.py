import hashlib
import json
import os
import shutil
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from payloads import Kind, MissingPart, open_payload
from payloads.apt import PrivateApt, UntrustedIndex
from payloads.catalogue import Entry, find
from payloads.fetch import cached, carried, fetch, find_by_hash, open_cached
from payloads.mirrors import Source

TOOLS = ("apt-get", "apt-cache", "apt-config", "dpkg", "dpkg-deb", "gpg")
needs_apt = pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")

ENTRY = Entry(
    name="debian:test/cloud-amd64",
    distribution="debian",
    suite="test",
    architecture="amd64",
    package=r"linux-image-(?P<version>[0-9][0-9a-z.+~]*)-cloud-amd64",
    paths=("boot/vmlinuz-*",),
    description="a test",
)


class Archive:
    """A Debian archive in a folder, signed with a throw-away key."""

    def __init__(self, folder: Path, key_home: Path) -> None:
        self.folder = folder
        self._key_home = key_home
        self._packages: dict[str, str] = {}
        self.source = Source(f"file:{folder}", folder.parent / "archive.gpg")
        keys = self._gpg("--export").stdout
        self.source.keyring.write_bytes(keys)

    def _gpg(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = ["gpg", "--batch", "--homedir", str(self._key_home), *arguments]
        return subprocess.run(command, check=True, capture_output=True)

    def add(
        self, version: str, files: dict[str, bytes], *, name: str = "", depends: str = "", publish: bool = True
    ) -> Path:
        name = name or f"linux-image-{version.partition('-')[0]}-cloud-amd64"
        tree = self.folder / "tree"
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            if content.startswith(b"->"):
                (tree / path).symlink_to(content[2:].decode())
            else:
                (tree / path).write_bytes(content)
        (tree / "DEBIAN").mkdir(parents=True)
        fields = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\nMaintainer: T <t@example.org>\n"
        fields += f"Depends: {depends}\n" if depends else ""
        (tree / "DEBIAN" / "control").write_text(f"{fields}Description: test\n")
        pool = self.folder / "pool"
        pool.mkdir(exist_ok=True)
        deb = pool / f"{name}_{version}_amd64.deb"
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Znone", "--build", tree, deb], check=True, capture_output=True
        )
        shutil.rmtree(tree)
        content = deb.read_bytes()
        self._packages[name] = (
            f"{fields}Filename: pool/{deb.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\nDescription: test\n"
        )
        if publish:
            self.publish()
        return deb

    def remove(self, name: str) -> None:
        del self._packages[name]
        for deb in (self.folder / "pool").glob(f"{name}_*"):
            deb.unlink()

    def publish(self, *, sign: bool = True) -> None:
        index = "\n".join(self._packages.values()).encode()
        dist = self.folder / "dists" / "test"
        (dist / "main" / "binary-amd64").mkdir(parents=True, exist_ok=True)
        (dist / "main" / "binary-amd64" / "Packages").write_bytes(index)
        digest = hashlib.sha256(index).hexdigest()
        release = (
            "Origin: Debian\nSuite: test\nCodename: test\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n"
            "Architectures: amd64\nComponents: main\n"
            f"SHA256:\n {digest} {len(index)} main/binary-amd64/Packages\n"
        )
        for name in ("Release", "InRelease"):
            (dist / name).unlink(missing_ok=True)
        (dist / "Release").write_text(release)
        if sign:
            self._gpg("--clearsign", "--output", str(dist / "InRelease"), str(dist / "Release"))


@pytest.fixture(scope="module")
def key_home(tmp_path_factory):
    home = tmp_path_factory.mktemp("k")
    home.chmod(0o700)
    command = ["gpg", "--batch", "--homedir", str(home), "--passphrase", "", "--quick-generate-key"]
    subprocess.run(
        [*command, "Test Archive <t@example.org>", "ed25519", "sign", "never"], check=True, capture_output=True
    )
    yield home
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False, capture_output=True)


@pytest.fixture
def archive(tmp_path, key_home):
    folder = tmp_path / "archive"
    folder.mkdir()
    return Archive(folder, key_home)


@pytest.fixture
def kernel(build):
    return build.bzimage().build()


@pytest.fixture
def get(archive, tmp_path):
    """Fetch from the test archive; what was said on the way is in ``get.said``."""

    def run(entry=ENTRY):
        run.said = []
        return fetch(entry, cache=tmp_path / "cache", progress=run.said.append, sources=(archive.source,))

    return run


def stale(cache):
    for stamp in (cache / "apt").glob("*/updated"):
        os.utime(stamp, (0, 0))


@needs_apt
def test_fetch(archive, get, kernel, tmp_path):
    cache = tmp_path / "cache"
    deb = archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel, "boot/config": b"x"})
    assert cached(ENTRY, cache) is open_cached(ENTRY, cache, "it") is None
    got = get()
    assert got.path.read_bytes() == kernel
    assert (got.package, got.version) == ("linux-image-6.12.1-cloud-amd64", "6.12.1-1")
    assert got.sha256 == hashlib.sha256(kernel).hexdigest()
    assert got.package_sha256 == hashlib.sha256(deb.read_bytes()).hexdigest()
    assert open_payload(got.path, ENTRY.name).kind is Kind.LINUX_BZIMAGE
    assert cached(ENTRY, cache) == got
    assert open_cached(ENTRY, cache, "it") == open_payload(got.path, "it")
    assert find_by_hash(got.sha256, cache) == got.path
    assert find_by_hash("../" + got.sha256, cache) is None
    # nothing half-done and nothing else lies around
    assert sorted(path.name for path in got.path.parent.iterdir()) == sorted([got.path.name, "current.json"])


@needs_apt
def test_the_newest_by_debians_order(archive, get, kernel):
    for number, version in enumerate(("6.9.1-1", "6.12.1~rc1-1", "6.12.1-1", "6.2.30-1")):
        name = f"linux-image-{number}-cloud-amd64"
        archive.add(version, {f"boot/vmlinuz-{version}": version.encode()}, name=name)
    assert get().version == "6.12.1-1"


@needs_apt
def test_a_second_time_downloads_nothing(archive, get, kernel):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    first = get()
    assert len(get.said) == 2
    assert get() == first
    assert get.said == []


@needs_apt
def test_an_index_older_than_a_day_is_read_again_and_old_versions_stay(archive, get, kernel, tmp_path):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": b"old"})
    old = get()
    archive.add("6.12.2-1", {"boot/vmlinuz-6.12.2": kernel})
    assert get() == old
    stale(tmp_path / "cache")
    new = get()
    assert new.version == "6.12.2-1"
    assert cached(ENTRY, tmp_path / "cache") == new
    assert find_by_hash(old.sha256, tmp_path / "cache").read_bytes() == b"old"


@needs_apt
def test_an_older_version_by_name(archive, get, kernel, tmp_path):
    for version in ("6.12.10-1", "6.12.9-1", "6.2.1-1"):
        archive.add(version, {f"boot/vmlinuz-{version}": version.encode()})
    asked = {"cache": tmp_path / "cache", "sources": (archive.source,)}
    program = replace(ENTRY, package="linux-image-.*", kernel=False)
    elsewhere = replace(ENTRY, suite="nowhere")
    *found, (last, why) = carried((program, ENTRY, elsewhere), **asked)
    assert found == [(ENTRY, "6.2.1"), (ENTRY, "6.12.9"), (ENTRY, "6.12.10")]
    assert last is elsewhere
    assert isinstance(why, MissingPart)
    old = fetch(ENTRY.of_version("6.12.9"), **asked)
    assert (old.version, old.path.read_bytes()) == ("6.12.9-1", b"6.12.9-1")
    assert fetch(ENTRY.of_version("6.2"), **asked).version == "6.2.1-1"
    assert get().version == "6.12.10-1"
    assert cached(ENTRY.of_version("6.12.9"), tmp_path / "cache") == old


@needs_apt
def test_a_package_that_is_gone_makes_it_look_again(archive, get, kernel):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": b"old"})
    old = get()
    old.path.unlink()
    archive.remove("linux-image-6.12.1-cloud-amd64")
    archive.add("6.12.2-1", {"boot/vmlinuz-6.12.2": kernel})
    assert get().version == "6.12.2-1"


@needs_apt
def test_damaged_copies_are_fetched_again(archive, get, kernel, tmp_path):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    got = get()
    got.path.write_bytes(kernel[:-1])
    assert cached(ENTRY, tmp_path / "cache") is open_cached(ENTRY, tmp_path / "cache", "it") is None
    assert find_by_hash(got.sha256, tmp_path / "cache") is None
    assert get() == got
    assert got.path.read_bytes() == kernel
    for junk in ("", "{", "[]", "{}", '{"sha256": 1, "package": 2, "version": 3, "package_sha256": 4}', "\0"):
        (got.path.parent / "current.json").write_text(junk)
        assert cached(ENTRY, tmp_path / "cache") is None


@needs_apt
def test_offline_the_cached_copy_is_used(archive, get, kernel, tmp_path):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    got = get()
    archive.folder.rename(tmp_path / "away")
    stale(tmp_path / "cache")
    assert get() == got
    assert any("cached copy" in line for line in get.said)


@needs_apt
def test_offline_without_a_copy(archive, get, kernel, tmp_path):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    archive.folder.rename(tmp_path / "away")
    with pytest.raises(MissingPart, match="index of Debian test, amd64 can't be read") as error:
        get()
    assert "\n" not in str(error.value)


@needs_apt
@pytest.mark.parametrize("have_copy", [False, True])
def test_unsigned_indices_are_refused_whatever_the_machine_permits(
    archive, get, kernel, tmp_path, monkeypatch, have_copy
):
    if have_copy:
        archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
        get()
        stale(tmp_path / "cache")
    permissive = tmp_path / "apt.conf"
    permissive.write_text(
        'Acquire::AllowInsecureRepositories "true"; Acquire::AllowDowngradeToInsecureRepositories "true";'
        'APT::Get::AllowUnauthenticated "true";'
    )
    monkeypatch.setenv("APT_CONFIG", str(permissive))
    archive.add("6.12.2-1", {"boot/vmlinuz-6.12.2": kernel}, publish=False)
    archive.publish(sign=False)
    with pytest.raises(UntrustedIndex, match="not signed by Debian"):
        get()


@needs_apt
def test_other_peoples_signatures_are_refused(archive, get, kernel):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    archive.source.keyring.write_bytes(b"")
    with pytest.raises(UntrustedIndex, match="not signed by Debian"):
        get()


@needs_apt
def test_a_repository_of_someone_else_is_passed_over(archive, kernel, tmp_path, key_home):
    (tmp_path / "other" / "archive").mkdir(parents=True)
    other = Archive(tmp_path / "other" / "archive", key_home)
    other.add("7.0-1", {"boot/vmlinuz-7": b"evil"}, publish=False)
    other.publish(sign=False)
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    got = fetch(ENTRY, cache=tmp_path / "cache", sources=(other.source, archive.source))
    assert got.version == "6.12.1-1"


@needs_apt
def test_tampered_packages_are_refused(archive, get, kernel, tmp_path):
    deb = archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    content = bytearray(deb.read_bytes())
    content[-600] ^= 1
    deb.write_bytes(content)
    with pytest.raises(MissingPart, match="can't be downloaded"):
        get()
    assert cached(ENTRY, tmp_path / "cache") is None
    assert not list((tmp_path / "cache" / "payloads").rglob("*.efi"))


@needs_apt
@pytest.mark.parametrize(
    "files",
    [
        {"boot/config": b"x"},
        {"usr/boot/vmlinuz-6.12.1": b"too deep"},
        {"boot/vmlinuz-6.12.1": b"->/etc/passwd"},
    ],
)
def test_packages_without_the_program(archive, get, files):
    archive.add("6.12.1-1", files)
    with pytest.raises(MissingPart, match="has no boot/vmlinuz"):
        get()


@needs_apt
def test_no_package_matches(archive, get):
    archive.add("6.12.1-1", {"boot/vmlinuz-1": b"x"}, name="something-else")
    with pytest.raises(MissingPart, match="no package in Debian test, amd64 matches"):
        get()


@needs_apt
def test_a_package_comes_with_what_it_depends_on(archive, tmp_path):
    archive.add("1", {"a": b"a"}, name="one", depends="two (>= 1)")
    archive.add("1:2", {"b": b"b"}, name="two")
    archive.add("1", {"c": b"c"}, name="three")
    apt = PrivateApt(tmp_path / "apt", "test", "amd64", (archive.source,))
    into = tmp_path / "into"
    into.mkdir()
    with apt.locked(print):
        apt.refresh(print)
        files = apt.download_with_dependencies(["one"], into)
        assert [file.name for file in files] == ["one_1_amd64.deb", "two_1%3a2_amd64.deb"]
        (into / "more").mkdir()
        with pytest.raises(MissingPart, match="four can't be downloaded"):
            apt.download_with_dependencies(["four"], into / "more")
        archive.remove("two")
        with pytest.raises(MissingPart, match="one can't be downloaded"):
            apt.download_with_dependencies(["one"], into / "more")


@needs_apt
def test_hooks_and_sources_of_the_machine_have_no_say(archive, get, kernel, tmp_path, monkeypatch):
    witness = tmp_path / "witness"
    machine = tmp_path / "apt.conf"
    machine.write_text(
        f'APT::Update::Pre-Invoke {{ "touch {witness}"; }}; APT::Update::Post-Invoke {{ "touch {witness}"; false; }};'
        'Acquire::http::Proxy "http://user:secret@proxy.example:3128"; Dir::State "/nonexistent";'
    )
    monkeypatch.setenv("APT_CONFIG", str(machine))
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    get()
    assert not witness.exists()
    settings = tmp_path / "cache" / "apt" / "test-amd64" / "apt.conf"
    assert "proxy.example" in settings.read_text()
    assert settings.stat().st_mode & 0o077 == 0


@needs_apt
def test_two_at_once(archive, kernel, tmp_path):
    archive.add("6.12.1-1", {"boot/vmlinuz-6.12.1": kernel})
    got, said = [], []

    def run():
        got.append(fetch(ENTRY, cache=tmp_path / "cache", progress=said.append, sources=(archive.source,)))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 3
    assert len(set(got)) == 1
    assert len([line for line in said if line.startswith("downloading")]) == 1


@needs_apt
def test_a_cache_that_cannot_be_written(archive, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(MissingPart, match="cache folder"):
        fetch(ENTRY, cache=tmp_path / "cache", sources=(archive.source,))


def test_without_apt(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    source = Source("file:/nowhere", tmp_path / "keyring.gpg")
    with pytest.raises(MissingPart, match="apt-config is missing"):
        fetch(ENTRY, cache=tmp_path / "cache", sources=(source,))


def test_names_do_not_leave_the_cache(tmp_path):
    entry = replace(ENTRY, suite="../../x", name="debian:../..")
    assert cached(entry, tmp_path) is None


@pytest.mark.kernel
def test_a_real_kernel():
    entry = find("debian:trixie/cloud-amd64")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    try:
        got = fetch(entry, cache=Path(base) / "efi-shim")
    except MissingPart as error:
        if os.environ.get("EFI_SHIM_REQUIRE_KERNELS") == "1":
            raise
        pytest.skip(str(error))
    from payloads.describe import describe

    payload = open_payload(got.path, entry.name)
    assert payload.kind is Kind.LINUX_BZIMAGE
    assert payload.machine == "x86_64"
    assert payload.version.endswith("-cloud-amd64")
    assert payload.image.nx_compat
    description = json.loads(json.dumps(describe(payload)))
    (signature,) = description["signatures"]
    assert signature["digest_matches"]
    assert "Debian Secure Boot" in signature["signers"][0]["subject"]
