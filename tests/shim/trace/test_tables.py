"""The definition of the tables: what it says is what Arrow gets."""

import numpy as np
import pyarrow as pa
import pytest

from shim.trace.tables import TABLES, TOUCHED


def test_the_names_are_there_once():
    assert [table.name for table in TABLES] == [
        "calls",
        "privileged",
        "sbi",
        "regions",
        "touched",
        "coverage/bytes",
        "coverage/blocks",
        "functions",
        "accesses",
    ]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_the_schema_has_every_column_with_its_meaning(table):
    schema = table.schema()
    assert schema.names == [column.name for column in table.columns]
    assert len(set(schema.names)) == len(schema.names)
    assert schema.metadata == {b"doc": table.doc.encode()}
    for column, field in zip(table.columns, schema, strict=True):
        assert field.metadata == {b"doc": column.doc.encode()}
        assert column.doc
        assert str(field.type) == column.type


def test_numbers_are_as_wide_as_addresses():
    wide = {"pc", "caller", "start", "end", "address"}
    found = [column for table in TABLES for column in table.columns if column.name in wide]
    assert found
    assert {column.type for column in found} == {"uint64"}


def test_types_are_arrows():
    types = {field.type for table in TABLES for field in table.schema()}
    assert types <= {pa.uint64(), pa.uint32(), pa.uint8(), pa.string(), pa.bool_()}


def test_packed_rows_have_the_columns_of_the_table():
    rows = np.zeros(2, TOUCHED.dtype())
    rows["origin"] = [0, 1]
    rows["first_seq"] = [5, (1 << 64) - 1]
    rows["write"] = [False, True]
    found = pa.Table.from_arrays(TOUCHED.unpack(rows.tobytes()), schema=TOUCHED.schema())
    assert found["origin"].to_pylist() == ["cpu", "service"]
    assert found["first_seq"].to_pylist() == [5, None]
    assert found["write"].to_pylist() == [False, True]


def test_addresses_are_marked_as_such():
    assert {column.name for table in TABLES for column in table.columns if column.address} == {
        "pc",
        "caller",
        "start",
        "end",
        "address",
    }
