"""Files of foreign clients, kept as data sets: they lie on disk while they are passed on, never whole in memory."""

import hashlib
from typing import Any
from urllib.parse import urlencode

from fastapi import Request, Response, UploadFile

from broker.facades.asking import Broker
from broker.facades.passing import PassedOn

LONGEST_NAME = 200
PIECE = 1 << 20


def name_upload(file: UploadFile) -> str:
    return (file.filename or "file")[:LONGEST_NAME]


async def digest_upload(file: UploadFile, *parts: bytes) -> str:
    """Digest a file by its name and content, and what else tells the order: 32 hexadecimal digits."""
    digest = hashlib.sha256()
    for part in (name_upload(file).encode(), *parts):
        digest.update(len(part).to_bytes(8, "big") + part)
    await file.seek(0)
    while piece := await file.read(PIECE):
        digest.update(piece)
    await file.seek(0)
    return digest.hexdigest()[:32]


async def answer_file(request: Request, dataset_id: str) -> Response:
    """Answer the file of a data set as it was sent, or the first of several. Raises: Refused."""
    found = await Broker(request).get(f"/datasets/{dataset_id}")
    query = urlencode({"name": found["files"][0]["name"]}).encode()
    return PassedOn(request.app, f"/v1/datasets/{found['id']}/file", query)


async def send_dataset(broker: Broker, file: UploadFile, key: str | None = None) -> dict[str, Any]:
    """Keep a file as a data set of the bearer's, under an idempotency key where there is one. Raises: Refused."""
    name = name_upload(file)
    await file.seek(0)
    sent = {"files": [("files", (name, file.file))], "data": {"name": name}}
    kept: dict[str, Any] = await broker.post("/datasets", key=key, **sent)
    return kept
