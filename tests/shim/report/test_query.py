"""SQL over a run folder's tables."""

import csv
import io
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shim.errors import UnreadableError, UsageError
from shim.report import query as query_module
from shim.report.query import show_query
from shim.trace.folder import open_run
from shim.trace.tables import ACCESSES, FUNCTIONS, TABLES

DOCS = Path(__file__).parents[3] / "docs"
READY = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?^```sql\n(.*?)^```$",
    DOCS.joinpath("queries.md").read_text(),
    re.MULTILINE | re.DOTALL,
)

ROWS = {
    "calls": [
        {"seq": 0, "pc": 0x5000, "caller": 0x10010, "service": "AllocatePages", "table": "boot", "image": "stub"},
        {"seq": 1, "pc": 0x5000, "caller": 0x10020, "service": "AllocatePages", "table": "boot", "image": "stub"},
        {"seq": 2, "pc": 0x5008, "caller": 0x11010, "service": "LoadFile", "protocol": "EFI_LOAD_FILE2_PROTOCOL"},
        {"seq": 3, "pc": 0x5010, "caller": 0x11020, "service": "ExitBootServices", "table": "boot", "image": "stub"},
    ],
    "privileged": [
        {"pc": 0x10100, "image": "stub", "instruction": "cli", "name": "cli", "meaning": "mask interrupts", "count": 1},
    ],
    "sbi": [
        {"seq": 0, "pc": 0x10104, "image": "stub", "extension": "BASE", "function": "get_spec_version", "value": 2},
    ],
    "regions": [
        {"id": 1, "start": 0x10000, "end": 0x12000, "kind": "image", "owner": "stub", "name": "stub .text"},
        {"id": 2, "start": 0x12000, "end": 0x13000, "kind": "image", "owner": "stub", "name": "stub .data"},
        {"id": 3, "start": 0x3F222000, "end": 0x3F223000, "kind": "pages", "name": "boot_params", "born_call": 0},
        {"id": 4, "start": 0x3E000000, "end": 0x3E001000, "kind": "firmware", "name": "configuration table ACPI 2.0"},
        {"id": 5, "start": 0x3E001000, "end": 0x3E002000, "kind": "firmware", "name": "configuration table SMBIOS3"},
        {"id": 6, "start": 0x30000000, "end": 0x30100000, "kind": "pages", "name": "initrd", "born_call": 1},
        # an image that was gone when the stub came to stand there
        {"id": 7, "start": 0x10000, "end": 0x12000, "kind": "image", "name": "old .text", "died_call": 0},
    ],
    "touched": [
        {"origin": "cpu", "region": 3, "pc": 0x10100, "write": True, "size": 8, "count": 2, "bytes": 16,
         "first_seq": 3, "last_seq": 4, "first_call": 1, "last_call": 1, "findings": 0},
        {"origin": "cpu", "region": 4, "pc": 0x11100, "write": False, "size": 4, "count": 1, "bytes": 4,
         "first_seq": 5, "last_seq": 5, "first_call": 2, "last_call": 2, "findings": 1},
        {"origin": "service", "region": 6, "pc": 0x5008, "write": True, "size": 0, "count": 1, "bytes": 0x1000,
         "first_call": 3, "last_call": 3, "findings": 0},
        {"origin": "cpu", "region": 6, "pc": 0x11200, "write": False, "size": 8, "count": 9, "bytes": 72,
         "first_seq": 6, "last_seq": 15, "first_call": 3, "last_call": 3, "findings": 0},
    ],
    "coverage/bytes": [
        {"region": 2, "write": False, "start": 0x12000, "end": 0x12100},
        {"region": 2, "write": True, "start": 0x12080, "end": 0x12180},
        {"region": 2, "write": True, "start": 0x12200, "end": 0x12210},
        {"region": 2, "write": False, "start": 0x12000, "end": 0x12010},
    ],
    "coverage/blocks": [
        {"region": 1, "start": 0x10100, "size": 0x10, "count": 7, "call": 1},
        {"region": 1, "start": 0x11200, "size": 0x20, "count": 9, "call": 3},
    ],
    "functions": [
        {"region": 1, "start": 0x10000, "end": 0x11000, "name": "efi_main"},
        {"region": 1, "start": 0x11000, "end": 0x12000, "name": "stub+0x1000"},
        {"region": 7, "start": 0x10000, "end": 0x12000, "name": "old+0x0"},
    ],
}  # fmt: skip
KEPT = [
    {"pc": 0x10100, "address": 0x3F222208 + step * 8, "size": 8, "write": True, "region": 3, "call": 1}
    for step in range(5)
]  # fmt: skip


