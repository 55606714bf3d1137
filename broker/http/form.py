"""A multipart form, received into one file: nothing of an upload is held in memory, whatever it consists of.

Starlette's own parser keeps a megabyte of every part in memory, and a file descriptor for each part that is larger.
"""

import asyncio
import codecs
import contextlib
import hashlib
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from fastapi import HTTPException
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.datastructures import FormData, Headers, UploadFile

from broker.persistence.pieces import open_piece
from broker.persistence.storage import PieceWriter

MAX_FILES = 20_000
MAX_FIELDS = 1000
MAX_FIELD_BYTES = 1 << 20
MAX_FIELDS_BYTES = 8 << 20  # of all of them: they are held in memory


class ReceivedFile(UploadFile):
    """A file of a form that was received; `open` opens it anew, from its beginning."""

    def __init__(self, spool: BinaryIO, start: int, size: int, *, filename: str, headers: Headers) -> None:
        super().__init__(open_piece(spool, start, size), size=size, filename=filename, headers=headers)
        self.open: Callable[[], BinaryIO] = partial(open_piece, spool, start, size)

    async def digest(self) -> str:
        """Compute the SHA-256 of the file, hex."""
        return await asyncio.to_thread(self._digest)

    def _digest(self) -> str:
        with self.open() as file:
            return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


class ReceivedForm(FormData):
    """A form and the file in which its files lie."""

    def __init__(self, items: list[tuple[str, str | UploadFile]], spool: BinaryIO) -> None:
        super().__init__(items)
        self._spool = spool

    async def close(self) -> None:
        """Close the files of the form, and what they lie in, whatever becomes of the request meanwhile."""
        try:
            await super().close()
        finally:
            self._spool.close()


@dataclass
class _Part:
    """A part that is being received."""

    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    name: str = ""
    filename: str | None = None
    value: bytearray = field(default_factory=bytearray)
    start: int = 0
    size: int = 0


class _Receiver:
    """The callbacks of the parser: fields are gathered, and bytes of files go on to the spool."""

    def __init__(self, spool: BinaryIO, charset: str) -> None:
        self.spool, self.charset = spool, charset
        self.items: list[tuple[str, str | UploadFile]] = []
        self.waiting: list[bytes] = []
        self.received = self.files = self.fields = self.field_bytes = 0
        self.part, self.header_name, self.header_value = _Part(), b"", b""

    def on_part_begin(self) -> None:
        self.part = _Part()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.header_name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.header_value += data[start:end]

    def on_header_end(self) -> None:
        self.part.headers.append((self.header_name.lower(), self.header_value))
        self.header_name = self.header_value = b""

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(dict(self.part.headers).get(b"content-disposition", b""))
        if b"name" not in options:
            raise _refuse('The Content-Disposition header field "name" must be provided.')
        self.part.name = self._decode(options[b"name"])
        if b"filename" in options:
            self.part.filename, self.part.start = self._decode(options[b"filename"]), self.received
            self.files += 1
        else:
            self.fields += 1
        if self.files > MAX_FILES or self.fields > MAX_FIELDS:
            raise _refuse(f"Too many parts: a form has at most {MAX_FILES} files and {MAX_FIELDS} fields.")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        content, part = data[start:end], self.part
        part.size += len(content)
        if part.filename is None:
            part.value += content
            self.field_bytes += len(content)
            if part.size > MAX_FIELD_BYTES:
                raise _refuse(f"Part exceeded maximum size of {MAX_FIELD_BYTES // 1024}KB.")
            if self.field_bytes > MAX_FIELDS_BYTES:
                raise _refuse(f"Fields exceeded maximum size of {MAX_FIELDS_BYTES // 1024}KB in all.")
        else:
            self.received += len(content)
            self.waiting.append(content)

    def on_part_end(self) -> None:
        part = self.part
        if part.filename is None:
            self.items.append((part.name, self._decode(bytes(part.value))))
            return
        told = Headers(raw=part.headers)
        file = ReceivedFile(self.spool, part.start, part.size, filename=part.filename, headers=told)
        self.items.append((part.name, file))

    def _decode(self, content: bytes) -> str:
        try:
            return content.decode(self.charset)
        except (UnicodeDecodeError, LookupError):
            return content.decode("latin-1")


def _refuse(message: str) -> HTTPException:
    return HTTPException(400, message)


async def receive_form(headers: Headers, chunks: AsyncIterator[bytes], scratch: Path) -> FormData:
    """Receive a multipart form; its files lie in one nameless file of `scratch`, which goes when they are closed.

    Raises: HTTPException, for a form that is none; OSError, where the disk is full.
    """
    _, parameters = parse_options_header(headers.get("content-type"))
    if b"boundary" not in parameters:
        raise _refuse("Missing boundary in multipart.")
    spool = cast("BinaryIO", tempfile.TemporaryFile(dir=scratch))  # noqa: SIM115 (the files of the form close it)
    receiver = _Receiver(spool, _find_charset(parameters))
    names = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end", "headers_finished")
    callbacks = {f"on_{name}": getattr(receiver, f"on_{name}") for name in names}
    writer = PieceWriter(spool.write)
    try:
        parser = MultipartParser(parameters[b"boundary"], callbacks)  # type: ignore[arg-type]
        async for chunk in chunks:
            parser.write(chunk)
            waiting, receiver.waiting = receiver.waiting, []
            for content in waiting:
                await writer.add(content)
        parser.finalize()
        await writer.finish()
        spool.flush()
    except FormParserError as error:
        await _give_up(writer, spool)
        raise _refuse("Invalid multipart data.") from error
    except BaseException:
        await _give_up(writer, spool)
        raise
    return ReceivedForm(receiver.items, spool)


async def _give_up(writer: PieceWriter, spool: BinaryIO) -> None:
    """Close the file of a form that is not to be had; what is being written in a thread is waited for."""
    try:
        with contextlib.suppress(OSError):
            await writer.settle()
    finally:
        spool.close()


def _find_charset(parameters: dict[bytes, bytes]) -> str:
    try:
        return codecs.lookup(parameters.get(b"charset", b"utf-8").decode("latin-1")).name
    except LookupError:
        return "latin-1"
