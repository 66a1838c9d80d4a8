"""A private apt: any suite and architecture of Debian, without touching the machine's own package state.

Each suite and architecture has a folder of its own with index, configuration and lock. The machine's ``Acquire``
settings (proxies, certificates, time-outs) stay in effect; its sources, pins and hooks do not: a hook that empties the
machine's package cache after every download has no business here. apt checks the signatures and hashes; settings that
would let it skip that are overruled.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from payloads.errors import MissingPart

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from payloads.mirrors import Source

_FRESH_SECONDS = 24 * 3600
_COMMAND_SECONDS = 1800
# apt's words with gpgv (until Debian 12) and with sqv (since 13)
_UNTRUSTED = re.compile(r"is not signed|is no longer signed|signature verification|NO_PUBKEY|(?:BAD|EXPKEY|REVKEY)SIG")

# these the machine's own settings may change
_DEFAULTS = """\
Acquire::Retries "2";
Acquire::http::Timeout "30";
Acquire::https::Timeout "30";
"""
# these nothing may change
_CONFIGURATION = """\
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}";
Dir::State::lists "{folder}/lists";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}";
Dir::Cache::archives "{folder}/archives";
Dir::Cache::pkgcache "pkgcache.bin";
Dir::Cache::srcpkgcache "";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Update::Error-Mode "any";
APT::Get::AllowUnauthenticated "false";
Acquire::AllowInsecureRepositories "false";
Acquire::AllowWeakRepositories "false";
Acquire::AllowDowngradeToInsecureRepositories "false";
Acquire::Languages "none";
Acquire::GzipIndexes "true";
Acquire::IndexTargets::deb::Packages::KeepCompressedAs "xz gz";
"""


class UntrustedIndex(MissingPart):
    """A mirror's index is not signed, or not by Debian: nothing is taken from there, not even an older copy."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package as the signed index lists it; size in bytes."""

    name: str
    version: str
    size: int
    sha256: str


