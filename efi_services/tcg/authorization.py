"""The authorization area of a command: passwords, and no other sessions (TPM 2.0 Library, part 1, chapter 18)."""

from __future__ import annotations

from efi_services.tcg.commands import PASSWORD, Parameters, Rc, TpmError, at_session

#: The most sessions that a command may have.
MOST = 3
_LARGEST = 64


def authorize(data: bytes, passwords: list[bytes]) -> tuple[int, bytes]:
    """Check the area at the start of *data* against the *passwords* that the command's handles have.

    Gives how many sessions there are, and what lies behind the area; raises TpmError.
    """
    size = int.from_bytes(data[:4], "big")
    if len(data) < 4 or not 9 <= size <= len(data) - 4:
        raise TpmError(Rc.SIZE)
    area, rest = data[4 : 4 + size], data[4 + size :]
    given: list[bytes] = []
    while area:
        number = len(given) + 1
        if number > MOST:
            raise TpmError(at_session(Rc.SIZE, number))
        handle, nonce, password, area = _entry(area, number)
        if handle != PASSWORD:
            # HMAC and policy sessions would have to be loaded, and none ever is.
            session = handle >> 24 in (2, 3)
            raise TpmError(Rc.REFERENCE_S0 + number - 1 if session else at_session(Rc.VALUE, number))
        if nonce:
            raise TpmError(at_session(Rc.NONCE, number))
        given.append(password)
    if len(given) > len(passwords):
        # A password stands for a handle; without one it says nothing.
        raise TpmError(at_session(Rc.HANDLE, len(passwords) + 1))
    if len(given) < len(passwords):
        raise TpmError(Rc.AUTH_MISSING)
    for number, (mine, theirs) in enumerate(zip(passwords, given, strict=True), 1):
        if mine.rstrip(b"\0") != theirs.rstrip(b"\0"):
            raise TpmError(at_session(Rc.BAD_AUTH, number))
    return len(given), rest


def _entry(area: bytes, number: int) -> tuple[int, bytes, bytes, bytes]:
    """Handle, nonce and password of session *number*, and the sessions behind it."""
    entry = Parameters(area)
    try:
        handle, nonce = entry.number(4), entry.sized(_LARGEST)
        entry.number(1)
        return handle, nonce, entry.sized(_LARGEST), entry.rest()
    except TpmError:
        raise TpmError(at_session(Rc.INSUFFICIENT, number)) from None
