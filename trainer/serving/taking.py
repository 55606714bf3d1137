"""Adapters that are sent to `trainer serve` while it runs: written aside, checked, loaded, and only then shown."""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from trainer.errors import AdapterUnusable, BadInput
from trainer.serving.host import ModelHost
from trainer.serving.shelf import ShelvedFile

MOST_ADAPTER_BYTES = 8 << 30
SILENCE_SECONDS = 60
PIECE_BYTES = 1 << 20
CHECKSUM = "X-Content-SHA256"


@dataclass
class AdapterTaker:
    """Takes adapters by HTTP, lists them with their hashes, and takes them away; with a token, from whoever has it."""

    host: ModelHost
    token: str | None
    hashes: dict[tuple[str, tuple[int, int]], str] = field(default_factory=dict)

    def routes(self) -> list[Route]:
        return [
            Route("/v1/adapters", self.list_adapters, methods=["GET"]),
            Route("/v1/adapters/{name:path}", self.put_adapter, methods=["PUT"]),
            Route("/v1/adapters/{name:path}", self.delete_adapter, methods=["DELETE"]),
        ]

    async def list_adapters(self, request: Request) -> Response:
        """List the adapters on the shelf with the SHA-256 of their files."""
        self._require_token(request)
        files = await run_in_threadpool(lambda: list(self.host.shelf.list().values()))
        data = [{"id": file.name, "object": "adapter", "sha256": await self._hash(file)} for file in files]
        return JSONResponse({"object": "list", "data": data})

    async def put_adapter(self, request: Request) -> Response:
        """Take the body as an adapter of this name, in the place of what had it."""
        self._require_token(request)
        name, place = request.path_params["name"], self.host.shelf.place(request.path_params["name"])
        wanted = request.headers.get(CHECKSUM, "").lower()
        aside = self.host.shelf.folder / f".{secrets.token_hex(8)}.writing"
        try:
            found = await self._receive(request, aside)
            if wanted and found != wanted:
                raise BadInput(CHECKSUM, f"is {wanted}, and what came has {found}; send it again")
            await self.host.put(name, aside)
        except AdapterUnusable as error:  # which names the file: that it was written aside to is nobody's business
            raise AdapterUnusable(str(error).replace(str(aside), name)) from error
        finally:
            aside.unlink(missing_ok=True)
        self.hashes[name, self.host.shelf.read(place, name).stamp] = found
        return JSONResponse({"id": name, "object": "adapter", "sha256": found})

    async def delete_adapter(self, request: Request) -> Response:
        self._require_token(request)
        await self.host.take_away(request.path_params["name"])
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _require_token(self, request: Request) -> None:
        """Refuse who does not have the token, where there is one. Raises: HTTPException."""
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if self.token is not None and not hmac.compare_digest(sent.encode(), self.token.encode()):
            raise HTTPException(HTTPStatus.UNAUTHORIZED, "send `Authorization: Bearer` with the token of this server")

    async def _receive(self, request: Request, aside: Path) -> str:
        """Write a body to a file; returns its SHA-256. Raises: HTTPException, TimeoutError, ClientDisconnect."""
        digest, size = hashlib.sha256(), 0
        with aside.open("wb") as file:
            async for chunk in _read_in_time(request):
                size += len(chunk)
                if size > MOST_ADAPTER_BYTES:
                    told = f"an adapter has at most {MOST_ADAPTER_BYTES} bytes"
                    raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, told)
                digest.update(chunk)
                await run_in_threadpool(file.write, chunk)
        return digest.hexdigest()

    async def _hash(self, file: ShelvedFile) -> str:
        """Hash a file, once for each of its contents."""
        key = (file.name, file.stamp)
        if key not in self.hashes:
            self.hashes[key] = await run_in_threadpool(_hash_file, file.path)
        return self.hashes[key]


async def _read_in_time(request: Request) -> AsyncIterator[bytes]:
    """Read a body piece by piece. Raises: TimeoutError, where nothing comes for SILENCE_SECONDS."""
    chunks = request.stream()
    while True:
        async with asyncio.timeout(SILENCE_SECONDS):
            chunk = await anext(chunks, None)
        if chunk is None:
            return
        yield chunk


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(PIECE_BYTES):
            digest.update(piece)
    return digest.hexdigest()