class PrivateApt:
    """apt for one suite and architecture, with all its state in one folder. Use it within ``locked``."""

    def __init__(self, folder: Path, suite: str, architecture: str, sources: tuple[Source, ...]) -> None:
        if '"' in str(folder) or "\n" in str(folder):
            raise MissingPart(f"apt can't work in a folder with a quote in its name: {folder}")
        self._folder = folder
        self._suite = suite
        self._architecture = architecture
        self._sources = sources

    @contextmanager
    def locked(self, progress: Callable[[str], None]) -> Iterator[None]:
        """Keep all other processes out of this folder; wait when one is inside."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                progress(f"waiting for another fetch from {self._label}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                # four times as big as the index, and made again in three seconds
                (self._folder / "pkgcache.bin").unlink(missing_ok=True)

    @property
    def updated(self) -> float | None:
        """When the index was read (seconds of the file system's clock); None when that was too long ago to be trusted.

        Too long is a day; an index of an archive that is no longer configured is too old at once.
        """
        try:
            updated = (self._folder / "updated").stat().st_mtime
            sources = (self._folder / "sources.list").read_text("utf-8")
        except OSError:
            return None
        young = 0 <= datetime.now(UTC).timestamp() - updated < _FRESH_SECONDS
        return updated if young and any(sources == self._source_line(source) for source in self._sources) else None

    def refresh(self, progress: Callable[[str], None]) -> None:
        """Fetch the index of the suite, from the first source that has one with Debian's signature.

        Raises:
            UntrustedIndex: an index is there, but not signed by Debian.
            MissingPart: no source could be reached, or none has this suite and architecture.
        """
        progress(f"reading the index of {self._label}")
        (self._folder / "updated").unlink(missing_ok=True)
        failure: MissingPart | None = None
        for source in self._sources:
            self._write_configuration(source)
            for _ in range(2):  # mirrors in the middle of an update are right again a moment later
                done = self._run("apt-get", "--quiet", "update")
                if done.returncode == 0 and any((self._folder / "lists").glob("*_Packages*")):
                    (self._folder / "updated").touch()
                    return
                # the first source is the likeliest to be Debian's own: what is wrong there is what matters
                failure = failure or self._failure(done)
        raise failure or MissingPart(f"no mirror has {self._label}")

    def newest(self, pattern: str) -> Package:
        """The newest package whose whole name matches a regular expression.

        Raises:
            MissingPart: the suite has none.
        """
        names = sorted(filter(re.compile(pattern).fullmatch, self.names()))
        shown = self._run("apt-cache", "show", "--no-all-versions", *names).stdout if names else ""
        best: Package | None = None
        for package in _packages(shown):
            if best is None or self._is_newer(package.version, best.version):
                best = package
        if best is None:
            raise MissingPart(f"no package in {self._label} matches {pattern}")
        return best

    def names(self) -> list[str]:
        """Names of all packages."""
        return self._run("apt-cache", "pkgnames").stdout.split()

    def download(self, package: Package, into: Path) -> Path:
        """Download a package; apt checks it against the signed index.

        Raises:
            MissingPart: it can't be downloaded.
        """
        done = self._run("apt-get", "--quiet", "download", f"{package.name}={package.version}", cwd=into)
        files = list(into.glob("*.deb"))
        if done.returncode != 0 or len(files) != 1:
            raise MissingPart(f"{package.name} can't be downloaded from {self._label}: {_reason(done)}")
        return files[0]

    def download_with_dependencies(self, names: Sequence[str], into: Path) -> list[Path]:
        """Download packages and all that they depend on, as for a machine that has none; apt checks each.

        Raises:
            MissingPart: there is no such package, or one can't be downloaded.
        """
        done = self._run("apt-get", "--quiet", "--simulate", "--no-install-recommends", "install", *names)
        needed = re.findall(r"^Inst (\S+) \((\S+)", done.stdout, re.MULTILINE)
        if done.returncode == 0 and needed:
            done = self._run("apt-get", "--quiet", "download", *map("=".join, needed), cwd=into)
        files = sorted(into.glob("*.deb"))
        if done.returncode != 0 or len(files) != len(needed):
            raise MissingPart(f"{', '.join(names)} can't be downloaded from {self._label}: {_reason(done)}")
        return files

    @property
    def _label(self) -> str:
        return f"Debian {self._suite}, {self._architecture}"

    def _source_line(self, source: Source) -> str:
        return f"deb [arch={self._architecture} signed-by={source.keyring}] {source.uri} {self._suite} main\n"

    def _write_configuration(self, source: Source) -> None:
        for name in ("lists/partial", "archives/partial"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        (self._folder / "status").touch()
        (self._folder / "sources.list").write_text(self._source_line(source), "utf-8")
        own = _CONFIGURATION.format(folder=self._folder, architecture=self._architecture)
        configuration = _DEFAULTS + self._machine_settings() + own
        # apt gives up root for a user who can't enter private folders
        if os.geteuid() == 0:
            configuration += 'APT::Sandbox::User "root";\n'
        file = self._folder / "apt.conf"
        file.touch(mode=0o600)  # a proxy's address may hold a password
        file.write_text(configuration, "utf-8")

    def _machine_settings(self) -> str:
        """The machine's settings about how to download, without those about what: index targets and languages."""
        dump = _command(["apt-config", "dump"], dict(os.environ, LC_ALL="C"), None).stdout
        kept = [
            line
            for line in dump.splitlines()
            if line.startswith("Acquire::") and not line.startswith(("Acquire::IndexTargets", "Acquire::Languages"))
        ]
        return "".join(f"{line}\n" for line in kept)

    def _run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = dict(os.environ, LC_ALL="C", APT_CONFIG=str(self._folder / "apt.conf"))
        return _command(list(arguments), environment, cwd)

    def _is_newer(self, version: str, than: str) -> bool:
        return self._run("dpkg", "--compare-versions", version, "gt", than).returncode == 0

    def _failure(self, done: subprocess.CompletedProcess[str]) -> MissingPart:
        if _UNTRUSTED.search(done.stderr + done.stdout):
            return UntrustedIndex(f"the index of {self._label} is not signed by Debian: {_reason(done)}")
        return MissingPart(f"the index of {self._label} can't be read: {_reason(done)}")


def _command(arguments: list[str], environment: dict[str, str], cwd: Path | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            arguments,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=_COMMAND_SECONDS,
        )
    except FileNotFoundError:
        raise MissingPart(
            f"{arguments[0]} is missing: catalogue payloads are fetched with apt and dpkg, install both"
        ) from None
    except OSError as error:
        raise MissingPart(f"{arguments[0]} can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise MissingPart(f"{arguments[0]} took longer than half an hour: the mirror is too slow") from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The first complaint of apt, as one line."""
    for line in (done.stderr + done.stdout).splitlines():
        if line.startswith(("E: ", "W: ")):
            return line[3:].strip()
    return f"exit status {done.returncode}"


def _packages(stanzas: str) -> Iterator[Package]:
    """Packages out of ``apt-cache show`` (deb-control(5): blank lines between stanzas, one field a line)."""
    for stanza in stanzas.split("\n\n"):
        fields = dict(re.findall(r"^(Package|Version|Size|SHA256): *(\S+)", stanza, re.MULTILINE))
        if len(fields) == 4 and re.fullmatch("[0-9]{1,15}", fields["Size"]):
            yield Package(fields["Package"], fields["Version"], int(fields["Size"]), fields["SHA256"])
