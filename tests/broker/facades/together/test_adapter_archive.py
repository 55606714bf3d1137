import io
import tarfile

import httpx2 as httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from broker.facades.together.adapter_archive import AdapterArchive, write_head

WEIGHTS = bytes(range(256)) * 7  # not a whole number of blocks
ADAPTER = {"created_at": "2026-11-24T10:00:00+00:00", "size_bytes": len(WEIGHTS)}


def make_app() -> FastAPI:
    """Make an application that answers parts of the weights, as the REST API does, and an archive of them."""
    app = FastAPI()

    @app.get("/weights")
    async def weights(request: Request) -> Response:
        first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
        return Response(WEIGHTS[int(first) : int(last) + 1], 206)

    @app.get("/refused")
    async def refuse() -> Response:
        return Response("gone", 410)

    @app.get("/archive/{path}")
    async def archive(request: Request, path: str) -> Response:
        return AdapterArchive(request, f"/{path}", write_head(ADAPTER, {"r": 8}), len(WEIGHTS))

    return app


async def ask(app: FastAPI, asked: str = "", path: str = "weights"):
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://broker") as client:
        return await client.get(f"/archive/{path}", headers={"range": asked} if asked else {})


async def test_the_archive_is_a_folder_that_peft_reads():
    answer = await ask(make_app())
    assert (answer.status_code, int(answer.headers["content-length"])) == (200, len(answer.content))
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert archive.getnames() == ["adapter_config.json", "adapter_model.safetensors"]
        assert archive.extractfile("adapter_model.safetensors").read() == WEIGHTS
        assert b'"r": 8' in archive.extractfile("adapter_config.json").read()


@pytest.mark.parametrize("bounds", ["0-1", "0-5000", "700-", "1600-1700", "2000-2047", "-", "3400-3500", "99999-"])
async def test_a_part_of_the_archive_is_that_part(bounds):
    app = make_app()
    whole = (await ask(app)).content
    answer = await ask(app, f"bytes={bounds}")
    first, _, last = bounds.partition("-")
    is_part = first.isdecimal() and int(first) < len(whole)
    wanted = whole[int(first) : int(last) + 1 if last else None] if is_part else whole
    assert (answer.status_code, answer.content == wanted) == (206 if is_part else 200, True)
    if is_part:
        assert answer.headers["content-range"] == f"bytes {first}-{int(first) + len(wanted) - 1}/{len(whole)}"


async def test_what_the_weights_are_refused_for_is_told():
    answer = await ask(make_app(), path="refused")
    assert (answer.status_code, answer.text) == (410, "gone")
