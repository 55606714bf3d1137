"""Rows of a Parquet file, as many at a time as have room in memory.

A file of some kilobytes may hold one value of a gigabyte, and name it in each of its rows. So text and bytes are read
as dictionaries, in which a value stands once, and rows are made of them in portions that are weighed before. What the
file says of its size is compared with its pages' own headers.
"""

import importlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from pricing.datasets.parquet_pages import ParquetTooLarge, check_footer, list_pages

BATCH_ROWS = 8192
MOST_BYTES = 64 << 20  # of the rows that are made at once
MOST_GROUP_BYTES = 1 << 30  # unpacked: rows of a larger group are read one by one
BYTES_OF_A_VALUE = 64


def open_parquet(opened: BinaryIO) -> Any:
    """Open a file with pyarrow, which reads what it tells of itself. Raises: as `iter_parquet`."""
    check_footer(opened)
    return importlib.import_module("pyarrow.parquet").ParquetFile(opened)


def iter_parquet(opened: BinaryIO, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Iterate over the rows, or some columns of them. Raises: ParquetTooLarge; ImportError; what pyarrow raises."""
    plain = open_parquet(opened)
    parquet, told = importlib.import_module("pyarrow.parquet"), plain.metadata
    leaves = [told.schema.column(place) for place in range(told.num_columns)]
    texts = [each.path for each in leaves if each.physical_type == "BYTE_ARRAY" and each.logical_type.type != "DECIMAL"]
    file = parquet.ParquetFile(opened, metadata=told, read_dictionary=texts)
    for number in range(told.num_row_groups):
        rows = _count_at_once(opened, told.row_group(number), leaves)
        for batch in file.iter_batches(batch_size=rows, row_groups=[number], columns=columns):
            for portion in _take_portions(batch):
                yield from portion.cast(_name_types(plain.schema_arrow, portion)).to_pylist()


def _name_types(schema: Any, batch: Any) -> Any:
    """Name the types of a batch without dictionaries, of which rows are made slowly."""
    return importlib.import_module("pyarrow").schema([schema.field(name) for name in batch.schema.names])


def _count_at_once(opened: BinaryIO, group: Any, leaves: Sequence[Any]) -> int:
    """Count how many rows of a group are read at once, by what its pages will take. Raises: ParquetTooLarge."""
    size_bytes = 0
    for place, leaf in enumerate(leaves):
        column = group.column(place)
        pages = list(list_pages(opened, column))
        is_fixed = leaf.physical_type == "FIXED_LEN_BYTE_ARRAY"
        values = max(column.num_values, sum(page.values for page in pages))
        unpacked = max(column.total_uncompressed_size, sum(page.size_bytes for page in pages))
        size_bytes += max(unpacked, values * leaf.length if is_fixed else 0)
    if size_bytes > MOST_GROUP_BYTES:
        return 1
    return int(max(1, min(BATCH_ROWS, group.num_rows * MOST_BYTES // max(1, size_bytes))))


def _take_portions(batch: Any) -> Iterator[Any]:
    """Take a batch apart into portions whose rows have room. Raises: ParquetTooLarge."""
    if sum(_weigh(column) for column in batch.columns) <= MOST_BYTES:
        yield batch
        return
    if batch.num_rows == 1:
        raise ParquetTooLarge(f"a row has more than {MOST_BYTES >> 20} MiB")
    half = batch.num_rows // 2
    yield from _take_portions(batch.slice(0, half))
    yield from _take_portions(batch.slice(half))


def _weigh(array: Any) -> int:
    """Weigh an array in bytes as its values are made, each anew."""
    types, compute = importlib.import_module("pyarrow").types, importlib.import_module("pyarrow.compute")
    if types.is_dictionary(array.type):
        lengths = compute.binary_length(array.dictionary).take(array.indices)
        return BYTES_OF_A_VALUE * len(array) + (compute.sum(lengths.cast("int64")).as_py() or 0)
    if types.is_struct(array.type):
        return sum(_weigh(inner) for inner in array.flatten())
    if types.is_map(array.type):
        return _weigh(array.keys) + _weigh(array.items)
    if types.is_list(array.type) or types.is_large_list(array.type):
        return _weigh(array.flatten())
    return BYTES_OF_A_VALUE * len(array) + int(array.nbytes)
