"""What FastAPI's OpenAPI document leaves out: ids in paths, the Idempotency-Key, the media type of problems, roles.

The worker protocol is a document of its own: customers and staff never call it.
"""

import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from broker.http.idempotency import HEADER, MAX_KEY_LENGTH
from broker.http.openapi_examples import complete_examples

PATH_IDS = {
    "customer_id": ("The customer.", "cus_01k"),
    "project_id": ("The project.", "prj_01k"),
    "key_id": ("The API key's id (not the key).", "key_01k"),
    "deletion_id": ("The deletion.", "del_01k"),
    "person_id": ("The person.", "per_01k"),
    "secret_id": ("The secret.", "sec_01k"),
    "template_id": ("The template.", "tpl_01k"),
    "contract_id": ("The contract.", "con_01k"),
    "amendment_id": ("The amendment.", "amd_01k"),
    "contact_id": ("The contact.", "cnt_01k"),
    "endpoint_id": ("The webhook endpoint.", "whe_01k"),
    "event_id": ("The event.", "evt_01k"),
    "dataset_id": ("The data set.", "dat_01k"),
    "upload_id": ("The upload.", "upl_01k"),
    "quote_id": ("The quote.", "quo_01k"),
    "job_id": ("The job.", "job_01k"),
    "run_id": ("The run.", "run_01k"),
    "adapter_id": ("The adapter.", "ada_01k"),
    "environment_id": ("The environment.", "env_01k"),
    "promotion_id": ("The promotion.", "prm_01k"),
    "agent_id": ("The agent.", "agt_01k"),
    "simulation_id": ("The simulation.", "sim_01k"),
    "source_id": ("The source of usage.", "src_01k"),
    "quarantine_id": ("The usage in quarantine.", "qua_01k"),
    "invoice_id": ("The invoice.", "inv_01k"),
    "credit_note_id": ("The credit note.", "crn_01k"),
    "fapiao_id": ("The fapiao.", "fap_01k"),
    "approval_id": ("The proposal.", "app_01k"),
    "payment_id": ("The payment.", "pay_01k"),
    "refund_id": ("The refund.", "ref_01k"),
    "dispute_id": ("The dispute.", "dsp_01k"),
    "adjustment_id": ("The adjustment.", "adj_01k"),
    "grant_id": ("The grant.", "gra_01k"),
    "purchase_id": ("The purchase.", "pur_01k"),
    "announcement_id": ("The announcement.", "ann_01k"),
    "entry_id": ("The entry of the record.", "aud_01k"),
    "base_model": ("Name of the base model.", "smollm2-135m-instruct"),
    "version": ("Version of the rate card.", "2026-01-01"),
    "month": ("Calendar month of the house.", "2026-11"),
    "name": ("Name of the queue or pool.", "standard"),
}
# Told here rather than by a dependency of every route, which FastAPI would solve at each request.
SECURITY_SCHEME = "ApiKey"
SECURITY_SCHEMES = {
    SECURITY_SCHEME: {"type": "http", "description": "`Authorization: Bearer <API key>`", "scheme": "bearer"}
}
WORKERS_OPENAPI_URL = "/openapi/workers.json"
WORKERS_DESCRIPTION = "What `trainer run` asks of the broker, with the token of its run: `docs/worker-protocol.md`."
IDEMPOTENCY_HEADER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Sent again with the same body within 30 days, the request gets its first answer again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
    "example": "5f0c7d1e-order-17",
}


IF_MATCH_HEADER = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "ETag of the object as it was read: where it is another by now, nothing is done (412).",
    "schema": {"type": "string", "minLength": 1, "maxLength": 1000},
    "example": '"9f86d081884c7d659a2feaa0c55ad015"',
}
IF_NONE_MATCH_HEADER = {
    **IF_MATCH_HEADER,
    "name": "If-None-Match",
    "description": "ETag that is known already: where the object still has it, it is not sent again (304).",
}
ETAG_HEADER = {
    "description": "Hash of the answer, for `If-None-Match` and `If-Match`.",
    "schema": {"type": "string"},
    "example": IF_MATCH_HEADER["example"],
}


