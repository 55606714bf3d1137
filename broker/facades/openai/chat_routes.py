"""Chat with what was trained: passed on to an inference server of the house, which speaks the same form.

Nothing is metered: inference is not what this service sells. The answer is passed on as it comes, a stream piece by
piece.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Any

import httpx2 as httpx
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from broker.facades.asking import Broker, Refused, read_json, require_name
from broker.facades.openai.door import facade_router
from broker.facades.openai.objects import find_adapter_id
from broker.facades.openai.orders import refuse

router = facade_router()
# A model may think for minutes before its first word; it is connected to at once, or it is away.
TIMES = httpx.Timeout(600.0, connect=5.0)


@router.post("/chat/completions")
async def chat(request: Request) -> Response:
    """Answer a chat by a base model or by an adapter of the caller's own, which the server knows by its name."""
    body = await read_json(request)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "is needed")
    server = request.app.state.services.settings.inference_url
    name = await _find_served_name(Broker(request), model)
    if server is None:
        raise Refused(404, {"detail": "No inference server is set up here: ask the operator.", "param": "model"})
    return await _pass_on(f"{server.rstrip('/')}/chat/completions", {**body, "model": name})


async def _find_served_name(broker: Broker, model: str) -> str:
    """Find the name by which the server knows a model: of an adapter its id, since names are a tenant's own.

    Raises: Refused.
    """
    adapter_id = find_adapter_id(model)
    if adapter_id is None:
        await broker.get(f"/base-models/{require_name(model)}")
        return model
    adapter = await broker.get(f"/adapters/{require_name(adapter_id)}")
    return str(adapter["id"])


async def _pass_on(address: str, body: Mapping[str, Any]) -> Response:
    """Pass a request on, and its answer back. Raises: Refused, where the server cannot be reached."""
    client = httpx.AsyncClient(timeout=TIMES)
    try:
        answer = await client.send(client.build_request("POST", address, json=body), stream=True)
    except httpx.HTTPError as error:
        await client.aclose()
        told = f"The inference server did not answer ({type(error).__name__}); try again in a moment."
        raise Refused(503, {"detail": told}) from error
    media_type = answer.headers.get("content-type")
    return StreamingResponse(_read_pieces(client, answer), answer.status_code, media_type=media_type)


async def _read_pieces(client: httpx.AsyncClient, answer: httpx.Response) -> AsyncGenerator[bytes]:
    """Yield an answer as it comes; it is let go when the client has it all, or leaves."""
    try:
        async for piece in answer.aiter_bytes():
            yield piece
    finally:
        await answer.aclose()
        await client.aclose()
