"""``query``: SQL over the tables of a run folder.

The SQL is the user's, the folder somebody else's: DuckDB reads what is in the folder and nothing else, and writes
nothing.
"""

from __future__ import annotations

import csv
import json
import math
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from itertools import pairwise, takewhile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from shim.config.run import RunReport
from shim.errors import UnreadableError, UsageError
from shim.report.text import one_line, plain, stdout_console
from shim.trace.tables import ACCESSES, TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import duckdb

    from shim.trace.folder import RunFolder
    from shim.trace.tables import Table as Definition

    Rows = Iterable[tuple[Any, ...]]

#: Integers in columns of these names are shown in hexadecimal.
ADDRESSES = frozenset(column.name for table in TABLES for column in table.columns if column.address)

#: Up to so many files of accesses are scanned one by one: then DuckDB passes over those in which a seq can't be.
_MOST_SCANS = 256
_BATCH = 4096
_EXPLAIN = re.compile(r"\s*EXPLAIN\b(\s+ANALYZE\b)?(\s*\([^();]*\))?", re.IGNORECASE)
_HEX_ADDRESS = "CREATE MACRO hex_address(x) AS '0x' || lower(to_hex(x))"
#: It looks up each address but once, and at the calls only then: a plain join is slower by far.
_FUNCTION_AT = """
CREATE MACRO function_at(address, calls_begun) AS list_filter(
    (
        SELECT list({name: functions.name, born: born_call, died: died_call})
        FROM functions JOIN regions ON regions.id = functions.region
        WHERE address >= functions.start AND address < functions.end
    ),
    lambda each: calls_begun > coalesce(each.born, -1) AND calls_begun <= coalesce(each.died, calls_begun)
)[1].name
"""
_TYPES = {"uint64": "UBIGINT", "uint32": "UINTEGER", "uint8": "UTINYINT", "bool": "BOOLEAN", "string": "VARCHAR"}
_JSON_TYPES = {"integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN", "string": "VARCHAR"}


def show_query(run: RunFolder, sql: str, form: str) -> None:
    """The answer on stdout: form is table, csv or json."""
    import duckdb

    try:
        f"{run.path}{sql}".encode()
    except UnicodeEncodeError:
        raise UsageError("queries need a path and SQL that are UTF-8") from None
    with TemporaryDirectory(prefix="efi-shim-") as scratch, duckdb.connect() as connection:
        names, rows = Tables(run, connection, scratch).ask(sql)
        {"table": _show_table, "csv": _show_csv, "json": _show_json}[form](names, rows)


