"""Errors on the wire: every domain error becomes an RFC 9457 `application/problem+json` with a status of its own."""

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from broker import errors
from broker.failure_log import describe_failure
from broker.http.access import HEADER as REQUEST_ID_HEADER
from broker.http.access import find_request_id
from broker.http.languages import HEADER as LANGUAGE_HEADER
from broker.http.languages import TAGS, Language, find_language
from broker.http.sendable import make_sendable
from broker.persistence.faults import FAULT_TYPES, Fault, find_fault

log = logging.getLogger(__name__)

ErrorHandler = Callable[[Request, Exception], Awaitable[Response]]
SayProblem = Callable[[Mapping[str, Any], Language], Mapping[str, Any]]
MEDIA_TYPE = "application/problem+json"

STATUS_OF: dict[type[errors.DomainError], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ApprovalNeeded: HTTPStatus.CONFLICT,
    errors.NameTaken: HTTPStatus.CONFLICT,
    errors.InvalidTrainingConfig: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DatasetUnusable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.StorageLimitReached: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.CommitmentRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoContractInForce: HTTPStatus.CONFLICT,
    errors.ContractsOverlap: HTTPStatus.CONFLICT,
    errors.PreviewStale: HTTPStatus.CONFLICT,
    errors.QuoteExpired: HTTPStatus.CONFLICT,
    errors.QuoteMismatch: HTTPStatus.CONFLICT,
    errors.QuoteStale: HTTPStatus.CONFLICT,
    errors.InsufficientBalance: HTTPStatus.PAYMENT_REQUIRED,
    errors.BudgetExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.CreditLimitExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.InArrears: HTTPStatus.PAYMENT_REQUIRED,
    errors.MaxCostExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.DeadlineUnreachable: HTTPStatus.CONFLICT,
    errors.QueueDraining: HTTPStatus.CONFLICT,
    errors.TooLargeForLimit: HTTPStatus.CONFLICT,
    errors.NotUndoable: HTTPStatus.CONFLICT,
    errors.ChangedSince: HTTPStatus.CONFLICT,
    errors.VersionMismatch: HTTPStatus.PRECONDITION_FAILED,
    errors.StaleSimulation: HTTPStatus.CONFLICT,
    errors.ProtocolMismatch: HTTPStatus.UPGRADE_REQUIRED,
    errors.IdempotencyConflict: HTTPStatus.CONFLICT,
    errors.EventConflict: HTTPStatus.CONFLICT,
    errors.IllegalTransition: HTTPStatus.CONFLICT,
    errors.StaleFenceToken: HTTPStatus.CONFLICT,
    errors.ChecksumMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ChunkMismatch: HTTPStatus.CONFLICT,
    errors.UploadBusy: HTTPStatus.LOCKED,
    errors.UploadUnfinished: HTTPStatus.CONFLICT,
    errors.PeriodStillOpen: HTTPStatus.CONFLICT,
    errors.PeriodClosed: HTTPStatus.CONFLICT,
    errors.ClosingBlocked: HTTPStatus.CONFLICT,
    errors.AccountUnmapped: HTTPStatus.CONFLICT,
    errors.Busy: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.VerificationNeeded: HTTPStatus.FORBIDDEN,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TooManyAtOnce: HTTPStatus.TOO_MANY_REQUESTS,
    errors.TookTooLong: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.StorageFull: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.TokensBeingCounted: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.FontMissing: HTTPStatus.SERVICE_UNAVAILABLE,
}

# What nginx and others write for a client that hung up; no number of the standard means it.
CLIENT_CLOSED_REQUEST = 499
FAILURES: dict[Fault, errors.DomainError] = {
    Fault.BUSY: errors.Busy(
        "Other requests held what this one needs, a lock or a connection, for too long; send it again."
    ),
    Fault.TOO_SLOW: errors.TookTooLong("The request took longer than the broker lets one take; ask for less at once."),
    Fault.FULL: errors.StorageFull(
        "The disk of the broker, or of its database, is full. Nothing was kept; send the request again when ops has "
        "freed space or made the disk larger."
    ),
}

# What no domain error stands for: the status, the title and the explanation of each.
OTHER_PROBLEMS = {
    "method-not-allowed": (
        HTTPStatus.METHOD_NOT_ALLOWED,
        "The address does not take this method.",
        "The `Allow` header names those that it takes.",
    ),
    "database-away": (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "The database could not be reached.",
        "The request was rolled back. Send it again after `Retry-After` seconds, with the same Idempotency-Key.",
    ),
    "internal-error": (
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "Something went wrong that should not have.",
        "The request was rolled back; nothing was written. Try again, and report it with the request's id if it stays.",
    ),
}


