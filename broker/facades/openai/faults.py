"""What failed, as the OpenAI clients read it: `{"error": {"message", "type", "param", "code"}}`. Pure."""

from collections.abc import Mapping
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
HYPERPARAMETERS = "method.supervised.hyperparameters"
# How fields of the REST API are named here; the first that fits counts.
PARAMS = {
    "dataset_id": "training_file",
    "config.base_model": "model",
    "config.epochs": f"{HYPERPARAMETERS}.n_epochs",
    "config.batch_size": f"{HYPERPARAMETERS}.batch_size",
    "config.learning_rate": f"{HYPERPARAMETERS}.learning_rate_multiplier",
    "config.seed": "seed",
    "files": "file",
    "cursor": "after",
}
PREFIXES = {"labels": "metadata", "config": "lora", "": "lora"}


def write_fault(status: int, problem: Mapping[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Write the status, the body and the headers that tell a problem of the REST API, or a refusal of the facade's own.

    The latter names its field as the client did: `param`.
    """
    fields = problem.get("errors") or [{}]
    kind = TYPES.get(HTTPStatus(status), "server_error" if status >= 500 else "invalid_request_error")
    slug = str(problem.get("type", "")).rpartition("/")[2]
    field = fields[0].get("field")
    param = problem.get("param") or translate_field(field)
    message = problem.get("detail") or problem.get("title") or HTTPStatus(status).phrase
    error = {
        "message": message if param is None else message.replace(f"{field}: ", f"{param}: ", 1),
        "type": kind,
        "param": param,
        "code": "insufficient_quota" if status == HTTPStatus.PAYMENT_REQUIRED else slug.replace("-", "_") or None,
    }
    headers = {SHOULD_RETRY: "true" if status in PASSING or status >= 500 else "false"}
    return SENT_AS.get(HTTPStatus(status), status), {"error": error}, headers


def translate_field(field: str | None) -> str | None:
    """Name a field of the REST API as the clients of this facade sent it."""
    if field is None or field == "body":
        return None
    if field in PARAMS:
        return PARAMS[field]
    head, _, rest = field.partition(".")
    return f"{PREFIXES[head]}.{rest}" if head in PREFIXES and rest else f"{PREFIXES['']}.{field}"
