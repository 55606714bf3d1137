"""The routes of the facade, and the answer to every other path of its own."""

from typing import Any

from fastapi import Request, Response

from broker.facades.asking import Broker, Refused
from broker.facades.chat import answer_chat
from broker.facades.together.door import facade_router
from broker.facades.together.file_routes import router as files
from broker.facades.together.file_routes import uploads
from broker.facades.together.job_routes import router as jobs

nowhere = facade_router()
identity = facade_router("/together/v3")
chat = facade_router()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@identity.get("/whoami")
async def tell_identity(request: Request) -> dict[str, Any]:
    """Tell whose key it is: the command asks so before all else. A customer is an organization, and its one project."""
    told = await Broker(request).get("/whoami")
    owner = told["customer"] or {"id": told["role"], "name": told["role"]}
    named = {"id": owner["id"], "name": owner["name"], "slug": owner["id"]}
    key = {"id": told["api_key"]["id"], "name": told["api_key"]["name"]}
    return {"type": "project_api_key", "api_key": key, "organization": named, "project": named}


@chat.post("/chat/completions")
async def chat_with(request: Request) -> Response:
    """Answer a chat by a base model or by an adapter of the caller's own."""
    return await answer_chat(request)


@nowhere.api_route("/{path:path}", methods=METHODS)
async def refuse_path(request: Request, path: str) -> None:
    """Tell that nothing is at a path: the clients know more than this facade has."""
    raise Refused(404, {"detail": f"{request.method} /{path} is not offered here.", "type": "/problems/not-found"})


# The last one takes every path that the others leave.
ROUTERS = (files, uploads, identity, jobs, chat, nowhere)
