"""Files on their way, for both clients: a download that is whole or not there, uploads that say how far they are."""

import hashlib
import io
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx2 as httpx

from broker.client.errors import DamagedDownload

# Told the bytes that have come or gone, and those in all; None where the broker does not say how many there are.
Progress = Callable[[int, int | None], None]
Part = tuple[str, tuple[str, "TellingReader"]]


class Download:
    """A file as it comes: kept aside until it is whole, and taken up again where the line broke.

    Within its `with`; what is not finished leaves nothing. `tell` is told the bytes after each piece.
    """

    def __init__(self, target: Path, tell: Progress | None) -> None:
        self.target, self.tell = target, tell
        self.aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        self.size, self.judged = 0, 0
        self.total: int | None = None
        self.etag: str | None = None
        self.expected_sha256: str | None = None
        self.digest = hashlib.sha256()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.aside.unlink(missing_ok=True)

    @property
    def headers(self) -> dict[str, str]:
        """Ask for the bytes as they are; after a line that broke for the rest, as long as the file is the same."""
        rest = {"Range": f"bytes={self.size}-", "If-Range": self.etag} if self.size and self.etag else {}
        return {"Accept-Encoding": "identity", **rest}

    def has_grown(self) -> bool:
        """Tell whether there is more of it than when this was asked last."""
        before, self.judged = self.judged, self.size
        return self.size > before

    @contextmanager
    def receive(self, response: httpx.Response) -> Iterator[Callable[[bytes], None]]:
        """Receive one answer: the rest, or the file from its beginning; hands out what takes a piece."""
        is_rest = response.status_code == httpx.codes.PARTIAL_CONTENT
        if not is_rest:
            length = response.headers.get("Content-Length")
            self.size, self.total = 0, None if length is None else int(length)
            self.digest, self.etag = hashlib.sha256(), response.headers.get("ETag")
            self.expected_sha256 = response.headers.get("X-Content-SHA256")
        with self.aside.open("ab" if is_rest else "wb") as file:

            def take(piece: bytes) -> None:
                file.write(piece)
                self.digest.update(piece)
                self.size += len(piece)
                if self.tell is not None:
                    self.tell(self.size, self.total)

            yield take

    def finish(self) -> Path:
        """Put the file in its place. Raises: DamagedDownload, where its hash is not what the broker tells; OSError."""
        if self.expected_sha256 not in {None, self.digest.hexdigest()}:
            raise DamagedDownload(f"the download of {self.target.name} is damaged; nothing was kept, try again")
        return self.aside.replace(self.target)


class TellingReader(io.BufferedReader):
    """A file that says after each piece how much of it was read."""

    def __init__(self, path: Path, tell: Callable[[int], None]) -> None:
        super().__init__(io.FileIO(path))
        self.tell_read = tell

    def read(self, size: int | None = -1, /) -> bytes:
        """Read a piece, and say how long it is."""
        piece = super().read(size)
        self.tell_read(len(piece))
        return piece


@contextmanager
def open_parts(files: Sequence[Path], name: str, tell: Progress | None) -> Iterator[list[Part]]:
    """Open files as the parts of a form, each under this name; `tell` is told the bytes of all. Raises: OSError."""
    total = sum(file.stat().st_size for file in files)
    sent = 0

    def count(size: int) -> None:
        nonlocal sent
        sent += size
        if tell is not None:
            tell(sent, total)

    with ExitStack() as opened:
        yield [(name, (file.name, opened.enter_context(TellingReader(file, count)))) for file in files]
