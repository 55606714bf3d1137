"""Errors on the wire: every domain error becomes an RFC 9457 `application/problem+json` with a status of its own."""

import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from broker import errors

log = logging.getLogger(__name__)

STATUS_OF: dict[type[errors.DomainError], HTTPStatus] = {
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.InvalidRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NameTaken: HTTPStatus.CONFLICT,
    errors.InvalidTrainingConfig: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.DatasetUnusable: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UploadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.CommitmentRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NoContractInForce: HTTPStatus.CONFLICT,
    errors.QuoteExpired: HTTPStatus.CONFLICT,
    errors.QuoteMismatch: HTTPStatus.CONFLICT,
    errors.InsufficientBalance: HTTPStatus.PAYMENT_REQUIRED,
    errors.BudgetExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.MaxCostExceeded: HTTPStatus.PAYMENT_REQUIRED,
    errors.IdempotencyConflict: HTTPStatus.CONFLICT,
    errors.IllegalTransition: HTTPStatus.CONFLICT,
    errors.StaleFenceToken: HTTPStatus.CONFLICT,
    errors.ChecksumMismatch: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.ChunkMismatch: HTTPStatus.CONFLICT,
    errors.PeriodStillOpen: HTTPStatus.CONFLICT,
}


def slug_of(error_type: type[errors.DomainError]) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "-", error_type.__name__).lower()


def install_problem_handlers(app: FastAPI) -> None:
    app.add_exception_handler(errors.DomainError, _on_domain_error)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    for lost in (OperationalError, InterfaceError, PoolTimeout):
        app.add_exception_handler(lost, _on_database_away)
    app.add_exception_handler(Exception, _on_unexpected_error)


async def _on_domain_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, errors.DomainError)
    body = describe_error(error)
    return _respond(body, HTTPStatus(body["status"]))


def describe_error(error: errors.DomainError) -> dict[str, Any]:
    """Describe a domain error as the problem that goes over the wire."""
    title = (type(error).__doc__ or "").strip()
    members: dict[str, Any] = dict(error.fields)
    if error.errors:
        members["errors"] = [{"field": item.field, "message": item.message} for item in error.errors]
    return _describe(slug_of(type(error)), title, STATUS_OF[type(error)], error.detail, **members)


async def _on_validation_error(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = [{"field": _field_path(item["loc"]), "message": item["msg"]} for item in error.errors()]
    detail = "; ".join(f"{item['field']}: {item['message']}" for item in found)
    title = (errors.InvalidRequest.__doc__ or "").strip()
    return problem_response("invalid-request", title, HTTPStatus.UNPROCESSABLE_ENTITY, detail, errors=found)


def _field_path(location: tuple[int | str, ...]) -> str:
    """Write a location as a path: `("body", "config", "epochs")` → `config.epochs`; headers and parameters by name."""
    return ".".join(str(part) for part in location[1:]) or str(location[0])


async def _on_http_exception(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    slug = status.phrase.lower().replace(" ", "-")
    response = problem_response(slug, status.phrase, status, str(error.detail))
    response.headers.update(error.headers or {})
    return response


async def _on_database_away(request: Request, error: Exception) -> JSONResponse:
    """Answer 503: there was no connection, a lost one, or a deadlock, and the same request may work in a moment."""
    log.warning("the database did not serve %s %s: %s", request.method, request.url.path, error)
    detail = "The database could not be reached. The request was rolled back; send it again in a moment."
    response = problem_response("database-away", "Database away", HTTPStatus.SERVICE_UNAVAILABLE, detail)
    response.headers["Retry-After"] = "1"
    return response


async def _on_unexpected_error(request: Request, error: Exception) -> JSONResponse:
    log.error("unexpected error in %s %s", request.method, request.url.path, exc_info=error)
    detail = "The request was rolled back; nothing was written. Try again, and report it if it stays."
    return problem_response("internal-error", "Unexpected error", HTTPStatus.INTERNAL_SERVER_ERROR, detail)


def problem_response(slug: str, title: str, status: HTTPStatus, detail: str, **members: Any) -> JSONResponse:
    return _respond(_describe(slug, title, status, detail, **members), status)


def _describe(slug: str, title: str, status: HTTPStatus, detail: str, **members: Any) -> dict[str, Any]:
    return {"type": f"/problems/{slug}", "title": title, "status": int(status), "detail": detail, **members}


def _respond(body: dict[str, Any], status: HTTPStatus) -> JSONResponse:
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(body, status, headers, media_type="application/problem+json")
