"""To which names `trainer serve` answers; `test_taking` asks a real server."""

import asyncio

import pytest
from starlette.responses import PlainTextResponse

from trainer.serving.names import NameGuard, choose_names


def ask(names: frozenset[str], **headers: str) -> int:
    """Ask a guarded application; the status that it answers with."""
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": sent}
    told: list[int] = []

    async def send(message: dict) -> None:
        told.append(message.get("status"))

    asyncio.run(NameGuard(PlainTextResponse("here"), names)(scope, lambda: None, send))
    return told[0]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(name, 200) for name in ("localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST", "evil@localhost")],
        *[(name, 421) for name in ("evil.example", "localhost.evil.example:8080", "", "[")],
    ],
)
def test_on_the_loopback_it_answers_to_names_of_the_loopback(host: str, status: int) -> None:
    assert ask(choose_names("127.0.0.1", ()), host=host) == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://localhost:3000", 200), ("https://evil.example", 403), ("null", 403), ("file://", 403)],
)
def test_pages_of_other_origins_are_refused(origin: str, status: int) -> None:
    assert ask(choose_names("127.0.0.1", ()), host="127.0.0.1:8080", origin=origin) == status


def test_a_name_that_is_allowed_is_answered_to() -> None:
    names = choose_names("127.0.0.1", ["GPU.example"])
    assert ask(names, host="gpu.example", origin="https://gpu.example") == 200


def test_elsewhere_it_answers_to_any_name_unless_some_are_allowed() -> None:
    assert choose_names("0.0.0.0", ()) is None
    assert choose_names("10.0.0.7", ["gpu.example"]) == {"10.0.0.7", "gpu.example"}
