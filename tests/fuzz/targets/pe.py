"""PE images and Linux kernels: recognised, described, loaded, hashed."""

import struct

from loading import ROOT, borrow

from payloads.describe import describe
from payloads.errors import NotRunnable
from payloads.identify import identify
from payloads.pe import authenticode, section_bytes
from shim.loader.image import LoadableImage

ERRORS = (NotRunnable,)
MAX_LENGTH = 1 << 15
#: No input may make us lay out more: 1 GiB is accepted for real files, and would take each time as long.
SMALL_IMAGE = 1 << 20


def seeds():
    build = borrow("tests/payloads/conftest.py").Builder
    kinds = ("bzimage", "arm64_image", "riscv_image", "zboot_image", "zimage", "uki")
    made = {kind: getattr(build, kind)().build() for kind in kinds}
    made["relocations"] = build.Pe().with_relocations(build.relocation_block(0x1000, (10, 8), (3, 16))).build()
    made["signed"] = build.signed(made["uki"], bytes(32))
    for name in ("hello-x86_64", "hello-aarch64"):
        made[name] = (ROOT / "payloads" / "programs" / "built" / f"{name}.efi").read_bytes()
    # What says MZ, says where PE begins, and ends there.
    made["short"] = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0"
    return made


def target(data):
    payload = identify(data, "fuzz")
    describe(payload)
    for section in payload.image.sections:
        assert len(section_bytes(data, section)) <= len(data)
    try:
        digest = authenticode(data)
    except NotRunnable:
        digest = None
    assert digest is None or len(digest) == 32
    if payload.image.size_of_image <= SMALL_IMAGE:
        loadable = LoadableImage(payload)
        if payload.image.relocations or not payload.image.relocations_stripped:
            assert len(loadable.place(payload.image.image_base + 0x100000)) >= 0
