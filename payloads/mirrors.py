"""Where this machine's own apt gets Debian from (sources.list(5), both of its formats).

No host is named here: whatever mirror, proxy or archive the machine is set up with is used for all suites.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from payloads.errors import MissingPart

_KEYRINGS = (
    Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    Path("/usr/share/keyrings/debian-archive-keyring.pgp"),
)
_ONE_LINE = re.compile(r"\s*deb\s+(?:\[(?P<options>[^\]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.*)")
# an archive root ends in /debian, at snapshot archives in a time after that; a mirror list is named after its archive
_ARCHIVE_PATH = re.compile(r".*/debian(/\d{8}T\d{6}Z)?/?")
_MIRROR_LIST_PATH = re.compile(r".*/debian(\.[a-z]+)?")


@dataclass(frozen=True, slots=True)
class Source:
    """A Debian archive, and the file with the keys that its indices must be signed with."""

    uri: str
    keyring: Path


def debian_sources(etc: Path = Path("/etc/apt"), keyrings: tuple[Path, ...] = _KEYRINGS) -> tuple[Source, ...]:
    """The Debian archives that apt is set up with, most trustworthy guess first.

    Other people's repositories may look alike (a URI that ends in /debian): they come last, and Debian's keys tell.

    Args:
        etc: apt's configuration folder.
        keyrings: where Debian's archive keys may be; the first that exists is used for all.

    Raises:
        MissingPart: there is no Debian archive, or no keyring.
    """
    found: dict[str, bool] = {}
    for file in (etc / "sources.list", *sorted((etc / "sources.list.d").glob("*"))):
        try:
            text = file.read_text("utf-8", "replace")
        except OSError:
            continue
        if file.suffix == ".list":
            entries = _one_line_entries(text)
        elif file.suffix == ".sources":
            entries = _deb822_entries(text)
        else:
            continue
        for uri, signed_by in entries:
            plain = not signed_by or "debian-archive" in signed_by
            found[uri] = found.get(uri, False) or plain
    if not found:
        raise MissingPart(f"no Debian mirror is set up: add one to {etc}/sources.list.d (see sources.list(5))")
    keyring = next((each for each in keyrings if each.exists()), None)
    if keyring is None:
        raise MissingPart("Debian's archive keys are missing: install the package debian-archive-keyring")
    return tuple(Source(uri, keyring) for uri in sorted(found, key=lambda uri: not found[uri]))


def _one_line_entries(text: str) -> list[tuple[str, str]]:
    """URI and Signed-By of each line ``deb [options] URI SUITE COMPONENT…`` that stands for Debian itself."""
    entries = []
    for line in text.splitlines():
        found = _ONE_LINE.fullmatch(line.split("#", 1)[0].rstrip())
        if found and _is_debian(found["uri"], found["suite"], found["components"].split()):
            options = dict(option.partition("=")[::2] for option in (found["options"] or "").split())
            entries.append((found["uri"], options.get("signed-by", "")))
    return entries


def _deb822_entries(text: str) -> list[tuple[str, str]]:
    """URI and Signed-By of each stanza that is switched on and stands for Debian itself."""
    entries = []
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in re.split(r"\n(?:[ \t]*\n)+", "\n".join(lines)):
        # a line that starts with a blank goes on with the field before it
        fields = dict(re.findall(r"^([A-Za-z-]+):[ \t]*((?:.*)(?:\n[ \t]+.*)*)", stanza, re.MULTILINE))
        fields = {name.lower(): value for name, value in fields.items()}
        if fields.get("enabled", "yes").strip().lower() in {"no", "false", "0", "off", "without", "disable"}:
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        components = fields.get("components", "").split()
        for uri in fields.get("uris", "").split():
            if any(_is_debian(uri, suite, components) for suite in fields.get("suites", "").split()):
                entries.append((uri, fields.get("signed-by", "")))  # noqa: PERF401  it reads better as a loop
    return entries


def _is_debian(uri: str, suite: str, components: list[str]) -> bool:
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    path = _MIRROR_LIST_PATH if parts.scheme.startswith("mirror") else _ARCHIVE_PATH
    return (
        parts.scheme != "cdrom"
        and not suite.endswith("/")
        and "main" in components
        and bool(path.fullmatch(parts.path))
    )
