"""The archive of all that a customer has: written as it is sent, never whole in memory or on disk.

A zip whose members are stored as they are. What it says of itself comes last, when every hash is known: `manifest.json`
and its signature.
"""

import hashlib
import io
import zipfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.exits.proof import read_public_key, sign_manifest, write_manifest

MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"


@dataclass(frozen=True)
class Member:
    """A file of the archive: its path there, what it is, how its bytes come, and its hash where one is on record."""

    path: str
    kind: str
    read: Callable[[], AsyncIterator[bytes]]
    object_id: str | None = None
    sha256: str | None = None


class _Pipe(io.RawIOBase):
    """What the zip writes to; it is taken away piece by piece."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def take(self) -> bytes:
        taken = bytes(self.waiting)
        self.waiting.clear()
        return taken


@dataclass
class ArchiveWriter:
    """Writes the members of an archive one after the other, and their manifest at the end."""

    customer_id: str
    made_at: datetime
    secret: bytes
    entries: list[dict[str, Any]] = field(default_factory=list)

    async def write(self, members: AsyncIterator[Member]) -> AsyncIterator[bytes]:
        """Write the archive. A member whose bytes are not those on record is told in the manifest as it is."""
        pipe = _Pipe()
        with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
            async for member in members:
                async for piece in self._write_member(archive, pipe, member):
                    yield piece
            for path, content in self._write_proof():
                archive.writestr(self._describe(path), content)
            yield pipe.take()
        yield pipe.take()

    async def _write_member(self, archive: zipfile.ZipFile, pipe: _Pipe, member: Member) -> AsyncIterator[bytes]:
        digest, size = hashlib.sha256(), 0
        with archive.open(self._describe(member.path), "w", force_zip64=True) as file:
            async for chunk in member.read():
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
                yield pipe.take()
        yield pipe.take()
        told = {"path": member.path, "kind": member.kind, "sha256": digest.hexdigest(), "size_bytes": size}
        told |= {} if member.object_id is None else {"id": member.object_id}
        if member.sha256 not in {None, told["sha256"]}:
            told["sha256_on_record"] = member.sha256
        self.entries.append(told)

    def _describe(self, path: str) -> zipfile.ZipInfo:
        moment = self.made_at.timetuple()[:6]
        return zipfile.ZipInfo(path, (moment[0], moment[1], moment[2], moment[3], moment[4], moment[5]))

    def _write_proof(self) -> list[tuple[str, bytes]]:
        manifest = write_manifest(
            {
                "object": "export_manifest",
                "customer_id": self.customer_id,
                "made_at": self.made_at.isoformat(),
                "public_key": read_public_key(self.secret),
                "entries": self.entries,
            }
        )
        return [(MANIFEST, manifest), (SIGNATURE, sign_manifest(self.secret, manifest).encode())]