def write_table(path, table, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema()), path, compression="zstd")


@pytest.fixture
def make_folder(tmp_path, make_report):
    """A run folder; of the files of accesses, the first has three rows."""

    def make(name="run", level="exact", without=(), **tables):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(make_report(accesses={"level": level}).to_json())
        for table in TABLES:
            if table.name in without:
                continue
            if table is ACCESSES:
                for first, rows in ((0, KEPT[:3]), (3, KEPT[3:])):
                    write_table(folder / f"accesses/{first:016d}.parquet", table, rows)
            else:
                write_table(folder / f"{table.name}.parquet", table, tables.get(table.name, ROWS[table.name]))
        return folder

    return make


@pytest.fixture
def ask(capsys):
    """What a question to a folder prints."""

    def ask(folder, sql, form="json"):
        show_query(open_run(folder), sql, form)
        out, err = capsys.readouterr()
        assert err == ""
        return json.loads(out) if form == "json" else out

    return ask


def test_there_is_a_view_of_each_table(make_folder, ask):
    folder = make_folder()
    for table in TABLES:
        names = [column.name for column in table.columns]
        found = [row["column_name"] for row in ask(folder, f"DESCRIBE {table.name.replace('/', '_')}")]
        assert found == (["seq", *names] if table is ACCESSES else names)


@pytest.mark.parametrize("most", [256, 1], ids=["scan by scan", "in one scan"])
def test_accesses_are_numbered_over_all_files(make_folder, ask, monkeypatch, most):
    monkeypatch.setattr(query_module, "_MOST_SCANS", most)
    folder = make_folder()
    (folder / "accesses/0000000000000005.parquet.part").write_bytes(b"not yet")
    rows = ask(folder, "FROM accesses ORDER BY seq")
    assert rows == [{"seq": seq, **row} for seq, row in enumerate(KEPT)]
    assert ask(folder, "SELECT address FROM accesses WHERE seq = 3") == [{"address": KEPT[3]["address"]}]


def test_run_is_the_description_of_the_run(make_folder, ask):
    folder = make_folder()
    (row,) = ask(folder, "FROM run")
    assert row == json.loads((folder / "run.json").read_text())
    (row,) = ask(folder, "SELECT outcome.status, calls.by_name['Exit'] AS exits, handoff.entry FROM run")
    assert row == {"status": "EFI_SUCCESS", "exits": 2, "entry": None}


@pytest.mark.parametrize("form", ["table", "csv"])
def test_addresses_are_hexadecimal(make_folder, ask, form):
    folder = make_folder()
    sql = "SELECT pc, count(*) AS n, max(caller) AS Caller, max(caller) AS x FROM calls WHERE seq = 2 GROUP BY ALL"
    head, row = ask(folder, sql, form).splitlines()
    assert re.split(r",|\s+", head.strip()) == ["pc", "n", "Caller", "x"]
    assert re.split(r",|\s+", row.strip()) == ["0x5008", "1", "0x11010", str(0x11010)]
    (row,) = ask(folder, "SELECT pc, hex_address(pc) AS text, hex_address(NULL) AS nothing FROM calls WHERE seq = 2")
    assert row == {"pc": 0x5008, "text": "0x5008", "nothing": None}


