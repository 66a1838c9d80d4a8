"""ELF kernels with relocations behind them, as a bzImage's payload unpacks to."""

from shim.handoff.decompress import UndecodableError
from shim.handoff.vmlinux import parse

ERRORS = (UndecodableError,)
PREFERRED = 0x100_0000


def seeds():
    from loading import borrow

    build = borrow("tests/making/handoffs.py")
    return {"x86_64": build.elf(), "i386": build.elf(wide=False, relocated=build.RELOCATED[:1])}


def target(data):
    kernel = parse(data, PREFERRED)
    assert 0 <= kernel.entry < kernel.size
    assert all(each.offset + each.size <= kernel.size for each in kernel.segments)
