"""The routes of all facades."""

from fastapi import APIRouter, FastAPI

from broker.facades.dashscope.routes import ROUTERS as DASHSCOPE
from broker.facades.hf.routes import router as hf
from broker.facades.mcp.routes import router as mcp
from broker.facades.openai.routes import ROUTERS as OPENAI
from broker.facades.together.routes import ROUTERS as TOGETHER

ROUTERS: tuple[APIRouter, ...] = (*OPENAI, *DASHSCOPE, *TOGETHER, hf, mcp)


def add_facades(app: FastAPI) -> None:
    """Add the routes of the facades to the application."""
    for router in ROUTERS:
        app.include_router(router)
