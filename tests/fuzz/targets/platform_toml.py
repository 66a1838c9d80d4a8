"""Files of platforms: a platform whose own text makes it again, or one line that says why not."""

from importlib import resources

from loading import scratch

from shim.config import ready as ready_ones
from shim.config.platform import load_platform
from shim.errors import UnreadableError, UsageError

ERRORS = (UsageError, UnreadableError)
_FILE = scratch() / "fuzz.toml"


def seeds():
    ready = {name: (resources.files("shim") / "platforms" / f"{name}.toml").read_bytes() for name in ready_ones.names()}
    whole = {f"{name}-whole": load_platform(name).toml.encode() for name in ready}
    return ready | whole


def target(data):
    _FILE.write_bytes(data)
    platform = load_platform(str(_FILE))
    _FILE.write_text(platform.toml, encoding="utf-8")
    assert load_platform(str(_FILE)) == platform