def slug_of(error_type: type[errors.DomainError]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", error_type.__name__).lower()


def title_of(error_type: type[errors.DomainError]) -> str:
    """Read the title of an error's type: the first line of its docstring."""
    return (error_type.__doc__ or "").strip().partition("\n")[0]


# A type of problem has one title: on its page and in every answer.
TITLE_OF = {slug_of(kind): title_of(kind) for kind in STATUS_OF} | {
    slug: title for slug, (_status, title, _explanation) in OTHER_PROBLEMS.items()
}


def install_problem_handlers(app: FastAPI) -> None:
    for kind, handle in _list_handlers().items():
        app.add_exception_handler(kind, _answer_in_language(handle))


def _list_handlers() -> dict[type[Exception], ErrorHandler]:
    return {
        errors.DomainError: _on_domain_error,
        RequestValidationError: _on_validation_error,
        HTTPException: _on_http_exception,
        **dict.fromkeys(FAULT_TYPES, _on_failure),
        ClientDisconnect: _on_disconnect,
        Exception: _on_unexpected_error,
    }


def _answer_in_language(handle: ErrorHandler) -> ErrorHandler:
    """Have a problem said in the language that its caller accepts, where it is one of ours; `app.py` says how."""

    async def answer(request: Request, error: Exception) -> Response:
        response = await handle(request, error)
        language = find_language(request)
        if response.media_type != MEDIA_TYPE or language in {None, "en"}:
            return response
        say: SayProblem = request.app.state.say_problem
        said = JSONResponse(say(json.loads(bytes(response.body)), language), response.status_code)
        kept = {name: value for name, value in response.headers.items() if name != "content-length"}
        said.headers.update({**kept, "Content-Language": TAGS[language]})
        return said

    return answer


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer what a handler raised as the application does, in English: for who tells the same in a way of its own."""
    handlers = _list_handlers()
    return await next(handlers[kind] for kind in type(error).__mro__ if kind in handlers)(request, error)


async def _on_domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.DomainError)
    body = describe_error(error)
    return _respond(body, HTTPStatus(body["status"]))


def describe_error(error: errors.DomainError) -> dict[str, Any]:
    """Describe a domain error as the problem that goes over the wire."""
    members: dict[str, Any] = dict(error.fields)
    if error.errors:
        members["errors"] = [{"field": item.field, "message": item.message} for item in error.errors]
    return _describe(slug_of(type(error)), STATUS_OF[type(error)], error.detail, **members)


async def _on_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [{"field": _field_path(item["loc"]), "message": errors.describe_fault(item)} for item in error.errors()]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in found)
    return problem_response("invalid-request", HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=found)


def _field_path(location: tuple[int | str, ...]) -> str:
    """Write a location as a path: `("body", "config", "epochs")` → `config.epochs`; headers and parameters by name."""
    return errors.write_path(location[1:]) or str(location[0])


async def _on_http_exception(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    response = problem_response(slug, status, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _on_failure(request: Request, error: Exception) -> JSONResponse:
    """Answer what is nobody's mistake: a database that is away, a lock not given in time, a full disk."""
    fault = find_fault(error)
    if fault is None:
        return await _on_unexpected_error(request, error)
    told = (request.method, request.url.path, fault.value, describe_failure(error))
    log.warning("%s %s was not done (%s): %s", *told)
    if fault == Fault.AWAY:
        return _describe_database_away()
    return await _on_domain_error(request, FAILURES[fault])


def _describe_database_away() -> JSONResponse:
    detail = "The database could not be reached. The request was rolled back; send it again in a moment."
    response = problem_response("database-away", HTTPStatus.SERVICE_UNAVAILABLE, detail)
    response.headers["Retry-After"] = "1"
    return response


async def _on_disconnect(request: Request, _error: Exception) -> Response:
    """Answer a client that has hung up: nobody reads it, and nothing went wrong here."""
    log.info("%s %s: the client hung up before its request was whole", request.method, request.url.path)
    return Response(status_code=CLIENT_CLOSED_REQUEST)


async def _on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    detail = "The request was rolled back; nothing was written. Try again, and report it with this id if it stays."
    status, request_id = HTTPStatus.INTERNAL_SERVER_ERROR, find_request_id()
    response = problem_response("internal-error", status, detail, request_id=request_id)
    if request_id is not None:  # this answer is made outside of all that adds headers
        response.headers[REQUEST_ID_HEADER] = request_id
    return response


def problem_response(slug: str, status: HTTPStatus, detail: str, **members: Any) -> JSONResponse:
    return _respond(_describe(slug, status, detail, **members), status)


def _describe(slug: str, status: HTTPStatus, detail: str, **members: Any) -> dict[str, Any]:
    title = TITLE_OF.get(slug, status.phrase)
    problem = {"type": f"/problems/{slug}", "title": title, "status": int(status), "detail": detail, **members}
    return {name: make_sendable(value) for name, value in problem.items()}


def _respond(body: dict[str, Any], status: HTTPStatus) -> JSONResponse:
    headers = {"Vary": LANGUAGE_HEADER}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if "retry_after_seconds" in body:
        headers["Retry-After"] = str(body["retry_after_seconds"])
    return JSONResponse(body, status, headers, media_type=MEDIA_TYPE)
