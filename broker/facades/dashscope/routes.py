"""The routes of the facade, and the answer to every other path of its own."""

from fastapi import Request, Response

from broker.facades.asking import Refused
from broker.facades.chat import answer_chat
from broker.facades.dashscope.door import facade_router
from broker.facades.dashscope.file_routes import router as files
from broker.facades.dashscope.job_routes import router as jobs

nowhere = facade_router()
chat = facade_router()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@nowhere.api_route("/{path:path}", methods=METHODS)
async def refuse_path(request: Request, path: str) -> None:
    """Tell that nothing is at a path: the clients know more than this facade has."""
    raise Refused(404, {"detail": f"{request.method} /{path} is not offered here.", "type": "/problems/not-found"})


@chat.post("/chat/completions")
async def chat_with(request: Request) -> Response:
    """Answer a chat: the second generation of clients asks for it here, in OpenAI's form."""
    return await answer_chat(request)


# The last one takes every path that the others leave.
ROUTERS = (files, jobs, chat, nowhere)
