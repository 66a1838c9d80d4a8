"""A machine's own list of mirrors, and the index that apt tells of: what they name, and nothing else."""

from loading import scratch

from payloads.apt import Package, _packages
from payloads.errors import MissingPart
from payloads.mirrors import debian_sources

ERRORS = (MissingPart,)
MAX_LENGTH = 4096
_ETC = scratch()
_KEYRING = _ETC / "keyring.gpg"
_KEYRING.write_bytes(b"")
(_ETC / "sources.list.d").mkdir()


def seeds():
    return {
        "line": b"deb [signed-by=/k arch=amd64] https://deb.example.org/debian bookworm main\n# no\n",
        "stanza": b"Types: deb\nURIs: https://deb.example.org/debian\n http://other.example/debian\nSuites: sid\n"
        b"Components: main\nEnabled: yes\n\nTypes: deb-src\n",
        "index": b"Package: linux\nVersion: 1-2\nSize: 10\nSHA256: " + b"ab" * 32 + b"\n\nPackage: x\n",
    }


def target(data):
    text = data.decode("utf-8", "replace")
    for each in _packages(text):
        assert isinstance(each, Package)
        assert each.size >= 0
    for name in ("sources.list", "sources.list.d/a.sources"):
        (_ETC / name).write_bytes(data)
    for each in debian_sources(_ETC, (_KEYRING,)):
        assert each.uri
        assert not set(each.uri) & set(" \t\n")
