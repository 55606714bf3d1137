"""Chat with what was trained: passed on to an inference server of the house, which speaks OpenAI's form.

Nothing is metered: inference is not what this service sells. The answer is passed on as it comes, a stream piece by
piece. Only a customer chats: what staff is shown of an adapter is looked at through the REST API, which records it.
"""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from broker.facades.asking import Broker, Refused, read_json, require_name
from broker.facades.model_names import find_adapter_id
from broker.facades.models import find_name
from broker.facades.orders import refuse
from broker.work import Role

# A model may think for minutes before its first word; it is connected to at once, or it is away.
TIMES = httpx.Timeout(600.0, connect=5.0)


@dataclass(frozen=True)
class ServerAnswer:
    """An answer of the inference server, which has begun; whoever has it lets it go."""

    client: httpx.AsyncClient
    response: httpx.Response

    async def close(self) -> None:
        await self.response.aclose()
        await self.client.aclose()

    async def read_pieces(self) -> AsyncGenerator[bytes]:
        """Yield the answer as it comes; it is let go when the client has it all, or leaves."""
        try:
            async for piece in self.response.aiter_bytes():
                yield piece
        finally:
            await self.close()


async def answer_chat(request: Request) -> Response:
    """Answer a chat by a base model or by an adapter of the caller's own. Raises: Refused."""
    answer = await ask_server(request, await read_json(request))
    response = answer.response
    return StreamingResponse(
        answer.read_pieces(), response.status_code, media_type=response.headers.get("content-type")
    )


async def ask_server(request: Request, body: Mapping[str, Any]) -> ServerAnswer:
    """Ask the inference server for a completion, as the caller may. Raises: Refused."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "is needed")
    broker = Broker(request)
    if (await broker.get("/whoami"))["role"] != Role.CUSTOMER:
        told = "Chats are for customers: an adapter is its customer's, and what is said to it is nobody else's."
        raise Refused(403, {"detail": told, "type": "/problems/forbidden"})
    server = request.app.state.services.settings.inference_url
    name = await _find_served_name(broker, model)
    if server is None:
        raise Refused(404, {"detail": "No inference server is set up here: ask the operator.", "param": "model"})
    return await _send(f"{server.rstrip('/')}/chat/completions", {**body, "model": name})


async def _find_served_name(broker: Broker, model: str) -> str:
    """Find the name by which the server knows a model: of an adapter its id, since names are a tenant's own.

    Raises: Refused.
    """
    adapter_id = find_adapter_id(model)
    if adapter_id is None:
        named = await find_name(broker, model)
        return str((await broker.get(f"/base-models/{require_name(named)}"))["name"])
    return str((await broker.get(f"/adapters/{require_name(adapter_id)}"))["id"])


async def _send(address: str, body: Mapping[str, Any]) -> ServerAnswer:
    """Send a request; its answer is not read yet. Raises: Refused, where the server cannot be reached."""
    client = httpx.AsyncClient(timeout=TIMES)
    try:
        response = await client.send(client.build_request("POST", address, json=body), stream=True)
    except httpx.HTTPError as error:
        await client.aclose()
        told = f"The inference server did not answer ({type(error).__name__}); try again in a moment."
        raise Refused(503, {"detail": told}) from error
    return ServerAnswer(client, response)
