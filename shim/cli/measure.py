"""``efi-shim measure``: a run's measurements, in the form that somebody reads."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shim.errors import DiffersError, UnreadableError, UsageError

if TYPE_CHECKING:
    from types import ModuleType

    from shim.measure.model import Measured


def measure(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    form: Annotated[str, typer.Option("--format", metavar="F", help="What to write, or all; 'list' tells.")] = "",
    output: Annotated[Path | None, typer.Option("-o", help="Where to; stdout without.")] = None,
    profile: Annotated[str, typer.Option(help="How it is measured: firmware, drtm, xen or exact.")] = "firmware",
    option: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the profile.")
    ] = None,
    against: Annotated[Path | None, typer.Option(help="Compare with this log, event by event.")] = None,
    into: Annotated[
        str | None, typer.Option(metavar="WHERE", help="Extend this swtpm with the events: 127.0.0.1:PORT or a socket.")
    ] = None,
    payload: Annotated[Path | None, typer.Option(help="The run's payload, if it is not in the cache.")] = None,
    gap: Annotated[bool, typer.Option("--gap", help="Which inputs a register covers, and which none does.")] = False,
) -> None:
    """Say what a boot measures: logs, register values and reference values from a run."""
    from shim.measure.formats import FORMATS, write_all
    from shim.measure.profiles import PROFILES
    from shim.trace.folder import open_run

    if form == "list":
        _report().show_forms()
        return
    if form and form != "all" and form not in FORMATS:
        raise UsageError(f"--format {form}: give {', '.join(FORMATS)}, all, or list")
    if profile not in PROFILES:
        raise UsageError(f"--profile {profile}: give {', '.join(PROFILES)}")
    if sum((bool(form), against is not None, gap, into is not None)) > 1:
        raise UsageError("--format, --against, --into and --gap are four questions: ask one")
    if output is not None and not form:
        raise UsageError("-o is for --format: say in which form to write")
    folder = open_run(run, payload)
    measured = PROFILES[profile].measure(folder, _options(option or []))
    if against is not None:
        differences = _report().show_comparison(measured, _read(against), str(against))
        if differences:
            raise DiffersError(f"{run}: {differences} differences from {against}")
    elif into is not None:
        _extend(measured, into)
    elif gap:
        _report().show_gap(folder, measured)
    elif form == "all":
        made, refused = write_all(measured)
        _write(made, form, output)
        for name, why in refused.items():
            sys.stderr.write(f"without {name}: {why}\n")
        _say_what_is_left_out([name for name in FORMATS if name not in refused and FORMATS[name].silent], measured)
    elif form:
        _write(FORMATS[form].write(measured), form, output)
        _say_what_is_left_out([form] if FORMATS[form].silent else [], measured)
    else:
        _report().show_measured(measured)


def _say_what_is_left_out(forms: list[str], measured: "Measured") -> None:
    """For forms that have no place to say it themselves."""
    from shim.measure.formats.common import unknown_names

    if forms and (names := unknown_names(measured)):
        verb = "leaves" if len(forms) == 1 else "leave"
        sys.stderr.write(f"{', '.join(forms)} {verb} out {', '.join(names)}: a part of them is the machine's own\n")


def _extend(measured: "Measured", where: str) -> None:
    from shim.config.measuring import check_swtpm
    from shim.measure.formats.common import pcrs_of
    from shim.measure.into import extend_into

    try:
        check_swtpm(where)
    except ValueError as why:
        raise UsageError(f"--into {where}: {why}") from None
    made = extend_into(pcrs_of(measured, "--into"), where)
    if made.differing:
        names = ", ".join(map(str, made.differing))
        raise DiffersError(f"{where}: PCR {names} came out otherwise than told: was the TPM fresh?")
    sys.stderr.write(f"{made.events} events extended, in the banks {', '.join(each.label for each in made.banks)}\n")


def _report() -> "ModuleType":
    """What shows things to people: the forms that other programs read do without its import."""
    from shim.report import measurements

    return measurements


def _options(words: list[str]) -> dict[str, str]:
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set {word}: give KEY=VALUE")
        found[name] = value
    return found


def _read(path: Path) -> bytes:
    #: No log of a boot is larger.
    most = 64 << 20
    try:
        with path.open("rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UnreadableError(f"{path}: {error.strerror}") from None
    if len(data) > most:
        raise UnreadableError(f"{path}: larger than any log of a boot")
    return data


def _write(made: bytes | dict[str, bytes], form: str, output: Path | None) -> None:
    """To a file or a folder, or bytes to stdout."""
    if isinstance(made, dict) and output is None:
        raise UsageError(f"--format {form} makes a folder: say where with -o")
    if isinstance(made, bytes) and output is None:
        if sys.stdout.isatty() and b"\0" in made:
            raise UsageError(f"--format {form} is binary: say where with -o")
        sys.stdout.buffer.write(made)
        return
    assert output is not None
    try:
        if isinstance(made, bytes):
            output.write_bytes(made)
            return
        for name, data in made.items():
            path = output / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    except OSError as error:
        raise UnreadableError(f"{error.filename or output}: {error.strerror}") from None
