"""The access line of each request, and the request id that all lines told on its way carry."""

import logging
import re
import time

from fastapi import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from broker.failure_log import describe_failure
from broker.http.raw_headers import find_header
from broker.ids import new_id
from broker.log_context import bind, bind_anew, get_bound
from broker.persistence.faults import find_fault
from broker.work import Actor, Role

log = logging.getLogger(__name__)

HEADER = "X-Request-Id"
HEADER_NAME = HEADER.lower().encode()
ADDED_HEADERS = "response_headers"
GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
# What comes every few seconds and tells nothing.
ROUTINE = re.compile(r"/healthz|/readyz|/metrics|/docs/static/.*|/v1/runs/[^/]+/heartbeats")
BOUND_IDS = ("job_id", "run_id")


class AccessLog:
    """Gives each request an id, its own or the one that it brought, and writes a line when it has been answered."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        given = find_header(scope, HEADER_NAME) or ""
        request_id = given if GIVEN_ID.fullmatch(given) else new_id("req")
        began, status = time.monotonic(), 0
        # What the edge tells with every answer, a problem's too, however its layers copy the scope.
        added: list[tuple[bytes, bytes]] = []
        scope[ADDED_HEADERS] = added

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])  # problems have an HTTPStatus, which the log would spell out
                others = [told for told in message.get("headers", ()) if told[0] != HEADER_NAME]
                further = [told for told in added if told not in others]  # a problem says its language by itself
                message["headers"] = [*others, *further, (HEADER_NAME, request_id.encode())]
            await send(message)

        around = get_bound()  # of the request that asks this one within the process
        bind_anew({"request_id": request_id})
        try:
            await self.app(scope, receive, note_status)
        except Exception as error:
            if status == 0 or not _is_cut_short(scope, error):
                status = 500
                raise
        finally:
            _write_line(scope, status, time.monotonic() - began)
            _let_go(scope)
            if around:  # else what failed beyond is answered outside of here, with the id that is bound
                bind_anew(around)


def _write_line(scope: Scope, status: int, seconds: float) -> None:
    told = {"status": status or None, "ms": round(seconds * 1000, 1)}
    log.log(_choose_level(scope["path"], status), "%s %s", scope["method"], scope["path"], extra=told)


def _let_go(scope: Scope) -> None:
    """Let go of what a request holds on to: some of it knows the request again.

    Without that circle some sixty objects of each request are freed at once. They were left to the garbage collector,
    and it took a thirtieth of a submission.
    """
    if "state" in scope:
        scope["state"].clear()


def _is_cut_short(scope: Scope, error: Exception) -> bool:
    """Tell whether a fault that is nobody's mistake ends an answer that has begun, and say so: its connection closes.

    The framework wraps what it would have answered as a problem, had nothing been sent yet.
    """
    cause = next((each for each in (error, error.__cause__) if each is not None and find_fault(each) is not None), None)
    if not isinstance(cause, Exception):
        return False
    log.warning("%s %s was cut short: %s", scope["method"], scope["path"], describe_failure(cause))
    return True


def _choose_level(path: str, status: int) -> int:
    if status >= 500:
        return logging.WARNING
    return logging.DEBUG if ROUTINE.fullmatch(path) else logging.INFO


def bind_caller(request: Request, actor: Actor) -> None:
    """Bind who asks, and for which job or run, to every line that is told until the request is answered."""
    ids = {name: request.path_params[name] for name in BOUND_IDS if name in request.path_params}
    who = {"run_id": actor.id} if actor.role == Role.RUN else {"actor": actor.id}
    bind(role=actor.role.value, **{**ids, **who})


def find_request_id() -> str | None:
    """Find the id of the request that is being answered; None outside of one."""
    return get_bound().get("request_id")