def test_values_in_each_form(make_folder, ask):
    folder = make_folder()
    sql = (
        "SELECT true AS b, NULL AS n, 'a,\"' AS t, 2.5 AS d, 'nan'::DOUBLE AS f, [1] AS l, {'k': 1} AS s,"
        " 1::HUGEINT << 90 AS h"
    )
    assert ask(folder, sql) == [
        {"b": True, "n": None, "t": 'a,"', "d": 2.5, "f": None, "l": [1], "s": {"k": 1}, "h": 1 << 90}
    ]
    expected = ["true", "", 'a,"', "2.5", "nan", "[1]", '{"k": 1}', str(1 << 90)]
    assert list(csv.reader(io.StringIO(ask(folder, sql, "csv"))))[1] == expected
    assert ask(folder, "SELECT NULL AS n, false AS b", "table").split() == ["n", "b", "NULL", "false"]


def test_an_empty_answer_has_its_heads(make_folder, ask):
    folder = make_folder()
    sql = "SELECT seq, pc FROM calls WHERE false"
    assert ask(folder, sql, "table").split() == ["seq", "pc"]
    assert ask(folder, sql, "csv") == "seq,pc\n"
    assert ask(folder, sql) == []


def test_json_cannot_have_two_columns_of_one_name(make_folder, ask):
    folder = make_folder()
    sql = "SELECT one.pc, other.pc FROM calls AS one, calls AS other"
    assert ask(folder, sql, "csv").startswith("pc,pc\n")
    with pytest.raises(UsageError, match="AS"):
        ask(folder, sql)


@pytest.mark.parametrize(
    ("text", "visible"), [("\x1b[31m", "\\x1b[31m"), ("a\nb", "a\\nb"), ("[red]x[/red]", "[red]x[/red]")]
)
def test_text_of_the_guest_is_shown_as_it_is(make_folder, ask, text, visible):
    folder = make_folder(calls=[{"seq": 0, "service": text}])
    assert ask(folder, "SELECT service FROM calls", "table").split() == ["service", visible]
    assert ask(folder, "SELECT service FROM calls") == [{"service": text}]


@pytest.mark.parametrize("name", ["it's", "new\nline", 'a"b,', "k=v", "a*b?[x]", "back\\slash", "é; DROP"])
def test_the_folder_may_be_called_anything(make_folder, ask, name):
    folder = make_folder(f"{name}/{name}")
    make_folder("aXbYx/aXbYx", calls=[])
    assert len(ask(folder, "FROM calls")) == 4
    assert ask(folder, "SELECT max(seq) AS last FROM accesses") == [{"last": 4}]


def test_a_folder_may_be_put_together_from_links(make_folder, ask, tmp_path):
    folder = make_folder()
    (folder / "accesses").rename(tmp_path / "large")
    (folder / "accesses").symlink_to(tmp_path / "large")
    (folder / "calls.parquet").rename(tmp_path / "elsewhere.parquet")
    (folder / "calls.parquet").symlink_to(tmp_path / "elsewhere.parquet")
    assert ask(folder, "SELECT (SELECT count(*) FROM calls) AS c, count(*) AS a FROM accesses") == [{"c": 4, "a": 5}]


@pytest.mark.parametrize(
    ("table", "level", "advice"),
    [
        ("accesses", "exact", "--keep-accesses.*replay"),
        ("touched", "calls", "made with --trace calls; use --trace exact"),
        ("coverage/blocks", "exact", "not in this run folder"),
    ],
)
@pytest.mark.parametrize("sql", ["FROM {}", "DESCRIBE {}", "EXPLAIN FROM {}", 'SELECT 1 FROM calls JOIN "{}" ON true'])
def test_a_missing_table_is_told_of(make_folder, ask, table, level, advice, sql):
    folder = make_folder(level=level, without=[table])
    with pytest.raises(UnreadableError, match=f"{re.escape(str(folder / table))}.*{advice}"):
        ask(folder, sql.format(table.replace("/", "_").upper()))
    assert ask(folder, f"WITH {table.replace('/', '_')} AS (SELECT 1 AS x) FROM {table.replace('/', '_')}") == [
        {"x": 1}
    ]


@pytest.mark.parametrize("table", ["functions", "regions"])
def test_functions_can_be_missing(make_folder, ask, table):
    folder = make_folder(without=[table])
    assert len(ask(folder, "FROM calls")) == 4
    with pytest.raises(UnreadableError, match=f"{table}.parquet: not in this run folder"):
        ask(folder, "SELECT function_at(pc, first_call) FROM touched")


