"""The routes of the facade, and the answer to every other path of its own."""

from fastapi import Request

from broker.facades.asking import Refused
from broker.facades.dashscope.door import facade_router
from broker.facades.dashscope.file_routes import router as files
from broker.facades.dashscope.generation_routes import router as chat
from broker.facades.dashscope.job_routes import router as jobs
from broker.facades.dashscope.model_routes import router as models

nowhere = facade_router()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


@nowhere.api_route("/{path:path}", methods=METHODS)
async def refuse_path(request: Request, path: str) -> None:
    """Tell that nothing is at a path: the clients know more than this facade has."""
    raise Refused(404, {"detail": f"{request.method} /{path} is not offered here.", "type": "/problems/not-found"})


# The last one takes every path that the others leave.
ROUTERS = (files, jobs, models, chat, nowhere)
