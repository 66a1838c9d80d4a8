"""Writes the tables of the reference pages from the code, at each build, into ``docs/_generated``.

Nothing that the code knows is typed by hand: a table that could disagree with the program would, one day.
"""

from __future__ import annotations

import inspect
import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from efi_services.abi import ABIS
from efi_services.service import PROTOCOLS
from efi_services.slaunch.preamble import RULES as RULES_OF_A_LAUNCH
from payloads import Kind, Machine, catalogue
from payloads.programs.build import PROGRAMS
from shim.cli import app
from shim.config import ready
from shim.config.platform import Platform
from shim.config.run import RunReport
from shim.errors import ExitCode
from shim.handoff.verdicts.judge import RULES
from shim.handoff.verdicts.rule import EVERYWHERE
from shim.measure.formats import FORMATS
from shim.measure.profiles import PROFILES
from shim.report import services
from shim.stages.state import State
from shim.trace.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sphinx.application import Sphinx


def verbs() -> str:
    """Every verb with its one-line help."""
    return _table(
        ("verb", "does"),
        ((f"[`efi-shim {name}`](#efi-shim-{name})", command.help) for name, command in commands().items()),
    )


def options() -> str:
    """Every verb with its arguments and options."""
    parts = []
    for name, command in commands().items():
        shown = [each for each in command.params if not getattr(each, "hidden", False)]
        arguments = [each for each in shown if each.param_type_name == "argument"]
        words = [f"efi-shim {name}", *(_spelled(each) for each in arguments)]
        parts += [f"### efi-shim {name}", command.help, f"`{' '.join(words)}`"]
        given = [each for each in shown if each.param_type_name == "option"]
        rows = [(f"`{_spelled(each)}`", each.help or "", "") for each in arguments]
        rows += [(f"`{', '.join(each.opts)}`", each.help or "", _default(each)) for each in given]
        if rows:
            parts.append(_table(("argument or option", "meaning", "default"), rows))
    return "\n\n".join(parts) + "\n"


def exit_codes() -> str:
    """Every exit status."""
    return _table(("status", "name", "meaning"), ((f"{code}", f"`{code.name}`", code.meaning) for code in ExitCode))


def run_json() -> str:
    """The keys of run.json, a section for each object in it."""
    return _schema_sections(RunReport.json_schema(), "The keys", with_defaults=False)


def platform_keys() -> str:
    """The keys of a platform's TOML file."""
    schema = Platform.model_json_schema()
    _mark_sizes(schema, Platform.model_json_schema(mode="serialization"))
    return _schema_sections(schema, "The file's own keys", with_defaults=True)


def platforms() -> str:
    """The platforms that come with the package, as they are."""
    folder = "../shim/platforms"
    return "\n\n".join(
        f"`{name}`:\n\n```{{literalinclude}} {folder}/{name}.toml\n:language: toml\n```" for name in ready.names()
    )


