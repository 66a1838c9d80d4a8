"""Scripts of keys: text, and names in angle brackets for what is no character."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from efi_services.keyboard import SCAN_CODES, Key

MAX_KEYS = 4096
#: Characters that have names, since they can't be seen.
_CHARACTERS = {"enter": 0x0D, "tab": 0x09, "backspace": 0x08, "space": 0x20, "lt": 0x3C}
_WORD = re.compile(r"<(?:ctrl-([a-z])|([a-z0-9]+)(?: ([0-9]{1,6}(?:\.[0-9]{1,3})?))?)>|([^<])", re.DOTALL)


def parse_keys(text: str) -> tuple[Key, ...]:
    """The keys of a script; raises ValueError.

    ``<wait 2.5>`` lets so many seconds of virtual time pass before the next key.
    """
    keys: list[Key] = []
    at = pause = 0
    while at < len(text):
        found = _WORD.match(text, at)
        if found is None:
            raise ValueError(f"no key: {text[at : at + 20]}; write < as <lt>")
        at = found.end()
        with_control, name, number, character = found.groups()
        if name == "wait" and number:
            pause += int(float(number) * 1_000_000_000)
            continue
        if number or not (with_control or character or name in SCAN_CODES or name in _CHARACTERS):
            known = ", ".join([*_CHARACTERS, *SCAN_CODES, "ctrl-LETTER", "wait SECONDS"])
            raise ValueError(f"there is no key {found[0]}; there are {known}")
        if character and (not character.isprintable() or ord(character) > 0xFFFF):
            raise ValueError(f"no key has the character {character!r}")
        typed = ord(with_control or character or "\0") or _CHARACTERS.get(name, 0)
        keys.append(Key(SCAN_CODES.get(name, 0), typed, pause, control=bool(with_control)))
        pause = 0
        if len(keys) > MAX_KEYS:
            raise ValueError(f"more than {MAX_KEYS} keys")
    return tuple(keys)


def _checked(text: str) -> str:
    parse_keys(text)
    return text


#: A script in a platform's file.
KeyScript = Annotated[str, AfterValidator(_checked)]
