"""Payloads in user mode: what that changes on each architecture, and what does for them what they may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shim.machine.user.aarch64 import AARCH64_USER
from shim.machine.user.riscv64 import RISCV64_USER
from shim.machine.user.x86_64 import X86_64_USER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shim.machine.user.mode import UserMode

#: By the architecture's name; the others have none.
USER_MODES: Mapping[str, UserMode] = {"x86_64": X86_64_USER, "aarch64": AARCH64_USER, "riscv64": RISCV64_USER}
