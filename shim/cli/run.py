"""``efi-shim run``: a payload to its kernel entry, or its end."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from shim.errors import ExitCode, UsageError

_EXIT = {"stopped": ExitCode.JUDGED_NO, "fault": ExitCode.FAULT, "budget": ExitCode.BUDGET, "kernel-entry": ExitCode.OK}


def run(
    payload: Annotated[
        str | None,
        typer.Argument(
            metavar="PAYLOAD",
            help="A file, a catalogue name such as debian:trixie/cloud-amd64, or disk:PATH for a file on a disk. "
            "Without it, the machine boots from its disks.",
            show_default=False,
        ),
    ] = None,
    initrd: Annotated[Path | None, typer.Option(help="Hand this file to the stub as the initrd.")] = None,
    cmdline: Annotated[str | None, typer.Option(help="The kernel's command line: the image's load options.")] = None,
    platform: Annotated[
        str | None, typer.Option(help="A ready platform, or a TOML file. Default: the one for the payload's machine.")
    ] = None,
    trace: Annotated[
        str | None,
        typer.Option(
            help="calls, or exact: every memory access too. Default: exact with the patched engine, else calls."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 64) - 1, help="Seed of all randomness in the guest.")] = 0,
    max_seconds: Annotated[float, typer.Option(min=0.01, help="Wall-clock budget.")] = 300.0,
    max_blocks: Annotated[int, typer.Option(min=1, max=(1 << 62), help="Budget in basic blocks.")] = 1 << 36,
    memory: Annotated[str | None, typer.Option(help="Guest RAM instead of the platform's, such as 2G.")] = None,
    disk: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE|FOLDER", help="Attach a disk: an image, or a folder as the files on one. Read only."
        ),
    ] = None,
    keys: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Press these keys: text, and <enter>, <down>, <esc>, <wait 2>…"),
    ] = None,
    dump_ram: Annotated[bool, typer.Option("--dump-ram", help="Keep RAM as it is at the end.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the run; default runs/<payload>-<n>.")] = None,
    keep_accesses: Annotated[
        bool, typer.Option("--keep-accesses", help="Store every access as a row, with --trace exact.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Write run.json to stdout, and nothing else there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
    unprivileged: Annotated[
        bool,
        typer.Option("--unprivileged", help="In user mode; tell what needs more, and do it for the payload."),
    ] = False,
    stage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE:NAME",
            help="Run this function of your own between ExitBootServices and the kernel's first instruction; may be "
            "given several times.",
        ),
    ] = None,
    screenshot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write what the screen showed at the end as PNG; for platforms with a screen."
        ),
    ] = None,
) -> None:
    """Run a payload to its kernel entry, or its end, and write a run folder."""
    from shim.cli.places import default_platform, find_payload, new_run_folder, read_initrd
    from shim.config.platform import load_platform
    from shim.config.values import parse_size
    from shim.disks.attached import settings_of
    from shim.report.quiet import live_unless
    from shim.report.screenshot import write_png
    from shim.session.from_disk import find, is_on_disk

    if trace not in ("calls", "exact", None):
        raise UsageError(f"--trace {trace}: give calls or exact")
    if keep_accesses and trace == "calls":
        raise UsageError("--keep-accesses needs --trace exact")
    try:
        size = None if memory is None else parse_size(memory)
    except ValueError as error:
        raise UsageError(f"--memory: {error}") from None
    chosen = None if platform is None else load_platform(platform)
    live = live_unless(quiet)
    # What the machine is depends on the payload, or else what the payload is on the machine's disks.
    program = None if payload is None or is_on_disk(payload) else find_payload(payload, live.say)
    machine = chosen or load_platform(default_platform(program))
    if size is not None:
        machine = machine.with_memory(size)
    if keys is not None:
        try:
            machine = machine.with_keys(keys)
        except ValueError as error:
            raise UsageError(f"--keys: {error}") from None
    machine = machine.with_disks([*machine.disk, *map(settings_of, disk or [])])
    if screenshot is not None and machine.graphics is None:
        raise UsageError(f"--screenshot: platform {machine.name} has no screen; q35-graphics has one")
    data = read_initrd(initrd) if initrd is not None else None
    boot = None
    if program is None:
        boot = find(payload, machine)
        program = boot.payload

    from shim.engine import engine_info
    from shim.session.request import Request, check
    from shim.session.run import Session
    from shim.stages.load import load

    # With the released engine a kernel's accesses take a minute; that has to be asked for.
    trace = trace or ("exact" if engine_info().patched or keep_accesses else "calls")
    request = Request(
        program,
        machine,
        cmdline,
        data,
        trace,
        seed,
        max_seconds,
        max_blocks,
        dump_ram,
        keep=keep_accesses,
        boot=boot,
        unprivileged=unprivileged,
    )
    check(request)
    request = replace(request, stages=tuple(map(load, stage or [])))
    folder = new_run_folder(out, program.name)
    with live:
        session = Session(request, folder, live.console, live.progress)
        report = session.run()
    if screenshot is not None and session.picture is not None:
        write_png(screenshot, session.picture)
    live.summary(report, folder)
    if json:
        sys.stdout.write(report.to_json())
    raise typer.Exit(exit_code(report.outcome.kind, report.outcome.status))


def exit_code(kind: str, status: str | None) -> ExitCode:
    """What an outcome, as run.json has it, makes of the exit code; EFI warnings count as success."""
    if kind in _EXIT:
        return _EXIT[kind]
    if status is None or status == "EFI_SUCCESS" or status.startswith("EFI_WARN_"):
        return ExitCode.OK
    # A status without a name is a number; its highest bit says error.
    is_error = not status.startswith("0x") or bool(int(status, 16) >> 63)
    return ExitCode.EFI_ERROR if is_error else ExitCode.OK
