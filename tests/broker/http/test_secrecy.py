"""Whatever is sent to whichever route: no header, key, token, parameter or body of it stands in the log."""

import re
import secrets
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from broker.config import Settings
from broker.processes.logs import configure_logging
from tests.broker.factories import Api
from tests.broker.http.test_every_route import list_routes
from tests.broker.processes.conftest import restored

__all__ = ["restored"]

MARK = "canary"


def make_canary() -> str:
    return f"{MARK}{secrets.token_hex(8)}"


def fill_body(app: FastAPI, operation: dict[str, Any]) -> dict[str, str]:
    """Fill every field that a body of the route may have with what must not be told."""
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
    fields = app.openapi()["components"]["schemas"].get(name, {}).get("properties", {})
    return {field: make_canary() for field in (*fields, "no_such_field")}


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("log_format", ["text", "json"])
async def test_no_route_tells_in_the_log_what_it_was_sent(
    api: Api, routed_app: FastAPI, tmp_path: Path, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logging(Settings(data_dir=tmp_path, log_level="debug", log_format=log_format))
    key = api.http.headers["Authorization"].removeprefix("Bearer ")
    asked = 0
    for method, path, operation in list_routes(routed_app):
        address = re.sub("{.*?}", "nothing", path)
        headers = {name: make_canary() for name in ("Cookie", "X-Forwarded-For", "User-Agent", "Idempotency-Key")}
        headers |= {"Idempotency-Key": make_canary(), "X-Request-Id": "told", "Content-Type": "application/json"}
        parameters = {each["name"]: make_canary() for each in operation.get("parameters", []) if each["in"] == "query"}
        bodies: list[Any] = [{"json": fill_body(routed_app, operation)}] if method != "GET" else [{}]
        bodies += [{"params": parameters or {"parameter": make_canary()}}]
        for body in bodies:
            for bearer in (key, make_canary()):
                told = {**headers, "Authorization": f"Bearer {bearer}"}
                await api.http.request(method, address, headers=told, **body)
                asked += 1
    told = capsys.readouterr().err
    assert told.count("told") > asked / 2, "there are lines of these requests"
    assert [line for line in told.splitlines() if MARK in line or key in line] == []
