"""A form is received into one file: its parts come out as they went in, and nothing is left of one that is none."""

import asyncio
import gc
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import pytest
from fastapi import HTTPException
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from broker.http import form
from broker.http.form import ReceivedFile, receive_form
from broker.persistence.storage import PieceWriter
from tests.properties import examples

OPEN = Path("/proc/self/fd")
HEADERS = Headers({"content-type": "multipart/form-data; boundary=cut"})
FIELD = b'--cut\r\nContent-Disposition: form-data; name="a"\r\n\r\n%s\r\n'


def write_form(files: list[tuple[str, bytes]], **fields: str) -> bytes:
    told = [f'name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    told += [f'name="files"; filename="{name}"\r\n\r\n'.encode() + content for name, content in files]
    return b"".join(b"--cut\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in told) + b"--cut--\r\n"


def count_files(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def cut(content: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


@given(
    contents=st.lists(st.binary(max_size=300) | st.just(b"\r\n--cu" * 50), max_size=4),
    size=st.integers(1, 400),
    name=st.text(st.characters(categories=("L", "N")), max_size=20),
)
@examples(60)
def test_parts_come_out_as_they_went_in_however_they_were_cut(contents: list[bytes], size: int, name: str) -> None:
    with TemporaryDirectory() as scratch:
        asyncio.run(check_form(contents, size, name, Path(scratch)))


async def check_form(contents: list[bytes], size: int, name: str, scratch: Path) -> None:
    sent = [(f"{number}.bin", content) for number, content in enumerate(contents)]
    received = await receive_form(HEADERS, cut(write_form(sent, name=name), size), scratch)
    assert received["name"] == name
    files = [each for each in received.getlist("files") if isinstance(each, ReceivedFile)]
    for file, (sent_as, content) in zip(files, sent, strict=True):
        assert (file.filename, file.size, await file.read()) == (sent_as, len(content), content)
        with file.open() as again, file.open() as beside:
            again.seek(-min(3, len(content)), 2)
            assert (again.read(), beside.read()) == (content[-3:], content)
        assert await file.digest() == hashlib.sha256(content).hexdigest()
    await received.close()
    assert count_files(scratch) == 0


async def test_files_of_a_form_share_one_descriptor(tmp_path: Path) -> None:
    gc.collect()  # what another test of this process has left open is closed now, and not meanwhile
    before = count_files(OPEN)
    sent = [(f"{number}.bin", b"x" * 10) for number in range(500)]
    received = await receive_form(HEADERS, cut(write_form(sent), 1 << 16), tmp_path)
    assert len(received.getlist("files")) == 500
    assert count_files(OPEN) == before + 1
    await received.close()
    assert count_files(OPEN) == before


async def test_form_whose_client_breaks_off_is_closed_however_often_it_is_told_to_stop(tmp_path: Path) -> None:
    """A past fault: one that was stopped while it waited for the disk stayed open until the garbage was collected."""
    before, written = count_files(OPEN), Event()

    async def take_long(_writer: PieceWriter) -> None:
        written.set()
        await asyncio.Event().wait()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(PieceWriter, "settle", take_long)
        receiving = asyncio.create_task(receive_form(HEADERS, cut(write_form([("a", b"x")]), 50), tmp_path))
        await asyncio.to_thread(written.wait)
        receiving.cancel()
        await asyncio.sleep(0)  # it waits for the disk again, to give up in order
        assert count_files(OPEN) == before + 1
        receiving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await receiving
    assert count_files(OPEN) == before


async def test_form_is_closed_where_closing_one_of_its_files_is_cut_short(tmp_path: Path) -> None:
    before = count_files(OPEN)
    received = await receive_form(HEADERS, cut(write_form([("a", b"x")]), 50), tmp_path)
    closing = asyncio.create_task(received.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert count_files(OPEN) == before


@pytest.mark.parametrize(
    ("headers", "content", "word"),
    [
        ({"content-type": "multipart/form-data"}, b"", "Missing boundary"),
        (HEADERS, b"no form at all", "Invalid multipart data"),
        (HEADERS, b"--cut\r\nContent-Disposition: form-data\r\n\r\nx\r\n--cut--\r\n", "must be provided"),
        (HEADERS, write_form([], name="x" * 101), "Part exceeded"),
        (HEADERS, write_form([("a", b""), ("b", b""), ("c", b"")]), "Too many parts"),
        (HEADERS, FIELD % (b"x" * 80) * 2, "Fields exceeded"),
    ],
)
async def test_form_that_is_none_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], content: bytes, word: str
) -> None:
    monkeypatch.setattr(form, "MAX_FIELD_BYTES", 100)
    monkeypatch.setattr(form, "MAX_FIELDS_BYTES", 150)
    monkeypatch.setattr(form, "MAX_FILES", 2)
    before = count_files(OPEN)
    with pytest.raises(HTTPException) as caught:
        await receive_form(Headers(headers), cut(content, 50), tmp_path)
    assert (caught.value.status_code, word in caught.value.detail) == (400, True)
    assert count_files(OPEN) == before
