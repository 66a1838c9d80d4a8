"""EFI_RNG_PROTOCOL (UEFI 2.10, section 37.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from efi_services.service import method, protocol
from efi_services.status import EfiError, Status
from efi_services.types import Buffer, Bytes, Guid, In, InOut

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.ports import Entropy

#: EFI_RNG_ALGORITHM_RAW: the entropy source itself.
ALGORITHM_RAW = Guid("e43176d7-b6e8-4827-b784-7ffdc4b68561")
#: More than this at once is a runaway request.
MAX_BYTES = 1 << 20


@protocol("3152bca5-eade-433d-862e-c01cdc291f44", name="EFI_RNG_PROTOCOL", spec="37.5")
class Rng:
    """Random numbers from a seeded generator, so that two runs see the same; *given* is told of them."""

    def __init__(self, entropy: Entropy, given: Callable[[int, bytes], None] = lambda _address, _data: None) -> None:
        self._entropy = entropy
        self._given = given

    @method("GetInfo", "37.5.2")
    def get_info(self, size: InOut[Bytes], algorithms: Buffer | None) -> Status:
        """List the algorithms: one, the raw source."""
        if size.get() < 16:
            size.set(16)
            raise EfiError(Status.BUFFER_TOO_SMALL)
        if algorithms is None:
            raise EfiError(Status.INVALID_PARAMETER)
        algorithms.write(ALGORITHM_RAW.bytes_le)
        size.set(16)
        return Status.SUCCESS

    @method("GetRNG", "37.5.3")
    def get_rng(self, algorithm: In[Guid] | None, length: Bytes, value: Buffer) -> Status:
        """Fill *value* with *length* random bytes."""
        if algorithm not in (None, ALGORITHM_RAW):
            raise EfiError(Status.UNSUPPORTED)
        if length == 0:
            raise EfiError(Status.INVALID_PARAMETER)
        if length > MAX_BYTES:
            raise EfiError(Status.DEVICE_ERROR)
        data = self._entropy.take(length)
        value.write(data)
        self._given(value.address, data)
        return Status.SUCCESS
