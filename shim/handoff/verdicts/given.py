"""Rules that hold what the kernel finds against what its stub was given."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from shim.handoff.verdicts.extents import initrd_of
from shim.handoff.verdicts.rule import X86, BrokenError, NotApplicableError, rule

if TYPE_CHECKING:
    from shim.handoff.verdicts.rule import Handed


@rule("initrd-bytes", "the initrd that was given")
def initrd_bytes(handed: Handed) -> str:
    """The initrd is, to the byte, the one that the firmware handed out."""
    wanted, found = handed.given.initrd, initrd_of(handed)
    if wanted is None:
        raise NotApplicableError("another program may have put the initrd together")
    if found is None:
        if wanted:
            raise BrokenError("the firmware handed one out, and the kernel finds none")
        raise NotApplicableError("there is no initrd")
    if not wanted:
        raise BrokenError(f"the firmware handed none out, and there is {found}")
    if hashlib.sha256(handed.memory.view(found.start, found.size)).hexdigest() != wanted:
        raise BrokenError(f"{found} has other bytes than the firmware handed out")
    return f"its SHA-256 is that of what the firmware handed out, {wanted}"


@rule("command-line", "the load options of the image")
def command_line(handed: Handed) -> str:
    """The command line is what the image's load options say, up to the first line's end."""
    options = handed.given.load_options
    if options is None:
        raise NotApplicableError("the load options of the image that jumped to the kernel are not known")
    wanted = options.decode("utf-16-le", "replace").partition("\0")[0].partition("\n")[0]
    if handed.architecture in X86:
        text = handed.boot_params["command_line"]
        found = "" if text is None and not handed.boot_params["command_line_address"] else text
    else:
        found = handed.tree["chosen"].get("bootargs", "")
    if found is None:
        raise BrokenError("there is no memory where it should be")
    # One that is too long is cut at a blank.
    cut = wanted.startswith(found) and wanted[len(found) : len(found) + 1].isspace() and len(wanted.encode()) >= _LONG
    if found != wanted and not cut:
        raise BrokenError(f"it is {found!r}, the load options are {wanted!r}")
    return "it is what the load options say" + (", cut where there was no more room" if cut else "")


#: Bytes of the longest command line that all architectures take (COMMAND_LINE_SIZE of arm).
_LONG = 1024
