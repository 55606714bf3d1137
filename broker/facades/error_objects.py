"""What failed, as the clients of OpenAI, and of those who follow it, read it: `{"error": {"message", …}}`. Pure."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any

# Sent with each refusal: the clients retry 408, 409, 429 and 5xx unless this says that it would be in vain.
SHOULD_RETRY = "x-should-retry"
TYPES = {
    HTTPStatus.UNAUTHORIZED: "authentication_error",
    HTTPStatus.FORBIDDEN: "permission_error",
    HTTPStatus.PAYMENT_REQUIRED: "insufficient_quota",
    HTTPStatus.TOO_MANY_REQUESTS: "rate_limit_error",
}
# A conflict and a request that is not valid are both what the sender has to change.
SENT_AS = {HTTPStatus.CONFLICT: HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST}
PASSING = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def write_fault(
    status: int, problem: Mapping[str, Any], translate_field: Callable[[str | None], str | None]
) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Write the status, the body and the headers that tell a problem of the REST API, or a refusal of the facade's own.

    The latter names its field as the client did: `param`; those of the REST API are translated.
    """
    fields = problem.get("errors") or [{}]
    kind = TYPES.get(HTTPStatus(status), "server_error" if status >= 500 else "invalid_request_error")
    slug = str(problem.get("type", "")).rpartition("/")[2]
    field = fields[0].get("field")
    param = problem.get("param") or translate_field(field)
    message = problem.get("detail") or problem.get("title") or HTTPStatus(status).phrase
    error = {
        "message": message if "param" in problem else _name_fields(message, fields, translate_field),
        "type": kind,
        "param": param,
        "code": "insufficient_quota" if status == HTTPStatus.PAYMENT_REQUIRED else slug.replace("-", "_") or None,
    }
    headers = {SHOULD_RETRY: "true" if status in PASSING or status >= 500 else "false"}
    return SENT_AS.get(HTTPStatus(status), status), {"error": error}, headers


def _name_fields(
    message: str, fields: Sequence[Mapping[str, Any]], translate_field: Callable[[str | None], str | None]
) -> str:
    """Name each field that a message tells of as the client sent it."""
    for each in fields:
        field = each.get("field")
        if (named := translate_field(field)) is not None:
            message = message.replace(f"{field}: ", f"{named}: ", 1)
    return message
