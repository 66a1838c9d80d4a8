"""The programs that are run: find, fetch, recognise and describe them.

Knows PE images, Linux kernels (bzImage, arm64 and riscv Image, zboot, 32-bit Arm zImage), unified kernel images and
plain EFI programs. Runs nothing: that is the business of ``shim``.
"""

from payloads.errors import MissingPart, NotRunnable, PayloadError, UnknownName, Unreadable
from payloads.identify import identify, open_payload
from payloads.model import Kind, Machine, Payload, PeImage, Relocation, RelocationKind, Section
from payloads.symbols import function_symbols

__all__ = [
    "Kind",
    "Machine",
    "MissingPart",
    "NotRunnable",
    "Payload",
    "PayloadError",
    "PeImage",
    "Relocation",
    "RelocationKind",
    "Section",
    "UnknownName",
    "Unreadable",
    "function_symbols",
    "identify",
    "open_payload",
]