class Tables:
    """A view of each table of a run; *scratch* is for what outgrows the memory of a query."""

    def __init__(self, run: RunFolder, connection: duckdb.DuckDBPyConnection, scratch: str) -> None:
        import duckdb

        self._run = run
        self._connection = connection
        folder = run.path.absolute()
        self._files = {_view(each): [folder / f"{each.name}.parquet"] for each in TABLES}
        self._files[ACCESSES.name] = sorted(folder.glob(f"{ACCESSES.name}/{'[0-9]' * 16}.parquet"))
        #: Why a view or macro could not be made.
        self._missing: dict[str, str] = {}
        self._confine(folder, scratch)
        for table in TABLES:
            files = self._files[_view(table)]
            if not files or not files[0].is_file():
                self._missing[_view(table)] = self._advice(table)
                continue
            try:
                connection.execute(f"CREATE VIEW {_view(table)} AS {_select(table, files)}")
            except duckdb.Error as error:
                bad = self._first_bad(files, f"{_columns(table)} LIMIT 0")
                self._missing[_view(table)] = f"{bad}: {str(error).splitlines()[0]}"
        connection.execute(_HEX_ADDRESS)
        if why := self._missing.get("functions") or self._missing.get("regions"):
            self._missing["function_at"] = why
        else:
            connection.execute(_FUNCTION_AT)
        schema = RunReport.json_schema()
        values = [run.report.to_json(), json.dumps(_structure(schema, schema["$defs"]))]
        connection.execute("CREATE TABLE run AS SELECT unnest(from_json(?::JSON, ?))", values)
        connection.execute("SET lock_configuration = true")

    def ask(self, sql: str) -> tuple[list[str], Rows]:
        """The names of the columns, and the rows; raises UsageError for SQL that is wrong, or does more than read."""
        self._check(sql)
        with self._told(sql):
            self._patiently(lambda: self._connection.execute(sql))
        return [name for name, *_ in self._connection.description or ()], self._rows(sql)

    def _rows(self, sql: str) -> Rows:
        with self._told(sql):
            while rows := self._patiently(lambda: self._connection.fetchmany(_BATCH)):
                yield from rows

    def _confine(self, folder: Path, scratch: str) -> None:
        # The tables' files are named, as they may be links to elsewhere; their patterns, as DuckDB looks at these too.
        files = [str(file) for files in self._files.values() for file in files]
        settings = {
            "allowed_paths": f"[{', '.join(map(_literal, {*files, *map(_pattern, files)}))}]",
            "allowed_directories": f"[{_literal(str(folder))}]",
            "temp_directory": _literal(scratch),
            "memory_limit": "'2GB'",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            # Else a name that is no table's would be looked for among our variables.
            "python_enable_replacements": "false",
            "enable_progress_bar": "false",
            "enable_external_access": "false",
        }
        for name, value in settings.items():
            self._connection.execute(f"SET {name} = {value}")

    def _advice(self, table: Definition) -> str:
        path, level = self._run.path / table.name, self._run.report.accesses.level
        if table is ACCESSES:
            keeping = "'efi-shim run --keep-accesses' keeps every access, 'efi-shim replay RUN' adds them to a run"
            return f"{path}: not in this run folder; {keeping}"
        why = "" if level == "exact" else f", which was made with --trace {level}; use --trace exact"
        return f"{path}.parquet: not in this run folder{why}"

    def _check(self, sql: str) -> None:
        """Refuse whatever is not one statement that only reads."""
        # ANALYZE executes what it explains. Spaces instead leave the places of errors as they are.
        sql = _EXPLAIN.sub(lambda head: re.sub(r"\S", " ", head[0]), sql, count=1)
        with self._told(sql):
            kinds = [each.type.name for each in self._connection.extract_statements(sql)]
        if kinds != ["SELECT"]:
            raise UsageError(f"a query is one SELECT, or EXPLAIN with one, but this is {' and '.join(kinds) or 'none'}")
        # Even a SELECT writes files where its WITH holds a COPY; one that makes a view can't have that.
        with self._told(sql, above=1):
            self._connection.execute(f"CREATE TEMP VIEW checked AS\n{sql}")
            self._connection.execute("DROP VIEW checked")

    def _patiently(self, work: Callable[[], Any]) -> Any:
        """On a thread of its own, as DuckDB doesn't notice when the user interrupts."""
        with ThreadPoolExecutor(1) as pool:
            try:
                return pool.submit(work).result()
            except KeyboardInterrupt:
                self._connection.interrupt()
                raise

    @contextmanager
    def _told(self, sql: str, above: int = 0) -> Iterator[None]:
        """DuckDB's errors as ours; *above* are lines that stand before the user's."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            line = _line(error, above)
            if isinstance(error, duckdb.CatalogException):
                for view, why in self._missing.items():
                    if re.search(rf"\b{view}\b", line, re.IGNORECASE):
                        raise UnreadableError(why) from None
            # What it finds in a damaged file is of no class of its own, and seldom names the file.
            if type(error) is duckdb.Error or re.search("Failed to read file|Parquet file", line):
                used = {word.lower() for word in re.findall(r"\w+", sql)} & self._files.keys()
                files = [file for view in sorted(used) for file in self._files[view]]
                raise UnreadableError(f"{self._first_bad(files, 'max(hash(COLUMNS(*)))')}: {line}") from None
            raise UsageError(line) from None

    def _first_bad(self, files: list[Path], what: str) -> Path:
        """The first file of which this can't be selected."""
        import duckdb

        for file in files:
            try:
                self._connection.execute(f"FROM {_scan([file])} SELECT {what}")
            except duckdb.Error:
                return file
        return self._run.path