def install_openapi(app: FastAPI, describe_webhooks: Callable[[], dict[str, Any]]) -> None:
    """Serve the API's document at `/openapi.json`, and that of the worker protocol at `/openapi/workers.json`.

    The former describes what customers' programs are told, too; `app.py` says how.
    """

    def make_openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = _select(_make_document(app), lambda operation: not _is_for_workers(operation))
            app.openapi_schema = {**document, "webhooks": describe_webhooks()}
        return app.openapi_schema

    app.openapi = make_openapi  # type: ignore[method-assign]

    @app.get(WORKERS_OPENAPI_URL, include_in_schema=False)
    def get_workers_openapi() -> dict[str, Any]:
        return make_workers_openapi(app)


@lru_cache(maxsize=1)  # a process has one application
def make_workers_openapi(app: FastAPI) -> dict[str, Any]:
    """Make the document of the worker protocol."""
    document = _select(_make_document(app), _is_for_workers)
    document["info"] |= {"title": f"{app.title}: worker protocol", "description": WORKERS_DESCRIPTION}
    return document


def _make_document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        license_info=app.license_info,
        routes=app.routes,
    )
    document["components"]["securitySchemes"] = SECURITY_SCHEMES
    complete(document)
    return document


def complete(document: dict[str, Any]) -> None:
    """Add to the document, in place, what FastAPI leaves out of it."""
    complete_examples(document["components"]["schemas"])
    objects = [item for item in document["paths"].values() if item.get("get", {}).get("x-etag")]
    with_etag = {id(operation) for item in objects for operation in item.values()}
    for method, operation in _operations(document):
        for parameter in operation.get("parameters", []):
            _describe_path_id(parameter)
        if method == "post":
            operation.setdefault("parameters", []).append(IDEMPOTENCY_HEADER)
        if "requestBody" not in operation:
            operation["responses"].pop("413", None)
        _tell_conditions(operation, has_etag=id(operation) in with_etag)
        _tell_roles(operation)
        for status, response in operation["responses"].items():
            if status >= "400" and "application/json" in response.get("content", {}):
                response["content"] = {"application/problem+json": response["content"]["application/json"]}


def _tell_conditions(operation: dict[str, Any], *, has_etag: bool) -> None:
    """Tell which operations know ETags, as their routes say; a write does where its object can be read there."""
    responses = operation["responses"]
    if operation.pop("x-etag", False):
        operation.setdefault("parameters", []).append(IF_NONE_MATCH_HEADER)
        responses["200"]["headers"] = {"ETag": ETAG_HEADER}
        responses["304"] = {"description": "It is as `If-None-Match` says."}
    if operation.pop("x-condition", False) and has_etag:
        operation.setdefault("parameters", []).append(IF_MATCH_HEADER)
        responses["412"] = {**responses["404"], "description": "The object is no longer what `If-Match` says."}


def _tell_roles(operation: dict[str, Any]) -> None:
    roles = operation.get("x-roles", [])
    if roles:
        told = f"Roles: {', '.join(roles)}."
        operation["description"] = "\n\n".join(filter(None, (operation.get("description"), told)))


def _is_for_workers(operation: dict[str, Any]) -> bool:
    return "workers" in operation.get("tags", [])


def _select(document: dict[str, Any], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Select the operations that are wanted, with those schemas that they refer to, however far around."""
    paths = {
        path: operations
        for path, item in document["paths"].items()
        if (operations := {method: operation for method, operation in item.items() if wanted(operation)})
    }
    schemas, needed = document["components"]["schemas"], set[str]()
    waiting = _list_references(paths)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _list_references(schemas[name])
    components = {**document["components"], "schemas": {name: schemas[name] for name in sorted(needed)}}
    return {**document, "info": {**document["info"]}, "paths": paths, "components": components}


def _list_references(part: Any) -> list[str]:
    return re.findall(r"'#/components/schemas/([^']+)'", repr(part))


def _operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for item in document["paths"].values():
        yield from item.items()


def _describe_path_id(parameter: dict[str, Any]) -> None:
    if parameter["in"] == "path" and parameter["name"] in PATH_IDS:
        description, example = PATH_IDS[parameter["name"]]
        parameter.setdefault("description", description)
        parameter.setdefault("example", example)
