"""A client of this very application, without a socket: for pages and facades, which write through the REST API."""

from collections.abc import Mapping

import httpx2 as httpx
from fastapi import Request


def open_client(request: Request, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Open a client of the application that serves a request, at the address by which its sender knows it."""
    transport = httpx.ASGITransport(request.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=str(request.base_url), headers=headers)
