"""zImages of 32-bit Arm, for the kernel in them."""

from shim.handoff.decompress import UndecodableError
from shim.handoff.zimage import read

ERRORS = (UndecodableError,)


def seeds():
    from loading import borrow

    return {"gzip": borrow("tests/making/handoffs.py").zimage(bytes(range(256)) * 8).data}


def target(data):
    kernel = read(data)
    (segment,) = kernel.segments
    assert segment.offset + len(segment.data) == kernel.size
