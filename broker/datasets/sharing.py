"""The tar of a version, made of its parent's: what is other is written, what is the same is named by where it lies.

The bytes are those that packing all files anew would give, and are known by the same hash.
"""

import hashlib
import tarfile
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO

from broker.datasets.archive import PackedTar, UploadedFile, pack_member
from broker.datasets.archive_members import PIECE_BYTES
from broker.datasets.stored_tar import Opener, Span, write_spans


@dataclass(frozen=True)
class SharedTar:
    """A tar of which an object has what its base has not: size and SHA-256 of the tar, and of the object."""

    size_bytes: int
    sha256: str
    own_bytes: int
    own_sha256: str


def share_tar(
    parent: Opener, parent_spans: Sequence[Span], changed: Mapping[str, bytes], target: BinaryIO
) -> SharedTar:
    """Write to `target` what a version has of its own, where these files are changed or new. Slow: called in a thread.

    What the parent itself has of its own is written again, so that a version needs no other but their base.
    Raises: OSError, where the disk is full.
    """
    with parent() as file, tarfile.open(fileobj=file, mode="r:") as archive:
        places = dict(_list_places(archive))
        sharing = _Sharing(file, parent_spans, target)
        for name in sorted(places.keys() | changed.keys()):
            if name in changed:
                sharing.write(pack_member(UploadedFile(name, changed[name])))
            else:
                sharing.take(*places[name])
    return sharing.finish()


def _list_places(archive: tarfile.TarFile) -> Iterator[tuple[str, tuple[int, int]]]:
    """List where each member lies within its tar with all that belongs to it: from its first header to the next one."""
    members = archive.getmembers()
    ends = [*(member.offset for member in members[1:]), archive.offset]
    for member, end in zip(members, ends, strict=True):
        yield member.name, (member.offset, end)


class _Sharing:
    """A tar that is put together: its hash is of all its bytes, and those that the base has are only read."""

    def __init__(self, parent: BinaryIO, spans: Sequence[Span], target: BinaryIO) -> None:
        self._parent, self._parent_spans, self._own = parent, spans, PackedTar(target)
        self._ends = list(accumulate(span.size_bytes for span in spans))
        self._spans, self._digest, self._size = list[Span](), hashlib.sha256(), 0

    def write(self, content: bytes) -> None:
        """Write bytes that the base has not."""
        self._own.write(content)
        self._note(content, None)

    def take(self, start: int, end: int) -> None:
        """Take bytes of the parent, from `start` to before `end`."""
        while start < end:
            number = bisect_right(self._ends, start)
            span, span_end = self._parent_spans[number], self._ends[number]
            last = min(end, span_end, start + PIECE_BYTES)
            self._parent.seek(start)
            content = self._parent.read(last - start)
            if span.base_start is None:
                self.write(content)
            else:
                self._note(content, span.base_start + span.size_bytes - (span_end - start))
            start = last

    def _note(self, content: bytes, base_start: int | None) -> None:
        """Note bytes that follow; those that follow one another where they lie, too, are one span."""
        self._digest.update(content)
        self._size += len(content)
        if self._spans:
            size_bytes, before = self._spans[-1]
            if base_start == (None if before is None else before + size_bytes):
                self._spans[-1] = Span(size_bytes + len(content), before)
                return
        self._spans.append(Span(len(content), base_start))

    def finish(self) -> SharedTar:
        """Write the end of the tar, and behind it of which spans it is."""
        ending = 2 * tarfile.BLOCKSIZE
        self.write(b"\0" * (ending + -(self._size + ending) % tarfile.RECORDSIZE))
        self._own.write(write_spans(self._spans))
        return SharedTar(self._size, self._digest.hexdigest(), self._own.size_bytes, self._own.sha256)