def damage_end(data):
    return data[:-100]


def damage_pages(data):
    """All but the footer, whose length stands behind it."""
    footer = int.from_bytes(data[-8:-4], "little") + 8
    return b"PAR1" + bytes(len(data) - footer - 4) + data[-footer:]


@pytest.mark.parametrize("damage", [damage_end, damage_pages, lambda _: b"", lambda data: b"x" * len(data)])
@pytest.mark.parametrize("name", ["touched.parquet", "accesses/0000000000000003.parquet"])
def test_a_damaged_file_is_named_and_spoils_no_other_query(make_folder, ask, name, damage):
    folder = make_folder()
    file = folder / name
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UnreadableError, match=re.escape(str(file))):
        ask(folder, f"SELECT sum(pc), sum(region), any_value(write) FROM {re.split('[./]', name)[0]}")
    assert ask(folder, "SELECT count(*) AS n FROM calls") == [{"n": 4}]


def test_text_that_is_no_text(make_folder, ask):
    folder = make_folder()
    calls = pq.read_table(folder / "calls.parquet")
    not_text = pa.Array.from_buffers(pa.string(), 4, pa.array([b"\xff"] * 4).buffers())
    pq.write_table(
        calls.set_column(0, "service", not_text).append_column("seq", calls["seq"]), folder / "calls.parquet"
    )
    with pytest.raises(UnreadableError, match=r"calls\.parquet: "):
        ask(folder, "SELECT service FROM calls")


def test_columns_of_other_types_spoil_no_other_query(make_folder, ask):
    folder = make_folder()
    for kind in (pa.list_(pa.int64()), pa.struct({"x": pa.int64()}), pa.binary()):
        rows = {column.name: pa.nulls(1, kind) for column in FUNCTIONS.columns}
        pq.write_table(pa.table(rows), folder / "functions.parquet")
        assert len(ask(folder, "FROM calls")) == 4


