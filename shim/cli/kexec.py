"""``efi-shim kexec``: a second kernel, as the next link of a chain."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shim.errors import UsageError


def kexec(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder of a kernel that was reached.")],
    kernel: Annotated[
        str | None,
        typer.Argument(
            metavar="KERNEL",
            help="What to load, as run takes it. Without it, what was loaded with --load is executed.",
            show_default=False,
        ),
    ] = None,
    initrd: Annotated[Path | None, typer.Option(help="Load this initrd.")] = None,
    cmdline: Annotated[str | None, typer.Option(help="The kernel's command line.")] = None,
    ima_list: Annotated[
        Path | None,
        typer.Option(
            "--ima-list",
            help="The measurement list of RUN's kernel, as binary_runtime_measurements has it. Default: what it was "
            "handed, and its boot_aggregate.",
        ),
    ] = None,
    load: Annotated[bool, typer.Option("--load", help="Only load it, into RUN, to be executed later.")] = False,
    relaunch: Annotated[
        bool, typer.Option("--relaunch", help="Let the kernel be launched dynamically anew, where the platform can.")
    ] = False,
    disk: Annotated[
        list[Path] | None, typer.Option(help="A disk that RUN had, where it lies now; each of them, or none.")
    ] = None,
    trace: Annotated[str, typer.Option(help="calls, or exact.")] = "calls",
    seed: Annotated[int, typer.Option(min=0, max=(1 << 64) - 1, help="Seed of all randomness in the guest.")] = 0,
    max_seconds: Annotated[float, typer.Option(min=0.01, help="Wall-clock budget.")] = 300.0,
    dump_ram: Annotated[bool, typer.Option("--dump-ram", help="Keep RAM as it is at the end.")] = False,
    stage: Annotated[
        list[str] | None, typer.Option(metavar="MODULE:NAME", help="A stage of your own, as run takes it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the run; default runs/<kernel>-<n>.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Write run.json to stdout, and nothing else there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")] = False,
) -> None:
    """Start a second kernel from a finished run, on what the first one left, and write a run folder."""
    from payloads import identify
    from shim.cli.places import find_payload, new_run_folder, read_initrd
    from shim.cli.run import exit_code
    from shim.disks.attached import settings_of
    from shim.kexec import execute, segments
    from shim.report.quiet import live_unless
    from shim.session.request import Request, check
    from shim.session.run import Session
    from shim.stages.load import load as load_stage
    from shim.trace.folder import open_run

    if trace not in ("calls", "exact"):
        raise UsageError(f"--trace {trace}: give calls or exact")
    live = live_unless(quiet)
    folder = open_run(run)
    if kernel is None:
        if load or initrd is not None or cmdline is not None or ima_list is not None:
            raise UsageError("give a KERNEL to load")
        loaded = segments.load(run)
    else:
        program = find_payload(kernel, live.say)
        data = read_initrd(initrd) if initrd is not None else None
        listed = read_initrd(ima_list) if ima_list is not None else None
        loaded = execute.load(folder, program.name, program.data, data, cmdline, listed)
    if load:
        segments.save(run, loaded)
        live.say(f"Loaded: {segments.digest(loaded.segments)}")
        raise typer.Exit
    following = execute.follow(folder, loaded, relaunch=relaunch, disks=tuple(map(settings_of, disk or [])))
    kernel_bytes, text = loaded.segment("kernel"), loaded.segment("command line")
    assert kernel_bytes is not None
    request = Request(
        identify(kernel_bytes, loaded.name),
        following.platform,
        None if text is None else text.decode("utf-8", "replace"),
        loaded.segment("initrd"),
        trace,
        seed,
        max_seconds,
        dump_ram=dump_ram,
        link=following.link,
        stages=(*following.stages, *map(load_stage, stage or [])),
    )
    check(request)
    made = new_run_folder(out, loaded.name)
    with live:
        report = Session(request, made, live.console, live.progress).run()
    execute.keep_list(made, loaded)
    live.summary(report, made)
    if json:
        sys.stdout.write(report.to_json())
    raise typer.Exit(exit_code(report.outcome.kind, report.outcome.status))
