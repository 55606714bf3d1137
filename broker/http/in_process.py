"""A client of this very application, without a socket: for pages and facades, which write through the REST API."""

from collections.abc import Mapping

import httpx2 as httpx
from fastapi import Request

from broker.http.access import HEADER, find_request_id


def open_client(request: Request, headers: Mapping[str, str]) -> httpx.AsyncClient:
    """Open a client of the application that serves a request, at the address by which its sender knows it.

    What it asks is the same request to the log, and has its id.
    """
    request_id = find_request_id()
    told = headers if request_id is None else {HEADER: request_id, **headers}
    transport = httpx.ASGITransport(request.app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=str(request.base_url), headers=told)
