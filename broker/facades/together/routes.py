"""The routes of the facade, and the answer to every other path of its own."""

from fastapi import Request, Response

from broker.facades.asking import Refused
from broker.facades.chat import answer_chat
from broker.facades.together.door import facade_router
from broker.facades.together.file_routes import router as files
from broker.facades.together.file_routes import uploads
from broker.facades.together.job_routes import router as jobs

nowhere = facade_router()
chat = facade_router()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@chat.post("/chat/completions")
async def chat_with(request: Request) -> Response:
    """Answer a chat by a base model or by an adapter of the caller's own."""
    return await answer_chat(request)


@nowhere.api_route("/{path:path}", methods=METHODS)
async def refuse_path(request: Request, path: str) -> None:
    """Tell that nothing is at a path: the clients know more than this facade has."""
    raise Refused(404, {"detail": f"{request.method} /{path} is not offered here.", "type": "/problems/not-found"})


# The last one takes every path that the others leave.
ROUTERS = (files, uploads, jobs, chat, nowhere)