def tables() -> str:
    """The Parquet tables."""
    parts = []
    for table in TABLES:
        rows = ((f"`{each.name}`", each.type, each.doc) for each in table.columns)
        parts += [f"### {table.name}.parquet", table.doc, _table(("column", "type", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def service_tables() -> str:
    """Every slot of every table and protocol."""
    titles = {"boot": "Boot services", "runtime": "Runtime services"}
    rows: dict[str, list[services.Row]] = {}
    for row in services.rows():
        rows.setdefault(row.where, []).append(row)
    parts = []
    for where, slots in rows.items():
        done = sum(each.implemented for each in slots)
        parts.append(f"## {titles.get(where, where)}")
        if where in PROTOCOLS:
            declared = PROTOCOLS[where]
            spec = f"UEFI 2.10, section {declared.spec}" if declared.spec[0].isdigit() else declared.spec
            known = f"GUID `{declared.guid}`" if declared.guid else "No GUID, since it is never on a handle"
            parts.append(f"{_first(declared.doc)}\n\n{known}, {spec}.")
        parts.append(f"{done} of {len(slots)} slots are implemented.")
        lines = []
        for each in slots:
            told = each.doc if each.implemented else "*not implemented: answers `EFI_UNSUPPORTED`, and is recorded*"
            arguments = f"<br>`({each.arguments})`" if each.arguments else ""
            lines.append((f"`{each.name}`", each.spec, told + arguments))
        parts.append(_table(("service", "section", "what ours does, and its arguments"), lines))
    return "\n\n".join(parts) + "\n"


def payload_catalogue(*, kernels: bool = True) -> str:
    """The names of the catalogue's kernels, or of its other programs."""
    machines = {"amd64": "x86_64", "arm64": "aarch64", "armhf": "arm", "i386": "i386", "loong64": "loongarch64"}
    return _table(
        ("name", "what it is", "can be run"),
        (
            (
                f"`{each.name}`",
                each.description,
                "yes" if machines.get(each.architecture, each.architecture) in ABIS else "not yet",
            )
            for each in catalogue.entries()
            if each.kernel is kernels
        ),
    )


def programs() -> str:
    """The project's own programs, with the first sentence of each one's source."""
    built = {name.removeprefix("program:").rpartition("-")[0] for name in catalogue.programs()}
    return _table(
        ("name", "what it does"),
        ((f"`program:{each.stem}`", _source_says(each.path)) for each in PROGRAMS if each.stem in built),
    )


def kinds() -> str:
    """What a payload can be, and which machines payloads are for."""
    named = (("Kinds", Kind), ("Machines", Machine), ("Machines whose payloads can be run", ABIS))
    return "\n\n".join(f"{what}: {', '.join(f'`{each}`' for each in values)}." for what, values in named) + "\n"


def formats() -> str:
    """The forms in which measurements are written."""
    rows = ((f"`{each.name}`", each.doc, "a folder" if each.tree else "a file") for each in FORMATS.values())
    return _table(("format", "is", "makes"), rows)


def profiles() -> str:
    """The ways of measuring, and the options of each."""
    ways = _table(("profile", "measures"), ((f"`{each.name}`", each.doc) for each in PROFILES.values()))
    options = _table(
        ("profile", "option", "value"),
        ((f"`{each.name}`", f"`{name}`", doc) for each in PROFILES.values() for name, doc in each.options.items()),
    )
    return f"{ways}\n{options}"


def verdicts() -> str:
    """The rules for a hand-off, one with the same name and words on several architectures once."""
    rows: dict[tuple[str, str, str], set[str]] = {}
    for each in RULES:
        rows.setdefault((each.name, each.demands, each.source), set()).update(each.architectures)
    return _table(
        ("rule", "what it demands", "architectures", "source"),
        (
            (f"`{name}`", demands, "all" if on == EVERYWHERE else ", ".join(sorted(on)), source)
            for (name, demands, source), on in rows.items()
        ),
    )


def conditions() -> str:
    """The conditions of a dynamic launch."""
    return _table(
        ("rule", "what it demands"), ((f"`{name}`", each.__doc__ or "") for name, each in RULES_OF_A_LAUNCH.items())
    )


def stage_state() -> str:
    """What a stage gets, member by member."""
    rows = []
    for name, member in vars(State).items():
        function = member.fget if isinstance(member, property) else member
        if name.startswith("_") or not callable(function):
            continue
        signature = "" if isinstance(member, property) else re.sub(r"\(self(, )?|( -> .*)$|'", "", _signature(function))
        rows.append((f"`{name}{signature and '(' + signature}`", _first(function.__doc__ or "")))
    return _table(("member", "is or does"), rows)


def _signature(function: Callable[..., Any]) -> str:
    return str(inspect.signature(function))


FRAGMENTS: dict[str, Callable[[], str]] = {
    "verbs.md": verbs,
    "options.md": options,
    "exit-codes.md": exit_codes,
    "run-json.md": run_json,
    "tables.md": tables,
    "platform-keys.md": platform_keys,
    "platforms.md": platforms,
    "services.md": service_tables,
    "catalogue.md": payload_catalogue,
    "catalogue-programs.md": partial(payload_catalogue, kernels=False),
    "programs.md": programs,
    "kinds.md": kinds,
    "formats.md": formats,
    "profiles.md": profiles,
    "verdicts.md": verdicts,
    "conditions.md": conditions,
    "stage-state.md": stage_state,
    "run.schema.json": lambda: json.dumps(RunReport.json_schema(), indent=2) + "\n",
    "platform.schema.json": lambda: json.dumps(Platform.model_json_schema(), indent=2) + "\n",
}


def commands() -> dict[str, Any]:
    """The verbs of the command line, by name."""
    group: Any = typer.main.get_command(app)
    return {name: command for name, command in group.commands.items() if not command.hidden}


def write(folder: Path) -> None:
    """Write all fragments; a file that would not change is left alone, so that its pages aren't built again."""
    folder.mkdir(exist_ok=True)
    for name, make in FRAGMENTS.items():
        file, text = folder / name, make()
        if not file.is_file() or file.read_text("utf-8") != text:
            file.write_text(text, "utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Write before the sources are read."""
    app.connect("builder-inited", lambda sphinx: write(Path(sphinx.srcdir) / "_generated"))
    return {"parallel_read_safe": True}


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(_cell(each) for each in line)} |\n" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


def _first(doc: str) -> str:
    return doc.partition("\n\n")[0].replace("\n", " ")


def _spelled(argument: Any) -> str:
    word = argument.name.upper() + ("…" if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


def _default(option: Any) -> str:
    # 0 is a default worth telling, and equal to False.
    return "" if option.default in (None, "") or option.default is False else f"`{option.default}`"


def _schema_sections(schema: dict[str, Any], title: str, *, with_defaults: bool) -> str:
    """A table for the top of a JSON Schema, and one for each object in it, in the order of their use."""
    parts = [f"### {title}", _schema_table(schema, with_defaults=with_defaults)]
    for path, model in _objects(schema, schema, ""):
        parts += [
            f"### `{path}`",
            (model.get("description") or "").replace("\n\n", " "),
            _schema_table(model, with_defaults=with_defaults),
        ]
    return "\n\n".join(parts) + "\n"


def _objects(model: dict[str, Any], schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, field in model.get("properties", {}).items():
        for reference, many in _references(field):
            found = schema["$defs"][reference]
            path = f"{prefix}{name}{'[]' if many else ''}"
            yield path, found
            yield from _objects(found, schema, path + ".")


def _references(field: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    for each in [field, *field.get("anyOf", [])]:
        if "$ref" in each:
            yield each["$ref"].rpartition("/")[2], False
        elif "$ref" in each.get("items", {}):
            yield each["items"]["$ref"].rpartition("/")[2], True


def _schema_table(model: dict[str, Any], *, with_defaults: bool) -> str:
    if "properties" not in model:
        return ""  # its keys are whatever a user calls things
    required = model.get("required", [])
    rows = []
    for name, field in model["properties"].items():
        row = [f"`{name}`", _type(field)]
        if with_defaults:
            row.append("*required*" if name in required else _schema_default(field))
        rows.append(row)
    return _table(("key", "value", "default") if with_defaults else ("key", "value"), rows)


def _mark_sizes(read: Any, written: Any) -> None:
    """Note where the model reads a number and writes it as text: those are sizes and addresses."""
    if isinstance(read, dict) and isinstance(written, dict):
        if read.get("type") == "integer" and written.get("type") == "string":
            read["type"] = "size"
        for name in read.keys() & written.keys():
            _mark_sizes(read[name], written[name])


def _schema_default(field: dict[str, Any]) -> str:
    default = field.get("default")
    if default is None or default == [] or isinstance(default, dict):
        return ""
    return f"`{json.dumps(default)}`" if not isinstance(default, int) or default < 1 << 16 else f"`{default:#x}`"


def _type(field: dict[str, Any]) -> str:
    """A JSON Schema's type in words."""
    if "$ref" in field:
        return "object, below"
    if "anyOf" in field:
        return " or ".join(_type(each) for each in field["anyOf"])
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return "one of " + ", ".join(f"`{each}`" for each in field["enum"])
    if field.get("pattern", "").startswith("^0x"):
        return 'string such as `"0x1000"`'
    match field.get("type"):
        case "array":
            return f"array of {_type(field['items']).replace('object, below', 'objects, below')}"
        case "object":
            inner = field.get("additionalProperties")
            return f"object: name → {_type(inner)}" if isinstance(inner, dict) else "object"
        case kind:
            return f"{kind} ({field['format']})" if "format" in field else str(kind)


def _source_says(path: Path) -> str:
    """The first paragraph of a C source's opening comment."""
    found = re.search(r"/\*(.*?)\*/", path.read_text("utf-8"), re.DOTALL)
    text = "\n".join(re.sub(r"^\s*\* ?", "", line) for line in (found[1] if found else "").splitlines()).strip()
    return _first("\n\n".join(each for each in text.split("\n\n") if not each.startswith("SPDX")))
