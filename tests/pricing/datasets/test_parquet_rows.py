"""Rows of Parquet come as they were written, and a small file that names a large value often is no bomb."""

import decimal

import pytest

from pricing.datasets import parquet_rows
from pricing.datasets.parquet_pages import ParquetTooLarge
from pricing.datasets.parquet_rows import iter_parquet
from pricing.datasets.text_rows import parse_text_files

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")


def test_rows_of_every_kind_come_as_they_were_written(tmp_path):
    columns = {
        "prompt": pyarrow.array(["a", None, "a", "b"]),
        "large": pyarrow.array(["x", "", None, "y"], pyarrow.large_string()),
        "price": pyarrow.array([decimal.Decimal("1.50"), None, None, None], pyarrow.decimal128(30, 2)),
        "image": pyarrow.array(
            [{"bytes": b"1", "path": "1.png"}, None, {"bytes": None, "path": None}, {"bytes": b"2"}]
        ),
        "messages": pyarrow.array(
            [[{"role": "user", "content": "hi"}], [], None, [{"role": "user", "content": "hi"}] * 2]
        ),
        "counts": pyarrow.array([[1], [2, 3], None, []]),
        "told": pyarrow.array([[("k", "v")], [], None, [("k", "w")]], pyarrow.map_(pyarrow.string(), pyarrow.string())),
        "fixed": pyarrow.array([b"ab", None, b"cd", b"ab"], pyarrow.binary(2)),
        "kind": pyarrow.array(["u", "v", "u", None]).dictionary_encode(),
    }
    table = pyarrow.table(columns)
    parquet.write_table(table, tmp_path / "rows.parquet", row_group_size=3)
    with (tmp_path / "rows.parquet").open("rb") as opened:
        assert list(iter_parquet(opened)) == table.to_pylist()
    with (tmp_path / "rows.parquet").open("rb") as opened:
        assert list(iter_parquet(opened, ["image"])) == table.select(["image"]).to_pylist()


@pytest.mark.parametrize("is_nested", [False, True])
def test_value_that_many_rows_name_is_made_for_few_of_them_at_once(tmp_path, monkeypatch, is_nested):
    monkeypatch.setattr(parquet_rows, "MOST_BYTES", 10_000)
    value = "x" * 4000
    rows = [{"prompt": [{"content": value}] if is_nested else value} for _ in range(20)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    made = list[int]()
    name_types = parquet_rows._name_types

    def watch(schema, batch):
        made.append(batch.num_rows)
        return name_types(schema, batch)

    monkeypatch.setattr(parquet_rows, "_name_types", watch)
    with (tmp_path / "rows.parquet").open("rb") as opened:
        assert list(iter_parquet(opened)) == rows
    assert (sum(made), max(made)) == (20, 2)


def test_row_that_is_too_large_is_told_and_those_before_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet_rows, "MOST_BYTES", 1 << 20)
    large = [{"prompt": "x" * (1 << 20), "completion": "y"}]
    rows = [{"prompt": "a", "completion": "b"}, *large, *large]
    file = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    with file.open("rb") as opened, pytest.raises(ParquetTooLarge, match="more than 1 MiB"):
        list(iter_parquet(opened))
    parsed = parse_text_files([("rows.parquet", file.read_bytes())])
    assert len(parsed.rows) == 1
    assert "a row has more than 1 MiB; 2 rows from here on are not read" in parsed.findings[0].message
