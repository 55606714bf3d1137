"""Errors on the wire: RFC 9457, with the field by the name that the client sent it under."""

import errno
import logging

import psycopg
import pytest
from fastapi import FastAPI, Request
from sqlalchemy.exc import InternalError, OperationalError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from broker import errors
from broker.http.problems import STATUS_OF, TITLE_OF, answer_error, install_problem_handlers, slug_of, title_of
from broker.persistence.faults import DEAD_TRANSACTION
from tests.broker.factories import Api


@pytest.fixture
async def raising(request: pytest.FixtureRequest) -> FastAPI:
    """Make an application whose only route raises the error that the test puts into its state."""
    app = FastAPI()
    install_problem_handlers(app)

    @app.get("/v1/raise")
    async def fail() -> None:
        raise app.state.error

    return app


async def ask(app: FastAPI, error: Exception) -> tuple[int, str, dict[str, object]]:
    app.state.error = error
    async with Api.connect(app, "none") as api:
        response = await api.call("GET", "/raise")
    return response.status_code, response.headers["content-type"], response.json()


# What errors are told that make their words themselves.
TOLD: dict[type[errors.DomainError], tuple[str | int | None, ...]] = {
    errors.NotFound: ("customer", "cus_1"),
    errors.DeadlineUnreachable: (None,),
    errors.QueueDraining: ("standard",),
    errors.TooLargeForLimit: ("queue standard", 8, 4),
    errors.InArrears: ("con_1", "cus_1", "grace", "4200.00", "nothing is sold on credit"),
}


@pytest.mark.parametrize("kind", STATUS_OF, ids=lambda kind: kind.__name__)
async def test_domain_error_has_its_status_type_title_and_detail(
    raising: FastAPI, kind: type[errors.DomainError]
) -> None:
    named = {"retry_after_seconds": 5, "limit": 100} if kind is errors.RateLimited else {}
    error = kind(*TOLD.get(kind, ("What went wrong, and the cure.",)), **named)
    status, content_type, body = await ask(raising, error)
    assert content_type == "application/problem+json"
    assert (status, body["status"]) == (STATUS_OF[kind], STATUS_OF[kind])
    assert body["type"] == f"/problems/{slug_of(kind)}"
    assert body["title"] == title_of(kind)
    assert body["detail"] == error.detail


async def test_members_and_fields_of_an_error_are_sent(raising: FastAPI) -> None:
    error = errors.CommitmentRefused(
        "Too few.", errors=[errors.FieldError("committed_gpu_hours", "at least 500")], minimum_gpu_hours=500
    )
    _status, _type, body = await ask(raising, error)
    assert body["errors"] == [{"field": "committed_gpu_hours", "message": "at least 500"}]
    assert body["minimum_gpu_hours"] == 500


async def test_problem_without_fields_has_no_list_of_them(raising: FastAPI) -> None:
    assert "errors" not in (await ask(raising, errors.NotFound("job", "job_1")))[2]


async def test_http_error_is_a_problem_with_its_headers(raising: FastAPI) -> None:
    raising.state.error = HTTPException(405, "No.", {"Allow": "GET"})
    async with Api.connect(raising, "none") as api:
        response = await api.call("GET", "/raise")
    assert (response.status_code, response.headers["allow"]) == (405, "GET")
    assert response.json()["type"] == "/problems/method-not-allowed"


