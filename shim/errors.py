"""What can go wrong for a user, each with its exit code (the contract is in the documentation of the command line)."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What the command's exit status means."""

    OK = 0
    JUDGED_NO = 1
    USAGE = 2
    EFI_ERROR = 3
    FAULT = 4
    BUDGET = 5
    UNREADABLE = 10
    NOT_RUNNABLE = 11
    MISSING = 12


class ShimError(Exception):
    """A user's or a payload's doing: one line for a person, and an exit code."""

    code = ExitCode.USAGE


class UsageError(ShimError):
    """The command's words or a file of settings are wrong."""


class UnreadableError(ShimError):
    """A file can't be read or written."""

    code = ExitCode.UNREADABLE


class NotRunnableError(ShimError):
    """It is no payload that can be run."""

    code = ExitCode.NOT_RUNNABLE


class MissingError(ShimError):
    """Something needed is missing."""

    code = ExitCode.MISSING
