"""The command line: one file for each verb.

Modules that take long to import are imported where a verb needs them, so that ``--help`` answers at once.
"""

import atexit
import gc
import os
import sys

import typer

from payloads.errors import MissingPart, NotRunnable, PayloadError, UnknownName, Unreadable
from shim.cli import boot, doctor, engine, fetch, handoff, inspect, kexec, measure, query, replay, run, services, show
from shim.errors import ExitCode, ShimError

app = typer.Typer(
    name="efi-shim",
    help="Runs the EFI stub of a Linux kernel under trace, up to the kernel entry.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("fetch")(fetch.fetch)
app.command("payloads")(fetch.payloads)
app.command("inspect")(inspect.inspect)
app.command("show")(show.show)
app.command("query")(query.query)
app.command("measure")(measure.measure)
app.command("handoff")(handoff.handoff)
app.command("boot")(boot.boot)
app.command("kexec")(kexec.kexec)
app.command("replay")(replay.replay)
app.command("services")(services.services)
app.command("doctor")(doctor.doctor)
app.add_typer(engine.app, name="engine")

_PAYLOAD_CODES: dict[type[PayloadError], ExitCode] = {
    Unreadable: ExitCode.UNREADABLE,
    NotRunnable: ExitCode.NOT_RUNNABLE,
    MissingPart: ExitCode.MISSING,
    UnknownName: ExitCode.USAGE,
}


#: New objects between two looks for garbage. A command makes 75,000 while it starts, and nearly all of them stay.
_OBJECTS = 200_000
#: Libraries whose bindings complain at the exit of what was not freed, part of which only goes as garbage.
_COMPLAINING = {"lief", "duckdb"}


def main() -> None:
    """Run the command; whatever a user or a payload can cause ends in one line and an exit code."""
    _start_fast()
    try:
        app()
    except ShimError as error:
        _fail(str(error), error.code)
    except PayloadError as error:
        _fail(str(error), _PAYLOAD_CODES[type(error)])
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not complain when it flushes.
        sys.stdout = None
        sys.exit(ExitCode.OK)


def _start_fast() -> None:
    """Leave out of start and exit what takes a short run's time and does nothing for it."""
    # As Python has it, garbage is looked for a hundred times while modules are imported, and twice at the exit.
    gc.set_threshold(_OBJECTS)
    atexit.register(_leave_fast)
    # NumPy's library for matrices, of which there are none here, has threads that wait for work in a busy loop.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Pydantic reads what every installed distribution says of itself, to find plugins of its own.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def _leave_fast() -> None:
    if not _COMPLAINING & sys.modules.keys():
        gc.freeze()


def _fail(line: str, code: ExitCode) -> None:
    from shim.report.text import one_line

    sys.stderr.write(f"efi-shim: {one_line(line)}\n")
    sys.exit(code)