def _show_table(names: list[str], rows: Rows) -> None:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(Text(one_line(name)), overflow="fold")
    # The plans of EXPLAIN are drawings of many lines.
    visible = plain if "explain_value" in names else one_line
    for row in rows:
        table.add_row(*(Text(visible(_text(*each, "NULL"))) for each in zip(names, row, strict=True)))
    stdout_console().print(table)


def _show_csv(names: list[str], rows: Rows) -> None:
    visible = one_line if sys.stdout.isatty() else str
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(map(visible, names))
    writer.writerows([visible(_text(*each, "")) for each in zip(names, row, strict=True)] for row in rows)


def _show_json(names: list[str], rows: Rows) -> None:
    if len(set(names)) < len(names):
        raise UsageError("two columns have one name, which JSON can't tell apart; rename one with AS")
    before = "["
    for row in rows:
        sys.stdout.write(f"{before}\n{json.dumps(dict(zip(names, map(_jsonable, row), strict=True)))}")
        before = ","
    sys.stdout.write("[]\n" if before == "[" else "\n]\n")


def _text(name: str, value: Any, null: str) -> str:
    match value:
        case None:
            return null
        case bool():
            return str(value).lower()
        case int() if name.lower() in ADDRESSES:
            return f"{value:#x}"
        case dict() | list():
            return json.dumps(_jsonable(value))
        case _:
            return str(value)


def _jsonable(value: Any) -> Any:
    match value:
        case None | bool() | int() | str():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case dict():
            return {str(name): _jsonable(each) for name, each in value.items()}
        case list():
            return [_jsonable(each) for each in value]
        case _:
            return str(value)


def _view(table: Definition) -> str:
    return table.name.replace("/", "_")


def _columns(table: Definition) -> str:
    return ", ".join(f'"{column.name}"::{_TYPES[column.type]} AS "{column.name}"' for column in table.columns)


def _select(table: Definition, files: list[Path]) -> str:
    """Rows of accesses have their number too; it costs time only where it is asked for."""
    if table is not ACCESSES:
        return f"FROM {_scan(files)} SELECT {_columns(table)}"
    rest = f"file_row_number::UBIGINT AS seq, {_columns(table)}"
    if len(files) > _MOST_SCANS:
        return f"FROM {_scan(files)} SELECT parse_filename(filename, true)::UBIGINT + {rest}"
    return " UNION ALL ".join(f"FROM {_scan([file])} SELECT {int(file.stem)}::UBIGINT + {rest}" for file in files)


def _scan(files: list[Path]) -> str:
    names = ", ".join(_literal(_pattern(str(file))) for file in files)
    return f"read_parquet([{names}], hive_partitioning = false)"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _pattern(path: str) -> str:
    """What matches this path only: DuckDB takes each for a pattern."""
    return re.sub(r"[*?\[]", r"[\g<0>]", path)


def _structure(part: dict[str, Any], models: dict[str, Any]) -> Any:
    """A JSON schema's types, as from_json wants them."""
    match part:
        case {"$ref": name}:
            return _structure(models[name.rpartition("/")[2]], models)
        case {"anyOf": [first, *_]}:
            return _structure(first, models)
        case {"properties": properties}:
            return {name: _structure(each, models) for name, each in properties.items()}
        case {"additionalProperties": dict(values)}:
            return f"MAP(VARCHAR, {_type(_structure(values, models))})"
        case {"items": items}:
            return [_structure(items, models)]
        case _:
            return _JSON_TYPES[part["type"]]


def _type(structure: Any) -> str:
    """The same as the name of a type."""
    match structure:
        case dict(fields):
            return f"STRUCT({', '.join(f'{name} {_type(each)}' for name, each in fields.items())})"
        case [each]:
            return f"{_type(each)}[]"
        case _:
            return str(structure)


def _line(error: Exception, above: int) -> str:
    """What DuckDB says, and the place in the SQL that it means."""
    lines = str(error).splitlines()
    said = " ".join(takewhile(lambda line: line and not line.startswith("\t"), lines))
    for line, mark in pairwise(lines):
        if found := re.match(r"LINE (\d+): (\.\.\.)?", line):
            # Of a long line DuckDB shows a part only.
            column = "" if found[2] else f", column {mark.find('^') - found.end() + 1}"
            return f"{said} (line {int(found[1]) - above}{column})"
    return said
