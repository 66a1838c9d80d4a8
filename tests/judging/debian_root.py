"""Programs of Debian 13 in a folder, for judges that the machine's own Debian may not have.

The packages come through the same private, verified apt as payloads do, and are unpacked below the user's cache. Their
programs run with the dynamic loader and the libraries beside them: that takes no root and no container.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from payloads import MissingPart
from payloads.apt import PrivateApt
from payloads.mirrors import debian_sources
from shim.config.places import cache_folder

SUITE = "trixie"
#: With all that they depend on; what reaches a TPM is loaded at run time.
PACKAGES = ("systemd", "systemd-boot-efi", "tpm2-tools", "libtss2-tcti-swtpm0t64")
#: A script that the Python of the tests runs.
ALONE = ("systemd-ukify",)
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_ATTEMPTS = 3


@dataclass(frozen=True)
class DebianRoot:
    """Unpacked packages, and their versions by name."""

    folder: Path
    versions: dict[str, str]

    def command(self, path: str) -> list[str]:
        """How to run a program of the folder: its loader, its libraries, and the program by its own name."""
        loader = next(self.folder.glob("usr/lib/*/ld-linux-*.so.*"))
        libraries = f"{loader.parent}:{loader.parent}/systemd"
        program = self.folder / path
        return [str(loader), "--library-path", libraries, "--argv0", program.name, str(program)]

    def script(self, path: str) -> list[str]:
        """How to run a Python script of the folder."""
        return [sys.executable, str(self.folder / path)]


def get_root() -> DebianRoot:
    """The folder, made when it is not there; a MissingPart where no mirror can be reached."""
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise MissingPart(f"programs of Debian are not run on {platform.machine()}")
    cache = cache_folder().absolute()
    apt = PrivateApt(cache / "apt" / f"{SUITE}-{architecture}", SUITE, architecture, debian_sources())
    root = cache / "roots" / f"{SUITE}-{architecture}"
    with apt.locked(lambda _line: None):
        found = _have(root)
        attempt = 0
        while found is None:
            attempt += 1
            try:
                # A mirror in the middle of an update is right again a moment later.
                if attempt > 1 or not apt.updated:
                    apt.refresh(lambda _line: None)
                _make(apt, root)
            except MissingPart:
                if attempt == _ATTEMPTS:
                    raise
                time.sleep(5 * attempt)
            found = _have(root)
    return found


def _have(root: Path) -> DebianRoot | None:
    """What is there, if it is made of these packages."""
    try:
        said = json.loads((root / "packages.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return DebianRoot(root, said["versions"]) if said["wanted"] == [*PACKAGES, *ALONE] else None


def _make(apt: PrivateApt, root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root.parent, prefix=".incoming-") as incoming:
        made, debs, alone = (Path(incoming) / name for name in ("root", "debs", "alone"))
        for folder in (made, debs, alone):
            folder.mkdir()
        files = apt.download_with_dependencies(PACKAGES, debs)
        for name in ALONE:
            (alone / name).mkdir()
            files.append(apt.download(apt.newest(name), alone / name))
        versions = {}
        for file in files:
            subprocess.run(["dpkg-deb", "--extract", file, made], check=True)
            # Name and version, as apt names the file; a colon of the version is %3a there.
            name, version, _ = file.name.split("_")
            versions[name] = version.replace("%3a", ":")
        said = {"wanted": [*PACKAGES, *ALONE], "versions": versions}
        (made / "packages.json").write_text(json.dumps(said), "utf-8")
        shutil.rmtree(root, ignore_errors=True)
        made.rename(root)
