"""What can go wrong for a user, each with its exit code (the contract is in the documentation of the command line)."""

from __future__ import annotations

from enum import IntEnum
from typing import Self


class ExitCode(IntEnum):
    """What the command's exit status means; `meaning` is a sentence for the documentation."""

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """A code with its meaning."""
        made = int.__new__(cls, value)
        made._value_ = value
        made.meaning = meaning
        return made

    OK = 0, "the payload did what it exists for: the kernel's entry was reached, or it ended with EFI_SUCCESS"
    JUDGED_NO = 1, "a comparison, a verdict on a hand-off, or a stage in between said no"
    USAGE = 2, "the command's words, or a file of settings, are wrong"
    EFI_ERROR = 3, "the payload gave up with an EFI error, or Secure Boot refused it"
    FAULT = 4, "the payload faulted"
    BUDGET = 5, "the payload ran out of its budget, or its user interrupted it"
    UNREADABLE = 10, "a file can't be read or written"
    NOT_RUNNABLE = 11, "it is no payload that can be run; one line says why"
    MISSING = 12, "something needed is missing; one line says what"


class ShimError(Exception):
    """A user's or a payload's doing: one line for a person, and an exit code."""

    code = ExitCode.USAGE


class DiffersError(ShimError):
    """A comparison said no."""

    code = ExitCode.JUDGED_NO


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