def test_a_file_without_a_column(make_folder, ask):
    folder = make_folder()
    pq.write_table(pa.table({"seq": [1]}), folder / "calls.parquet")
    with pytest.raises(UnreadableError, match=r"calls\.parquet: .*parent"):
        ask(folder, "SELECT seq FROM calls")


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("selec 1", r"syntax error at or near \"selec\" \(line 1, column 1\)"),
        ("SELECT 1,\n  nope FROM calls", r'"nope" not found.*\(line 2, column 3\)'),
        ("FROM nope", r"nope does not exist.*\(line 1, column 6\)"),
        ("EXPLAIN SELECT nope", r"\(line 1, column 16\)"),
        ("SELECT x FROM run" + " " * 200, "line 1"),
        ("SELECT service::INT FROM calls", r"Could not convert string 'AllocatePages'.*\(line 1, column 15\)"),
        ("SELECT error('two' || chr(10) || 'lines')", "two lines"),
        ("SELECT ?", "parameters"),
        ("SELECT '\udcff'", "UTF-8"),
        ("SELECT 'a\0", "unterminated"),
        ("FROM open_run", "does not exist"),
        ("", "none"),
        ("-- nothing", "none"),
        ("SELECT 1; SELECT 2", "SELECT and SELECT"),
    ],
)
def test_wrong_sql(make_folder, ask, sql, message):
    folder = make_folder()
    with pytest.raises(UsageError, match=message) as raised:
        ask(folder, sql)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '{}'",
        "WITH x AS (COPY (SELECT 1) TO '{}') FROM x",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '{}'",
        "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{}'",
        "EXPLAIN ANALYZE WITH x AS (COPY (SELECT 1) TO '{}') FROM x",
        "EXPLAIN /**/ ANALYZE WITH x AS (COPY (SELECT 1) TO '{}') FROM x",
        "WITH x AS (COPY (SELECT 1) TO '{}') PIVOT calls ON service",
        "SELECT 1; COPY (SELECT 1) TO '{}'",
        "EXPORT DATABASE '{}'",
        "ATTACH '{}'",
        "FROM enable_logging('QueryLog', storage = 'file', storage_path = '{}')",
        "CREATE TABLE x AS SELECT 1",
        "WITH x AS (DELETE FROM run RETURNING *) FROM x",
        "SET memory_limit = '100GB'",
        "PRAGMA enable_profiling",
    ],
)
def test_nothing_is_written(make_folder, ask, sql):
    folder = make_folder()
    before = sorted(folder.rglob("*"))
    with pytest.raises(UsageError):
        ask(folder, sql.format(folder / "new"))
    assert sorted(folder.rglob("*")) == before
    assert len(ask(folder, "FROM run")) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "FROM read_csv('{}/secret')",
        "FROM read_text('{}/run/../secret')",
        "FROM read_text('{}/run/link')",
        "FROM read_text('/etc/passwd')",
        "FROM '{}/secret'",
        "FROM glob('{}/*')",
        "FROM 'https://example.org/x.parquet'",
    ],
)
def test_other_files_are_out_of_reach(make_folder, ask, tmp_path, sql):
    folder = make_folder()
    (tmp_path / "secret").write_text("secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    with pytest.raises(UsageError):
        ask(folder, sql.format(tmp_path))


def test_other_files_of_the_folder_can_be_read(make_folder, ask):
    folder = make_folder()
    (folder / "console.txt").write_text("hello")
    assert ask(folder, f"SELECT content FROM read_text('{folder}/console.txt')") == [{"content": "hello"}]


def test_a_plan_is_shown_as_it_is_drawn(make_folder, ask):
    folder = make_folder()
    assert len(ask(folder, "EXPLAIN SELECT pc FROM calls", "table").splitlines()) > 3
    assert ask(folder, "explain analyze FROM calls")[0]["explain_key"] == "analyzed_plan"


def test_the_verb(make_folder, command, tmp_path):
    make_folder("folder")
    assert command("query", "folder", "SELECT pc FROM calls LIMIT 1").out.split() == ["pc", "0x5000"]
    (tmp_path / "file.sql").write_text("-- a comment\nSELECT seq\nFROM calls ORDER BY seq;\n")
    assert command("query", "folder", "@file.sql", "--format", "csv").out == "seq\n0\n1\n2\n3\n"
    for arguments, code, said in (
        (("folder", "SELECT nope"), 2, "nope"),
        (("folder", "SELECT 1", "--format", "xml"), 2, "table, csv or json"),
        (("folder", "@nope.sql"), 10, "nope.sql: No such file"),
        (("nope", "SELECT 1"), 10, "is this a run folder?"),
    ):
        done = command("query", *arguments)
        assert done.code == code
        assert said in done.err
        assert done.err.count("\n") == 1


def test_the_documentation_has_ready_queries():
    assert len(READY) == DOCS.joinpath("queries.md").read_text().count("```sql") >= 10


@pytest.mark.parametrize(("title", "sql"), READY, ids=[title for title, _ in READY])
def test_ready_queries_find_something(make_folder, ask, title, sql):
    assert ask(make_folder(), sql)


def ready(start):
    (sql,) = (sql for title, sql in READY if title.startswith(start))
    return sql


def test_ready_queries_are_right(make_folder, ask):
    folder = make_folder()
    (row,) = ask(folder, ready("Who wrote boot_params"))
    assert row["after"] == "AllocatePages"
    assert (row["pc"], row["function"], row["writes"], row["bytes"]) == (0x10100, "efi_main", 2, 16)
    assert [(row["name"], row["bytes"]) for row in ask(folder, ready("What was read of each configuration table"))] == [
        ("configuration table ACPI 2.0", 4),
        ("configuration table SMBIOS3", None),
    ]
    assert {row["function"]: row["accesses"] for row in ask(folder, ready("Accesses by function"))} == {
        "stub+0x1000": 10,
        "efi_main": 2,
    }
    assert [row["seq"] for row in ask(folder, ready("Accesses to one address"))] == [1]
    assert {row["name"]: row["never_touched"] for row in ask(folder, ready("How much of each section"))} == {
        "stub .text": 0x2000 - 0x30,
        "stub .data": 0x1000 - 0x190,
        "old .text": 0x2000,
    }
