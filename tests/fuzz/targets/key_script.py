"""Scripts of keys: as many keys as a script may have, none before the one before it."""

from shim.config.keys import MAX_KEYS, parse_keys

ERRORS = (ValueError,)
MAX_LENGTH = 4096


def seeds():
    return {"menu": b"<wait 1><down><enter>", "text": b"root=/dev/vda1<enter>", "lt": b"<lt>a<lt><f12>"}


def target(data):
    for each in parse_keys(data.decode("utf-8", "replace")):
        assert 0 <= each.character <= 0xFFFF
        assert each.pause >= 0
    assert MAX_KEYS
