"""Pages are measured by their own headers: what a footer says of them may be a lie."""

import io

import pytest

from pricing.datasets import parquet_pages, parquet_rows
from pricing.datasets.parquet_pages import ParquetTooLarge, list_pages
from pricing.datasets.parquet_rows import iter_parquet
from pricing.datasets.text_rows import parse_text_files

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
ROWS = [{"prompt": f"{number} {'x' * 200}", "completion": "y" * 50} for number in range(500)]


def write(rows, **options):
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows), buffer, **options)
    return buffer.getvalue()


def list_all(content):
    file = io.BytesIO(content)
    told = parquet.ParquetFile(io.BytesIO(content)).metadata
    columns = [told.row_group(group).column(place) for group in range(told.num_row_groups) for place in range(2)]
    return [(column, list(list_pages(file, column))) for column in columns]


def write_number(number):
    """Write a number as Thrift's compact protocol does."""
    left, written = 2 * number, bytearray()
    while left > 127:
        written.append(left & 127 | 128)
        left >>= 7
    return bytes(written) + bytes([left])


@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}, {"use_dictionary": False}])
@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
def test_every_page_is_found_with_its_size_and_values(compression, options):
    content = write(
        ROWS, compression=compression, data_page_size=10_000, write_batch_size=50, row_group_size=250, **options
    )
    found = list_all(content)
    assert len(found) == 4
    for column, pages in found:
        headers = column.total_uncompressed_size - sum(page.size_bytes for page in pages)
        assert 10 * len(pages) < headers < 1000 * len(pages), "a footer counts headers, too"
        of_data = pages[1:] if column.has_dictionary_page else pages
        assert sum(page.values for page in of_data) == column.num_values
    assert max(len(pages) for _column, pages in found) > 1


def test_page_that_would_take_too_much_is_refused_before_it_is_unpacked(monkeypatch):
    rows = [{"prompt": "0" * 3_000_000, "completion": "y"}]
    content = write(rows, compression="zstd")
    assert len(content) < 10_000
    monkeypatch.setattr(parquet_pages, "MOST_PAGE_BYTES", 1 << 20)
    with pytest.raises(ParquetTooLarge, match="a page of prompt unpacks to 2 MiB, more than 1"):
        list(iter_parquet(io.BytesIO(content)))
    parsed = parse_text_files([("rows.parquet", content)])
    assert "a page of prompt unpacks to 2 MiB, more than 1; 1 rows from here on are not read" in (
        parsed.findings[0].message
    )
    monkeypatch.setattr(parquet_pages, "MOST_PAGE_BYTES", 1 << 24)
    monkeypatch.setattr(parquet_pages, "MOST_PAGE_VALUES", 400)
    with pytest.raises(ParquetTooLarge, match="has 500 values, more than 400"):
        list(iter_parquet(io.BytesIO(write(ROWS))))


def test_footer_that_says_less_than_is_there_has_no_more_rows_made_at_once(monkeypatch):
    """A past fault: rows were read by what the footer said they take, and a page of a gigabyte was nothing in it."""
    content = write(ROWS, compression="zstd", use_dictionary=False)
    told = parquet.ParquetFile(io.BytesIO(content)).metadata.row_group(0)
    lie = content
    for place in range(2):
        size_bytes = told.column(place).total_uncompressed_size
        written = write_number(size_bytes)
        smallest = write_number(1 << (7 * (len(written) - 1) - 1))
        assert (len(smallest), lie.count(written)) == (len(written), 1)
        lie = lie.replace(written, smallest)
    monkeypatch.setattr(parquet_rows, "MOST_BYTES", 20_000)
    counted = [
        parquet_rows._count_at_once(io.BytesIO(each), group, [group.schema_leaf(place) for place in range(2)])
        for each in (content, lie)
        if (group := _Group(parquet.ParquetFile(io.BytesIO(each)).metadata))
    ]
    assert counted[0] == counted[1] < 100
    assert list(iter_parquet(io.BytesIO(lie))) == ROWS


class _Group:
    """The first group of a file's metadata, with what is told of its columns."""

    def __init__(self, told):
        self.told, self.num_rows, self.column = told, told.row_group(0).num_rows, told.row_group(0).column

    def schema_leaf(self, place):
        return self.told.schema.column(place)


@pytest.mark.parametrize("damage", [b"\xff" * 40, b"\x00" * 40, b"\x15\x80" * 20, b"\x1c" * 40, b"\x19" * 40])
def test_header_that_is_none_is_a_damaged_file(damage):
    content = write(ROWS, compression="zstd")
    broken = content[:4] + damage + content[4 + len(damage) :]
    parsed = parse_text_files([("rows.parquet", broken)])
    assert parsed.rows == []
    assert parsed.findings[0].message.startswith("not Parquet: ")


def test_footer_of_no_end_is_not_read(monkeypatch):
    content = write(ROWS)
    monkeypatch.setattr(parquet_pages, "MOST_FOOTER_BYTES", 100)
    with pytest.raises(ParquetTooLarge, match="its footer has"):
        list(iter_parquet(io.BytesIO(content)))
    assert parse_text_files([("rows.parquet", b"PAR1")]).findings[0].message.startswith("not Parquet: ")
