"""Captions written where each picture has its own: what else is in the files stays as it was."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker import errors
from broker.datasets.caption_files import list_pictures, write_captions

PNG = b"\x89PNG"


def write(files: dict[str, bytes], captions: dict[str, str]) -> dict[str, bytes]:
    return write_captions(list(files), files.__getitem__, captions)


def captions_after(files: dict[str, bytes], captions: dict[str, str]) -> dict[str, str]:
    after = files | write(files, captions)
    return {each.name: each.caption for each in list_pictures(list(after), after.__getitem__)}


def test_a_picture_without_a_caption_gets_a_file_beside_it() -> None:
    assert write({"a.png": PNG, "b.png": PNG}, {"a.png": "red kettle"}) == {"a.txt": b"red kettle\n"}


def test_a_row_keeps_its_other_columns_and_rows() -> None:
    files = {
        "a.png": PNG,
        "b.png": PNG,
        "metadata.csv": b'file_name,artist,text\r\nb.png,Lin,"old, one"\r\na.png,,x\r\n',
    }
    written = write(files, {"b.png": "new, one"})
    assert written.keys() == {"metadata.csv"}
    assert written["metadata.csv"].decode().splitlines() == [
        "file_name,artist,text",
        'b.png,Lin,"new, one"',
        "a.png,,x",
    ]


def test_a_line_of_jsonl_keeps_its_other_keys() -> None:
    files = {"a.png": PNG, "metadata.jsonl": b'{"file_name": "a.png", "caption": "old", "artist": "Lin"}\n'}
    assert write(files, {"a.png": "\u7ea2\u8272"}) == {
        "metadata.jsonl": '{"file_name": "a.png", "caption": "\u7ea2\u8272", "artist": "Lin"}\n'.encode()
    }


def test_two_pictures_that_would_share_a_file_get_rows() -> None:
    files = {"a.png": PNG, "a.jpg": PNG, "b.png": PNG}
    assert captions_after(files, {"a.png": "one", "b.png": "two"}) == {"a.png": "one", "a.jpg": "", "b.png": "two"}
    shared = files | {"a.txt": b"both"}
    assert captions_after(shared, {"a.png": "one"}) == {"a.png": "one", "a.jpg": "both", "b.png": ""}


def test_a_picture_that_is_not_there_is_named() -> None:
    with pytest.raises(errors.InvalidRequest, match=r"captions\.1: c\.png is no picture"):
        write({"a.png": PNG}, {"a.png": "x", "c.png": "y"})


def test_a_broken_row_is_never_lost() -> None:
    files = {"a.png": PNG, "metadata.csv": b"file_name,text\na.png,one\nb.png,two,three\n"}
    with pytest.raises(errors.InvalidRequest, match=r"metadata\.csv line 3"):
        write(files, {"a.png": "x"})


WORDS = st.text(st.sampled_from("ab,;\" \t\u7ea2'"), max_size=12).map(lambda text: " ".join(text.split()))


@given(st.dictionaries(st.sampled_from(["a.png", "s/b.png", "b.png", "b.jpg", "c.png"]), WORDS, min_size=1))
def test_whatever_is_written_is_read_again(captions) -> None:
    rows = b'file_name,text\nc.png,"was, there"\nb.jpg,old\n'
    files = dict.fromkeys(["a.png", "s/b.png", "b.png", "b.jpg", "c.png"], PNG) | {"metadata.csv": rows}
    files |= {"a.txt": b"beside", "s/b.caption": b"beside"}
    before = {each.name: each.caption for each in list_pictures(list(files), files.__getitem__)}
    assert captions_after(files, captions) == before | captions
