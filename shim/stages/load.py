"""From ``MODULE:NAME`` to a stage, and from what goes wrong in it to one line."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shim.errors import NotRunnableError, UnreadableError, UsageError
from shim.stages.state import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from efi_services.firmware import Firmware
    from shim.stages.state import State


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage by its name. *offer* gets the firmware before the payload starts, *enter* the state before the kernel."""

    name: str
    enter: Callable[[State], object] | None
    offer: Callable[[Firmware], object] | None = None

    def prepare(self, firmware: Firmware) -> None:
        """Let it offer what the guest may find; raises NotRunnableError where it breaks."""
        if self.offer is not None:
            self._call(self.offer, firmware)

    def run(self, state: State) -> None:
        """Let it act; raises StoppedError where it says no, NotRunnableError where it breaks."""
        if self.enter is not None:
            self._call(self.enter, state)

    def _call(self, function: Callable[[Any], object], argument: object) -> None:
        try:
            function(argument)
        except StoppedError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's code, and may raise anything
            raise NotRunnableError(f"stage {self.name}: {_where(error)}") from None


def load(name: str) -> Stage:
    """The stage that ``MODULE:NAME`` names: a function of the state, or a class with *enter*, *offer* or both.

    The module is found as Python finds modules, and in the current folder. It is the user's own code: it runs with all
    that the user may do.

    Raises:
        UsageError: the words are wrong, or there is no such thing in the module.
        UnreadableError: the module can't be imported.
        NotRunnableError: its own code broke while it was imported.
    """
    module, _, attribute = name.partition(":")
    if not module or not attribute.isidentifier():
        raise UsageError(f"--stage {name}: give MODULE:FUNCTION")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is not None and (module == error.name or module.startswith(f"{error.name}.")):
            raise UnreadableError(f"stage {name}: there is no module {error.name}") from None
        raise NotRunnableError(f"stage {name}: {_where(error)}") from None
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's code, and may raise anything
        raise NotRunnableError(f"stage {name}: {_where(error)}") from None
    finally:
        sys.path.remove(here)
    if not callable(found):
        raise UsageError(f"--stage {name}: {module} has no function or class {attribute}")
    if not isinstance(found, type):
        return Stage(name, found)
    try:
        made = found()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the user's code, and may raise anything
        raise NotRunnableError(f"stage {name}: {_where(error)}") from None
    enter, offer = getattr(made, "enter", None), getattr(made, "offer", None)
    if not callable(enter) and not callable(offer):
        raise UsageError(f"--stage {name}: the class has neither a method enter nor offer")
    return Stage(name, enter if callable(enter) else None, offer if callable(offer) else None)


def _where(error: BaseException) -> str:
    """The error in one line, with the innermost line of the user's code that it came from."""
    text = " ".join(str(error).split()) or "no reason given"
    kind, place = type(error).__name__, ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if not file.startswith("<") and Path(__file__).parents[1] not in Path(file).parents:
            place = f" ({Path(file).name}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return f"{kind}: {text}{place}"
