"""Chat with what was trained, in DashScope's own form: whole, or piece by piece."""

import json
from collections.abc import AsyncGenerator
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from broker.facades.asking import Refused, read_json
from broker.facades.chat import ServerAnswer, answer_chat, ask_server
from broker.facades.dashscope.door import answer, facade_router
from broker.facades.dashscope.generation import ChatForm, read_chat, write_answer, write_piece
from broker.http.access import find_request_id
from broker.http.event_stream import HEADERS, MEDIA_TYPE

router = facade_router()
STREAMED = "x-dashscope-sse"
DATA, DONE = "data:", "[DONE]"


@router.post("/services/aigc/text-generation/generation")
async def generate(request: Request) -> Response:
    """Answer a chat by a base model or by an adapter of the caller's own."""
    is_streamed = request.headers.get(STREAMED) == "enable"
    asked, form = read_chat(await read_json(request), is_streamed=is_streamed)
    given = await ask_server(request, asked)
    if given.response.is_success and is_streamed:
        return StreamingResponse(_write_pieces(given, form, find_request_id()), media_type=MEDIA_TYPE, headers=HEADERS)
    try:
        told = _read_json(await given.response.aread())
    finally:
        await given.close()
    if not given.response.is_success:
        fault = told.get("error")
        detail = fault.get("message") if isinstance(fault, dict) else None
        raise Refused(given.response.status_code, {"detail": detail or "The inference server refused the request."})
    return answer(write_answer(told, form))


def _read_json(content: bytes) -> dict[str, Any]:
    try:
        told = json.loads(content)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


async def _write_pieces(given: ServerAnswer, form: ChatForm, request_id: str | None) -> AsyncGenerator[bytes]:
    """Write the pieces of an answer as they come; a client that wants no pieces alone gets all so far with each."""
    said, number = "", 0
    try:
        async for line in given.response.aiter_lines():
            written = line.removeprefix(DATA).strip()
            if not line.startswith(DATA) or written == DONE:
                continue
            chunk = json.loads(written)
            if not chunk["choices"]:
                continue
            piece = chunk["choices"][0]["delta"].get("content") or ""
            said, number = piece if form.is_incremental else said + piece, number + 1
            told = {**write_piece(chunk, said, form), "request_id": request_id}
            content = json.dumps(told, ensure_ascii=False)
            yield f"id:{number}\nevent:result\n:HTTP_STATUS/200\ndata:{content}\n\n".encode()
    finally:
        await given.close()


@router.post("/chat/completions")
async def chat(request: Request) -> Response:
    """Answer a chat in OpenAI's form, which the clients ask for by `protocol="openai"`."""
    return await answer_chat(request)