async def test_unexpected_error_says_nothing_of_the_inside_and_stands_in_the_log(
    raising: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        status, content_type, body = await ask(raising, RuntimeError("the password is tea"))
    assert (status, content_type) == (500, "application/problem+json")
    assert "tea" not in str(body)
    assert "the password is tea" in caplog.text


def refused_by_the_server(error: type[psycopg.OperationalError]) -> OperationalError:
    return OperationalError("SELECT 1", {}, error("as the server says it"))


@pytest.mark.parametrize(
    ("error", "status", "slug"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), 507, "storage-full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 507, "storage-full"),
        (OSError(errno.EROFS, "Read-only file system"), 507, "storage-full"),
        (refused_by_the_server(psycopg.errors.DiskFull), 507, "storage-full"),
        (refused_by_the_server(psycopg.errors.LockNotAvailable), 503, "busy"),
        (refused_by_the_server(psycopg.errors.DeadlockDetected), 503, "busy"),
        (refused_by_the_server(psycopg.errors.QueryCanceled), 503, "took-too-long"),
        (refused_by_the_server(psycopg.errors.AdminShutdown), 503, "database-away"),
        (refused_by_the_server(psycopg.OperationalError), 503, "database-away"),
        (PoolTimeout("QueuePool limit"), 503, "busy"),
        (PendingRollbackError("Can't reconnect", code=DEAD_TRANSACTION), 503, "database-away"),
        (ExceptionGroup("two", [PoolTimeout("one"), PoolTimeout("another")]), 503, "busy"),
        (OSError(errno.ENOENT, "No such file"), 500, "internal-error"),
    ],
    ids=str,
)
async def test_what_is_nobodys_mistake_says_what_it_is_and_leaves_no_traceback(
    raising: FastAPI, caplog: pytest.LogCaptureFixture, error: Exception, status: int, slug: str
) -> None:
    """A past fault: a full disk was an unexpected error, and a lock not given in time a database that is away."""
    got, content_type, body = await ask(raising, error)
    assert (got, content_type, body["type"]) == (status, "application/problem+json", f"/problems/{slug}")
    assert body["title"] == TITLE_OF[slug], "an answer is titled as the page of its type"
    assert [record for record in caplog.records if record.exc_info] == [] or status == 500


async def test_busy_says_when_to_try_again(raising: FastAPI) -> None:
    for error in (errors.Busy("Wait."), errors.TooManyAtOnce("Wait.", retry_after_seconds=3)):
        raising.state.error = error
        async with Api.connect(raising, "none") as api:
            response = await api.call("GET", "/raise")
        assert response.headers["retry-after"] == str(response.json()["retry_after_seconds"])


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("/customers", {}, {"name"}),
        ("/customers", {"name": 1, "colour": 2}, {"name", "colour"}),
        ("/customers", [], {"body"}),
        (
            "/contracts",
            {"customer_id": "x", "plan": "gold", "committed_gpu_hours": -1},
            {"plan", "committed_gpu_hours"},
        ),
    ],
)
async def test_every_wrong_field_is_named_as_it_was_sent(api: Api, path: str, body: object, fields: set[str]) -> None:
    problem = await api.call("POST", path, expect=422, json=body)
    assert {error["field"] for error in problem.json()["errors"]} == fields
    assert all(error["field"] in problem.json()["detail"] for error in problem.json()["errors"])


async def test_what_a_validator_of_ours_says_is_all_that_is_said(api: Api) -> None:
    """A past fault: the message began with pydantic's "Value error, "."""
    body = {"customer_id": "cus_1", "plan": "on_demand", "starts_at": "1999-01-01T00:00:00Z"}
    problem = (await api.call("POST", "/contracts", expect=422, json=body)).json()
    assert problem["errors"] == [{"field": "starts_at", "message": "must be between 2000 and 2200"}]


@pytest.mark.parametrize("is_wrapped", [True, False])
async def test_request_whose_transaction_stood_still_for_too_long_is_to_be_sent_again(
    app: FastAPI, is_wrapped: bool
) -> None:
    """A past fault, found by stopping processes: PostgreSQL had ended it, and it was answered 500."""
    ended: Exception = psycopg.errors.IdleInTransactionSessionTimeout("terminating connection")
    request = Request({"type": "http", "app": app, "method": "GET", "path": "/v1/jobs", "headers": []})
    answer = await answer_error(request, InternalError("SELECT 1", {}, ended) if is_wrapped else ended)
    assert answer.status_code == 503
