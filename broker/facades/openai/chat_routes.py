"""Chat with what was trained."""

from fastapi import Request, Response

from broker.facades.chat import answer_chat
from broker.facades.openai.door import facade_router

router = facade_router()


@router.post("/chat/completions")
async def chat(request: Request) -> Response:
    """Answer a chat by a base model or by an adapter of the caller's own, which the server knows by its name."""
    return await answer_chat(request)
