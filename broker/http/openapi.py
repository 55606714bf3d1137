"""What FastAPI's OpenAPI document leaves out: ids in paths, the Idempotency-Key, the media type of problems."""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from broker.http.idempotency import HEADER, MAX_KEY_LENGTH

PATH_IDS = {
    "customer_id": ("The customer.", "cus_01k"),
    "project_id": ("The project.", "prj_01k"),
    "key_id": ("The API key's id (not the key).", "key_01k"),
    "contract_id": ("The contract.", "con_01k"),
    "dataset_id": ("The data set.", "dat_01k"),
    "quote_id": ("The quote.", "quo_01k"),
    "job_id": ("The job.", "job_01k"),
    "run_id": ("The run.", "run_01k"),
    "adapter_id": ("The adapter.", "ada_01k"),
    "invoice_id": ("The invoice.", "inv_01k"),
    "name": ("Name of the queue or pool.", "standard"),
}
IDEMPOTENCY_HEADER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Sent again with the same body within 30 days, the request gets its first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "example": "5f0c7d1e-order-17",
}


def install_openapi(app: FastAPI) -> None:
    def make_openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = get_openapi(
                title=app.title,
                version=app.version,
                description=app.description,
                license_info=app.license_info,
                routes=app.routes,
            )
            complete(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = make_openapi  # type: ignore[method-assign]


def complete(document: dict[str, Any]) -> None:
    """Add to the document, in place, what FastAPI leaves out of it."""
    for method, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            _describe_path_id(parameter)
        if method == "post":
            operation.setdefault("parameters", []).append(IDEMPOTENCY_HEADER)
        for status, response in operation["responses"].items():
            if status >= "400" and "application/json" in response.get("content", {}):
                response["content"] = {"application/problem+json": response["content"]["application/json"]}


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in document["paths"].values():
        yield from item.items()


def _describe_path_id(parameter: dict[str, Any]) -> None:
    if parameter["in"] == "path" and parameter["name"] in PATH_IDS:
        description, example = PATH_IDS[parameter["name"]]
        parameter.setdefault("description", description)
        parameter.setdefault("example", example)
