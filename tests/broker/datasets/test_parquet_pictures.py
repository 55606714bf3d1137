"""Pictures in Parquet, as Hugging Face data sets keep them, become a data set of pictures."""

import io
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from broker.datasets import parquet_pictures
from broker.datasets.archive import ArchiveRefused, UploadedFile, read_file, unpack_uploads
from broker.datasets.findings import DatasetFinding
from pricing.datasets.picture_listing import list_named_pictures
from tests.broker.factories import ROWS, Api, jsonl, make_customer
from tests.broker.picture_files import draw_picture

PICTURE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def write_parquet(rows: list[dict[str, Any]], **columns: pa.DataType) -> bytes:
    buffer = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(columns.items()))), buffer)
    return buffer.getvalue()


def write_style(count: int = 3) -> bytes:
    rows = [
        {"image": {"bytes": draw_picture(number=number), "path": None}, "text": f"a red cup {number}"}
        for number in range(count)
    ]
    return write_parquet(rows, image=PICTURE, text=pa.string())


def unpack(name: str, content: bytes, **options: Any) -> tuple[dict[str, bytes], list[DatasetFinding]]:
    notes = list[DatasetFinding]()
    with unpack_uploads([UploadedFile(name, content)], notes=notes, **{"max_bytes": 10**6, **options}) as files:
        return {file.name: read_file(file) for file in files}, notes


async def test_pictures_and_captions_of_shards_are_one_data_set(api: Api) -> None:
    customer = await make_customer(api)
    shards = [("files", (f"train-{number}.parquet", write_style())) for number in range(2)]
    form = {"customer_id": customer["id"]}
    dataset = (await api.call("POST", "/datasets", files=shards, data=form, expect=201)).json()
    assert (dataset["kind"], dataset["usable_rows"]) == ("images", 6)
    names = [file["name"] for file in dataset["files"]]
    assert names[:4] == [f"train-0/00000{number}.png" for number in (1, 2, 3)] + ["train-0/metadata.jsonl"]
    assert not [each for each in dataset["findings"] if "caption" in each["message"]]


async def test_rows_of_messages_in_parquet_are_text_as_ever(api: Api) -> None:
    customer = await make_customer(api)
    turn = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    turns = [
        {"messages": [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row["completion"]}]}
        for row in ROWS
    ]
    plain = [{"text": row["completion"]} for row in ROWS]
    files = [
        ("files", ("chat.parquet", write_parquet(turns, messages=turn))),
        ("files", ("plain.parquet", write_parquet(plain, text=pa.string()))),
        ("files", ("more.jsonl", jsonl())),
    ]
    form = {"customer_id": customer["id"]}
    dataset = (await api.call("POST", "/datasets", files=files, data=form, expect=201)).json()
    assert (dataset["kind"], dataset["usable_rows"], dataset["findings"]) == ("text", 3 * len(ROWS), [])


def test_name_of_a_picture_says_its_kind_and_else_its_bytes() -> None:
    rows = [
        {"image": {"bytes": draw_picture(suffix="webp"), "path": None}},
        {"image": {"bytes": draw_picture(suffix="jpg"), "path": "cat.JPEG"}},
        {"image": {"bytes": draw_picture(suffix="gif"), "path": "cat"}},
    ]
    files, _notes = unpack("a.parquet", write_parquet(rows, image=PICTURE))
    assert list(files) == ["a/000001.webp", "a/000002.jpeg", "a/000003.gif"]


def test_row_without_its_picture_is_told() -> None:
    rows = [{"image": {"bytes": None, "path": "/home/me/1.png"}}, {"image": {"bytes": draw_picture(), "path": None}}]
    files, (note,) = unpack("a.parquet", write_parquet(rows, image=PICTURE))
    assert (list(files), note.file, note.line, note.level) == (["a/000002.png"], "a.parquet", 1, "error")
    assert "has no bytes of a picture" in note.message


def test_pictures_of_a_parquet_have_the_limit_of_every_upload() -> None:
    with pytest.raises(ArchiveRefused, match="more than 500 bytes"):
        unpack("a.parquet", write_style(), max_bytes=500)


def test_column_that_changes_how_pictures_are_learnt_is_refused() -> None:
    rows = [{"image": {"bytes": draw_picture(), "path": None}, "mask": "x"}]
    with pytest.raises(ArchiveRefused, match=r"a\.parquet: mask changes how a picture is learnt"):
        unpack("a.parquet", write_parquet(rows, image=PICTURE, mask=pa.string()))


def test_row_that_is_not_to_be_learnt_is_set_aside_as_in_any_metadata() -> None:
    """Past fault: a column that says so was left in the Parquet file, and the picture learnt."""
    said = [(False, "train"), (True, "train"), (None, "test"), (None, None)]
    rows = [
        {"image": {"bytes": draw_picture(number=number)}, "skip": skip, "split": split}
        for number, (skip, split) in enumerate(said)
    ]
    files, _notes = unpack("a.parquet", write_parquet(rows, image=PICTURE, skip=pa.bool_(), split=pa.string()))
    listing = list_named_pictures(files, files.__getitem__)
    assert [picture.name for picture in listing.pictures] == ["a/000001.png", "a/000004.png"]
    assert listing.lost == {"a/000002.png", "a/000003.png"}


def test_without_pyarrow_a_file_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(parquet_pictures.importlib, "import_module", refuse)
    assert list(unpack("a.parquet", write_style())[0]) == ["a.parquet"]
