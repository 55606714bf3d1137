"""What failed, as DashScope's clients read it: `{"code", "message"}`. Pure."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

# The second generation of clients retries 408, 409, 429 and 5xx unless this says that it would be in vain.
SHOULD_RETRY = "x-should-retry"
CODES = {
    HTTPStatus.UNAUTHORIZED: "InvalidApiKey",
    HTTPStatus.FORBIDDEN: "AccessDenied",
    HTTPStatus.UNPROCESSABLE_ENTITY: "InvalidParameter",
    HTTPStatus.TOO_MANY_REQUESTS: "Throttling.RateQuota",
    HTTPStatus.INTERNAL_SERVER_ERROR: "InternalError",
    HTTPStatus.SERVICE_UNAVAILABLE: "ServiceUnavailable",
}
# These words of the clients go before those of the status.
CODE_OF_SLUG = {
    "illegal-transition": "UnsupportedOperation",
    "in-arrears": "Arrearage",
    "insufficient-balance": "Arrearage",
    "credit-limit-exceeded": "Arrearage",
}
SENT_AS = {HTTPStatus.CONFLICT: HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY: HTTPStatus.BAD_REQUEST}
PASSING = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
HYPERPARAMETERS = "hyper_parameters"
# How fields of the REST API are named here.
PARAMS = {
    "dataset_id": "training_file_ids",
    "config.base_model": "model",
    "config.epochs": f"{HYPERPARAMETERS}.n_epochs",
    "config.lr_scheduler": f"{HYPERPARAMETERS}.lr_scheduler_type",
    "config.validation_split": f"{HYPERPARAMETERS}.split",
    "name": "model_name",
    "labels": "model_name",
}


def translate_field(field: str) -> str:
    """Name a field of the REST API as the clients of this facade sent it."""
    if field in PARAMS or field in {"body", "files"}:
        return PARAMS.get(field, field)
    return f"{HYPERPARAMETERS}.{field.removeprefix('config.')}"


def name_fields(status: int, problem: Mapping[str, Any]) -> dict[str, Any]:
    """Name the fields of a problem as the client sent them; it has a title and a detail then, to be said."""
    phrase = HTTPStatus(status).phrase
    detail = str(problem.get("detail") or problem.get("title") or phrase)
    if "param" not in problem:
        for fault in problem.get("errors") or []:
            detail = detail.replace(f"{fault['field']}: ", f"{translate_field(fault['field'])}: ", 1)
    kept = {name: value for name, value in problem.items() if name != "errors"}
    return {**kept, "title": problem.get("title") or phrase, "detail": detail}


def write_fault(status: int, problem: Mapping[str, Any]) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Write the status, the body and the headers that tell a problem."""
    slug = str(problem.get("type", "")).rpartition("/")[2]
    words = "".join(word.capitalize() for word in slug.split("-")) or "Unknown"
    code = CODE_OF_SLUG.get(slug) or CODES.get(HTTPStatus(status), "InternalError" if status >= 500 else words)
    headers = {SHOULD_RETRY: "true" if status in PASSING or status >= 500 else "false"}
    return SENT_AS.get(HTTPStatus(status), status), {"code": code, "message": problem["detail"]}, headers
