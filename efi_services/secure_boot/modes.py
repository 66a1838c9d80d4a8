"""Secure Boot's modes, and the variables that tell which one it is (UEFI 2.10, section 32.3)."""

from __future__ import annotations

from enum import Enum


class Mode(Enum):
    """A mode: its name, and the values of SetupMode, AuditMode and DeployedMode in it."""

    SETUP = "setup", True, False, False
    AUDIT = "audit", True, True, False
    USER = "user", False, False, False
    DEPLOYED = "deployed", False, False, True

    def __init__(self, label: str, setup: bool, audit: bool, deployed: bool) -> None:
        self.label = label
        #: The variables of the mode that are not of its keys.
        self.state = {"SetupMode": setup, "AuditMode": audit, "DeployedMode": deployed}

    @property
    def has_platform_key(self) -> bool:
        """Whether there is a PK in this mode: without one, nobody owns the platform."""
        return not self.state["SetupMode"]

    @property
    def writable(self) -> frozenset[str]:
        """Which of the mode's variables a program may set."""
        if self is Mode.USER:
            return frozenset({"AuditMode", "DeployedMode"})
        return frozenset({"AuditMode"}) if self is Mode.SETUP else frozenset()

    def with_platform_key(self) -> Mode:
        """The mode once a PK has been enrolled."""
        return {Mode.SETUP: Mode.USER, Mode.AUDIT: Mode.DEPLOYED}.get(self, self)
