"""The API's own description: complete enough that nobody has to ask what a field means."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import jsonschema_rs
import pytest
from fastapi import FastAPI

from broker import errors
from broker.http.openapi import make_workers_openapi
from broker.http.problem_pages import list_problem_types
from broker.http.problems import STATUS_OF, slug_of, title_of
from broker.http.shapes import MOST


@pytest.fixture(scope="module")
def document(routed_app: FastAPI) -> dict[str, Any]:
    """Make the API's own document and that of the worker protocol into one."""
    api, workers = routed_app.openapi(), make_workers_openapi(routed_app)
    schemas = {**api["components"]["schemas"], **workers["components"]["schemas"]}
    components = {**api["components"], "schemas": schemas}
    return {**api, "paths": {**api["paths"], **workers["paths"]}, "components": components}


def walk_operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def walk_properties(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    waiting = list(document["components"]["schemas"].items())
    assert waiting
    while waiting:
        name, schema = waiting.pop()
        for key, value in schema.get("properties", {}).items():
            yield f"{name}.{key}", value
            waiting.append((f"{name}.{key}", value))
        parts = [*schema.get("anyOf", []), schema.get("items", {})]
        waiting += [(name, part) for part in parts if part]


def lacks(described: dict[str, Any]) -> list[str]:
    schema = described.get("schema", {})
    found = [] if described.get("description") else ["description"]
    if not any(key in place for place in (described, schema) for key in ("example", "examples")):
        found.append("example")
    return found


def test_every_property_has_description_and_example(document: dict[str, Any]) -> None:
    properties = list(walk_properties(document))
    assert len(properties) > 150
    assert {name: lacks(schema) for name, schema in properties if lacks(schema)} == {}


def test_every_example_is_one_that_its_schema_takes(document: dict[str, Any]) -> None:
    """A past fault: 142 examples were objects of which only a few properties were written."""
    registry = jsonschema_rs.Registry([("urn:api", document)])

    def judge(place: str, examples: list[Any]) -> list[str]:
        takes = jsonschema_rs.Draft202012Validator({"$ref": f"urn:api#{place}"}, registry=registry)
        return [f"{place} {example}: {error}" for example in examples for error in takes.iter_errors(example)]

    faults, judged = list[str](), 0
    for name, schema in document["components"]["schemas"].items():
        for key, told in schema.get("properties", {}).items():
            judged += len(told.get("examples", []))
            faults += judge(f"/components/schemas/{name}/properties/{key}", told.get("examples", []))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for number, parameter in enumerate(operation.get("parameters", [])):
                examples = parameter.get("examples", [parameter["example"]] if "example" in parameter else [])
                place = f"/paths/{path.replace('/', '~1')}/{method}/parameters/{number}/schema"
                judged += len(examples)
                faults += judge(quote(place, safe="/~"), examples)
    assert judged > 3000
    assert faults == []


def test_every_parameter_has_description_and_example(document: dict[str, Any]) -> None:
    parameters = [
        (f"{name} {parameter['name']}", parameter)
        for name, operation in walk_operations(document)
        for parameter in operation.get("parameters", [])
    ]
    assert len(parameters) > 50
    assert {name: lacks(parameter) for name, parameter in parameters if lacks(parameter)} == {}


def walk_parts(document: dict[str, Any], path: str, schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk a schema and all that it is made of, each with its path; what refers to itself is walked once."""
    waiting, seen = [(path, schema)], set()
    while waiting:
        path, schema = waiting.pop()
        name = schema.get("$ref", "").rpartition("/")[2]
        if name and (path, name) in seen:
            continue
        seen.add((path, name))
        if name:
            schema = {**document["components"]["schemas"][name], **schema}
        yield path, schema
        waiting += [(path, part) for key in ("anyOf", "oneOf", "allOf") for part in schema.get(key, [])]
        waiting += [(f"{path}.{key}", part) for key, part in schema.get("properties", {}).items()]
        waiting += [
            (f"{path}[]", schema[key]) for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)
        ]


def walk_inputs(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Walk every value that a request may carry: in its path, its query, its headers, its body."""
    for name, operation in walk_operations(document):
        for parameter in operation.get("parameters", []):
            yield from walk_parts(document, f"{name} {parameter['name']}", parameter["schema"])
        for content in operation.get("requestBody", {}).get("content", {}).values():
            yield from walk_parts(document, f"{name} body", content["schema"])


def is_bounded(schema: dict[str, Any]) -> bool:
    if "enum" in schema or "const" in schema:
        return True
    return 0 <= schema.get("minimum", -1) <= schema.get("maximum", -1) <= MOST + 1


def least(name: str) -> int:
    return -MOST if name in MAY_BE_NEGATIVE else 0


def test_every_integer_of_a_request_has_bounds_that_fit_its_column(document: dict[str, Any]) -> None:
    """A past fault: `events?after=9223372036854775808` was an unexpected error of the database."""
    integers = [(name, schema) for name, schema in walk_inputs(document) if schema.get("type") == "integer"]
    assert len(integers) > 60
    assert {name for name, _schema in integers} >= {
        "GET /v1/jobs/{job_id}/events after",
        "POST /v1/runs/{run_id}/heartbeats body.fence_token",
        "PUT /v1/runs/{run_id}/checkpoints/{step} step",
        "PUT /v1/runs/{run_id}/checkpoints/{step} X-Fence-Token",
    }
    unbounded = [
        name
        for name, schema in integers
        if not least(name) <= schema.get("minimum", -MOST - 1) <= schema.get("maximum", -MOST - 1) <= MOST + 1
    ]
    assert unbounded == [], "use `Whole`, or say ge and le"


def test_every_operation_has_summary_tag_and_id_of_its_own(document: dict[str, Any]) -> None:
    operations = dict(walk_operations(document))
    assert [name for name, operation in operations.items() if not operation.get("summary")] == []
    assert [name for name, operation in operations.items() if not operation.get("tags")] == []
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(set(ids)) == len(ids)


def test_operation_ids_are_the_names_of_what_they_do(document: dict[str, Any]) -> None:
    """A past fault: `list_job_events_v1_jobs__job_id__events_get` was a method's name in generated clients."""
    ids = [operation["operationId"] for _name, operation in walk_operations(document)]
    assert [each for each in ids if not re.fullmatch(r"[a-z]+(_[a-z]+)*", each) or "_v1_" in each] == []


def test_worker_protocol_is_a_document_of_its_own(routed_app: FastAPI) -> None:
    api, workers = routed_app.openapi(), make_workers_openapi(routed_app)
    assert [path for path in api["paths"] if path.startswith("/v1/runs/")] == []
    assert workers["paths"]
    assert all(path.startswith("/v1/runs/") for path in workers["paths"])
    assert "HeartbeatIn" in workers["components"]["schemas"]
    assert "HeartbeatIn" not in api["components"]["schemas"]


def test_operation_says_which_roles_may(routed_app: FastAPI) -> None:
    operation = routed_app.openapi()["paths"]["/v1/reports/margin"]["get"]
    assert operation["x-roles"] == ["admin", "finance"]
    assert "Roles: admin, finance." in operation["description"]


def test_every_post_takes_an_idempotency_key(document: dict[str, Any]) -> None:
    posts = [operation for name, operation in walk_operations(document) if name.startswith("POST")]
    assert posts
    for operation in posts:
        assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}


def test_problems_are_documented_with_their_media_type(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/jobs"]["post"]
    for status in ("401", "402", "403", "404", "409", "413", "422", "429", "503"):
        assert list(operation["responses"][status]["content"]) == ["application/problem+json"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_component_names_are_those_that_openapi_allows(document: dict[str, Any]) -> None:
    names = [name for section in document["components"].values() for name in section]
    assert [name for name in names if not re.fullmatch(r"[a-zA-Z0-9._-]+", name)] == []
    assert set(document["components"]["securitySchemes"]) == {"ApiKey"}


def test_everything_but_health_and_what_a_provider_signs_needs_a_key(document: dict[str, Any]) -> None:
    open_paths = {name for name, operation in walk_operations(document) if not operation.get("security")}
    assert open_paths == {"GET /healthz", "GET /readyz", "GET /metrics", "POST /v1/webhooks/stripe"}


def all_errors(base: type[errors.DomainError] = errors.DomainError) -> set[type[errors.DomainError]]:
    return {each for child in base.__subclasses__() for each in {child, *all_errors(child)}}


def test_every_domain_error_has_a_status_and_a_title() -> None:
    assert all_errors() - STATUS_OF.keys() == set()
    assert [error for error in all_errors() if not title_of(error).endswith(".")] == []


def test_every_domain_error_says_what_to_do() -> None:
    assert [each.slug for each in list_problem_types() if not each.explanation.strip().endswith(".")] == []


def test_every_domain_error_has_a_type_of_its_own() -> None:
    slugs = [slug_of(error) for error in all_errors()]
    assert len(set(slugs)) == len(slugs)


def test_no_estimate_is_shown_at_p50_alone(document: dict[str, Any]) -> None:
    """A quote of 47 s ran 176 s on a busy machine: whoever sees a p50 sees the p90 beside it."""
    shapes = {name: schema.get("properties", {}) for name, schema in document["components"]["schemas"].items()}
    ranges = [name for name, members in shapes.items() if "p50" in members]
    assert len(ranges) >= 5
    assert [name for name in ranges if "p90" not in shapes[name]] == []
    halves = {
        f"{name}.{key}"
        for name, members in shapes.items()
        for key, member in members.items()
        if "GPU-hours at p50" in member.get("description", "")
    }
    assert {"PlanPriceOut.gpu_cost", "PlanPriceOut.total"} <= halves
    for half in halves:
        name, key = half.split(".")
        assert f"{key}_p90" in shapes[name], half


# Arrays of one object that stand in its answer, each with what keeps it short.
MAY_BE_NEGATIVE = {"POST /v1/adjustments body.quantity"}
SHORT_ARRAYS = {
    "GET /v1/retention rules": "ten rules",
    "GET /v1/retention swept": "one for each kind",
    "GET /v1/projects/{project_id}/members data": "the confined keys of one project",
    "GET /v1/datasets/{dataset_id} files": "one document: an upload has a limit of files",
    "GET /v1/datasets/{dataset_id} findings": "one document: findings of a kind are cut",
    "GET /v1/datasets/{dataset_id} token_counts": "one for each base model on offer",
    "GET /v1/jobs/{job_id}/losses data": "thinned out to a thousand rows at most",
    "GET /v1/jobs/{job_id}/ahead data": "the nearest, a hundred at most",
    "GET /v1/jobs/{job_id}/why evictions": "the last hundred at most",
    "GET /v1/jobs/{job_id}/why sooner": "one for each type of device",
    "GET /v1/quotes/{quote_id} prices": "one for each plan",
    "GET /v1/adapters/{adapter_id} stages": "one for each stage",
    "GET /v1/adapters/{adapter_id}/lineage nodes": "a hundred adapters at most, with what each is made of",
    "GET /v1/adapters/{adapter_id}/lineage edges": "what went into each of these",
    "GET /v1/adapters/compare adapters": "two",
    "GET /v1/adapters/compare differences": "one for each key of a configuration at most",
    "GET /v1/promotions/{promotion_id} pushes": "one for each environment of a stage, of which there are few",
    "GET /v1/quotes/{quote_id} gpu_types": "one for each type of device that pools have",
    "GET /v1/quotes/{quote_id}/offers data": "one for each type of device and setting",
    "GET /v1/quotes/{quote_id}/offers frontier": "a part of the offers",
    "GET /v1/plan-comparison data": "one for each plan",
    "GET /v1/contracts/{contract_id} guaranteed_gpus": "one for each type of device, at most twenty",
    "GET /v1/contracts/{contract_id}/coverage meters": "one for each meter",
    "GET /v1/jobs/{job_id} evictions": "at most the last hundred",
    "GET /v1/jobs/{job_id} sooner": "quoted GPU types, of which the catalogue has a few dozen",
    "GET /v1/reports/start-accuracy weeks": "one row a week, 104 at most",
    "GET /v1/jobs/{job_id} lost_work": "at most a few for each attempt",
    "GET /v1/invoices/{invoice_id} lines": "one document: it is printed and signed as a whole",
    "GET /v1/credit-notes/{credit_note_id} lines": "one document: a part of its invoice's lines",
    "GET /v1/reports/monthly-cost data": "one document: a month's report, exported as a whole",
    "GET /v1/reports/plan-advice months": "at most 36",
    "GET /v1/reports/plan-advice data": "a few options of each plan",
    "GET /v1/reports/receivables data": "one document: who owes something now, exported as a whole",
    "GET /v1/reports/margin data": "one document: a month's report, exported as a whole",
    "GET /v1/reports/pool-margin data": "one for each pool",
    "GET /v1/reports/pool-margin guarantees": "one for each GPU type",
    "GET /v1/reports/revenue data": "one document: a month's report, exported as a whole",
    "GET /v1/reports/revenue waterfall": "one for each month until the last grant ends",
    "GET /v1/reports/commitments data": "one document: contracts with a commitment, exported as a whole",
    "GET /v1/reports/commitments grants": "one document: grants that end soon",
    "GET /v1/reports/journal data": "one document: a month's report, exported as a whole",
    "GET /v1/reports/reconciliation data": "one for each link",
    "GET /v1/pools/{name} maintenance": "at most a hundred times that ops has planned",
    "GET /v1/jobs/{job_id} notices": "twenty at most, the earliest",
    "GET /v1/operations/overview queues": "two hundred at most, and how many there are",
    "GET /v1/operations/overview pools": "two hundred at most, and how many there are",
    "GET /v1/operations/overview contracts": "a hundred at most, and how many there are",
    "GET /v1/operations/overview starved_and_borrowing": "twenty at most",
    "GET /v1/contracts/{contract_id}/standing types": "one for each GPU type",
    "GET /v1/contracts/{contract_id}/arrears debts": "one for each overdue invoice",
    "GET /v1/contracts/{contract_id}/arrears history": "a few for each time that it was behind",
    "GET /v1/contracts/{contract_id}/arrears extensions": "those that finance gave by hand",
    "GET /v1/customers/{customer_id}/arrears contracts": "one for each contract",
    "GET /v1/webhook-endpoints/{endpoint_id} event_types": "some of the types that there are",
    "GET /v1/fapiao/debts data": "customers of whom something was credited after a fapiao",
    "GET /v1/fapiao/{fapiao_id} lines": "one for each tax rate",
    "GET /v1/stripe/invoices/{invoice_id} steps": "four, and one for each change after",
    "GET /v1/stripe/reconciliation data": "one document: every difference that was found, exported as a whole",
    "GET /v1/payments/{payment_id} allocations": "one for each invoice that a transfer pays, and what was undone",
    "GET /v1/invoices/{invoice_id}/breakdown data": "one for each value of a label",
    "GET /v1/closings/{month}/vouchers data": "one document: a closed month's vouchers, exported as a whole",
    "GET /v1/chart-of-accounts accounts": "one for each account of money",
    "GET /v1/chart-of-accounts unmapped": "some of the accounts of money",
    "GET /v1/closings/{month} refused": "the first hundred, and how many there are",
    "GET /v1/closings/{month} checklist": "one for each point, of which there are a dozen",
    "GET /v1/closings/{month}/progress refused": "the first hundred, and how many there are",
    "GET /v1/closings/{month}/progress checklist": "always empty",
    "GET /v1/invoices/{invoice_id} borne": "as the lines: one for each job, meter, price and cause",
    "GET /v1/reports/estimator-accuracy groups": "one for each kind of run",
    "GET /v1/reports/estimator-accuracy reliability": "one for each quantile",
    "GET /v1/reports/estimator-accuracy changes": "GPU types",
    "GET /v1/reports/estimator-accuracy drift": "one for each bucket of time",
    "GET /v1/reports/estimator-accuracy runs": "the latest that are judged, a fixed number",
}


def find_arrays(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, bool]]:
    """Find the arrays of objects at the top of an answer, and whether each is a page of a list."""

    def resolve(schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        return schema

    content = operation["responses"].get("200", {}).get("content", {}).get("application/json", {})
    answer = resolve(content.get("schema", {}))
    named = {"": answer, **answer.get("properties", {})}
    parameters = {parameter["name"] for parameter in operation.get("parameters", [])}
    is_paged = "next_cursor" in named and "limit" in parameters and bool(parameters & {"cursor", "after"})
    for name, schema in named.items():
        if resolve(schema).get("type") == "array" and "$ref" in resolve(schema).get("items", {}):
            yield name, is_paged and name == "data"


def test_every_list_has_pages(document: dict[str, Any]) -> None:
    """The usage of a job of 100,000 intervals was one answer of 27 MiB, and nobody else was served meanwhile."""
    arrays = {
        f"{operation_name} {name}": is_paged
        for operation_name, operation in walk_operations(document)
        if operation_name.startswith("GET")
        for name, is_paged in find_arrays(document, operation)
    }
    assert sum(arrays.values()) >= 15
    assert {name for name, is_paged in arrays.items() if not is_paged} == SHORT_ARRAYS.keys()


def test_what_customers_programs_are_told_is_in_the_document(document: dict[str, Any]) -> None:
    webhooks = document["webhooks"]
    body = webhooks["job.ended"]["post"]["requestBody"]["content"]["application/json"]
    assert body["example"]["type"] == body["schema"]["properties"]["type"]["const"] == "job.ended"
    assert "Events come in no promised order" in webhooks["job.ended"]["post"]["description"]
