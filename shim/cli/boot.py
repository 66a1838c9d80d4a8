"""``efi-shim boot``: a run gone on with in QEMU, from the state at its kernel entry."""

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from shim.errors import DiffersError, ExitCode


def boot(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, made with --dump-ram.")],
    force: Annotated[bool, typer.Option("--force", help="Also where the hand-off breaks a rule.")] = False,
    max_seconds: Annotated[float, typer.Option(min=0.01, help="Wall-clock budget.")] = 300.0,
    swtpm: Annotated[
        Path | None,
        typer.Option(metavar="SOCKET", help="Give the machine a TPM: the control socket of a running swtpm."),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors, and what the guest says.")] = False,
) -> None:
    """Go on with a run in QEMU, from the kernel's first instruction; what the guest writes goes to stdout."""
    from shim.boot.given import given
    from shim.boot.machines import board_of, tpm_words
    from shim.boot.qemu import boot as go_on
    from shim.handoff.verdicts.verdict import Outcome, kept
    from shim.report.serial import Serial
    from shim.trace.folder import open_run

    # To be ended from outside is an end like Ctrl-C: the guest ends, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = open_run(run)
    found = given(folder)
    failed = [each for each in kept(run) if each.outcome is Outcome.FAILED]
    if failed and not force:
        rules = "; ".join(f"{each.rule}: {each.sentence}" for each in failed)
        raise DiffersError(f"{run}: the hand-off breaks {rules} (--force boots it all the same)")
    if swtpm is not None:
        tpm_words(board_of(found.platform), found.platform, swtpm)
        from shim.boot.tpm import leave_as

        leave_as(folder, swtpm)
    serial = Serial(sys.stdout)
    try:
        ended = go_on(found, folder.report.memory.digest, max_seconds, serial.write, swtpm)
        why = f"it ran for {max_seconds:g} seconds"
    except KeyboardInterrupt:
        ended, why = False, "interrupted"
    finally:
        serial.close()
    # Not before: the guest would wait for what takes long to import.
    from shim.report.quiet import live_unless

    live_unless(quiet).say("The guest has ended." if ended else f"The guest was ended: {why}.")
    raise typer.Exit(ExitCode.OK if ended else ExitCode.BUDGET)
