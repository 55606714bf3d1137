"""What a request carries and its route does not take is refused, not ignored."""

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic import ValidationError

from broker.http.edge import TransactionalRoute
from broker.http.openapi import make_workers_openapi
from broker.http.shapes import RequestBody
from tests.broker.factories import Api, make_customer, make_ready_customer, sign_contract, submit_job


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/invoices?statsu=draft", "statsu", "did you mean status?"),
        ("/invoices?contract=con_1", "contract", "did you mean contract_id?"),
        ("/jobs?state=running", "state", "did you mean status?"),
        ("/invoices?zzz=1", "zzz", "it takes contract_id, contract_number, cursor"),
        ("/customers/cus_1?expand=all", "expand", "which takes none"),
        ("/jobs?Limit=5", "Limit", "did you mean limit?"),
        ("/jobs?limit=5&limit=6", "limit", "more than once"),
        ("/jobs?=5", "", "is no parameter"),
        ("/jobs?limit=1_0", "limit", "digits 0 to 9"),
        ("/plan-comparison?gpu_hours=30&tokens=%20500", "tokens", "digits 0 to 9"),
    ],
)
async def test_unknown_parameter_is_refused_with_the_nearest_known_one(
    api: Api, path: str, field: str, words: str
) -> None:
    problem = (await api.call("GET", path, expect=422)).json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert words in problem["errors"][0]["message"]


def test_every_parameter_and_header_that_is_a_number_is_known_as_one(routed_app: FastAPI) -> None:
    """`1_000` was read as a thousand: pydantic reads it as Python does."""
    paths = routed_app.openapi()["paths"] | make_workers_openapi(routed_app)["paths"]
    told = {
        (method, path, parameter["name"].lower())
        for path, methods in paths.items()
        for method, operation in methods.items()
        for parameter in operation.get("parameters", ())
        if "integer" in [each.get("type") for each in parameter["schema"].get("anyOf", [parameter["schema"]])]
    }
    known = {
        (method.lower(), each.path_format, name.lower())
        for each in iter_route_contexts(routed_app.router.routes)
        if isinstance(each.original_route, TransactionalRoute)
        for method in each.methods or ()
        for name in each.original_route.parameters.numbers
    }
    assert told == known


async def test_many_unknown_parameters_are_named_without_end(api: Api) -> None:
    path = "/customers?" + "&".join(f"p{number}=1" for number in range(500))
    assert len((await api.call("GET", path, expect=422)).json()["errors"]) == 20


async def test_unknown_parameter_of_a_post_writes_nothing(api: Api) -> None:
    await api.call("POST", "/customers?dry_run=true", expect=422, json={"name": "Acme"})
    assert (await api.get("/customers"))["data"] == []


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"paid_at": "2026-11-10T00:00:00Z", "amount": "1.00"}, ["paid_at", "amount"]),
        ([1], ["body"]),
        ("paid", ["body"]),
    ],
)
async def test_body_that_a_request_does_not_take_is_refused_field_by_field(
    api: Api, body: Any, fields: list[str]
) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500)
    path = f"/invoices/{contract['advance_invoice_id']}"
    problem = (await api.call("POST", f"{path}/pay", expect=422, json=body)).json()
    assert [error["field"] for error in problem["errors"]] == fields
    assert (await api.get(path))["status"] == "open"


async def test_body_that_is_no_json_is_refused_where_none_is_taken(api: Api) -> None:
    customer = await make_ready_customer(api)
    job = await submit_job(api, customer.dataset["id"], customer_id=customer.id)
    await api.call("POST", f"/jobs/{job['id']}/cancel", expect=422, content=b"now")
    assert (await api.get(f"/jobs/{job['id']}"))["status"] == "queued"


async def test_empty_body_is_taken_where_none_is_needed(api: Api) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], plan="prepaid", committed_gpu_hours=500)
    path = f"/invoices/{contract['advance_invoice_id']}/pay"
    assert (await api.call("POST", path, expect=200, json={})).json()["status"] == "paid"
    assert (await api.call("POST", path, expect=200)).json()["status"] == "paid"


async def test_unknown_form_field_is_refused(api: Api) -> None:
    customer = await make_customer(api)
    form = {"customer_id": customer["id"], "titel": "tea"}
    problem = (await api.call("POST", "/datasets", expect=422, files={"files": ("a.jsonl", b"{}")}, data=form)).json()
    assert [error["field"] for error in problem["errors"]] == ["titel"]


async def test_invoices_are_filtered_by_what_finance_asks_for(api: Api) -> None:
    """A past fault: `status=draft` answered every invoice."""
    first, second = await make_customer(api), await make_customer(api)
    contract = await sign_contract(api, first["id"], plan="prepaid", committed_gpu_hours=500)
    other = await sign_contract(api, second["id"])
    draft = await api.post("/invoices", {"contract_id": other["id"], "month": "2026-11"}, expect=201)
    advance = await api.get(f"/invoices/{contract['advance_invoice_id']}")

    async def ids(**wanted: str) -> list[str]:
        return [invoice["id"] for invoice in (await api.get("/invoices", **wanted))["data"]]

    assert await ids(status="draft") == [draft["id"]]
    assert (
        await ids(status="open") == await ids(kind="advance") == await ids(number=advance["number"]) == [advance["id"]]
    )
    assert await ids(month="2026-11", kind="usage") == await ids(customer_id=second["id"]) == [draft["id"]]
    assert await ids(contract_id=contract["id"], status="draft") == []
    await api.get("/invoices", expect=422, status="lost")


@pytest.mark.parametrize(
    ("path", "body", "field", "words"),
    [
        (
            "/contracts",
            {"customer_id": "cus_1", "plan": "prepaid", "commited_gpu_hours": 500},
            "commited_gpu_hours",
            "committed_gpu_hours?",
        ),
        ("/customers", {"name": "Acme", "{city}": "Xi'an"}, "{city}", "it takes name"),
    ],
)
async def test_unknown_field_of_a_body_is_refused_with_the_nearest_known_one(
    api: Api, path: str, body: Any, field: str, words: str
) -> None:
    problem = (await api.call("POST", path, expect=422, json=body)).json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert words in problem["errors"][0]["message"]


@pytest.mark.parametrize(
    ("path", "field", "words"),
    [
        ("/invoices?month=2026-13", "month", "write it like 2026-11"),
        ("/reports/monthly-cost?month=11/2026", "month", "write it like 2026-11"),
        ("/jobs?cursor=2", "cursor", "`next_cursor` of the page before"),
    ],
)
async def test_parameter_of_the_wrong_form_is_answered_by_the_right_one(
    api: Api, path: str, field: str, words: str
) -> None:
    """A past fault: the answer was a regular expression."""
    problem = (await api.call("GET", path, expect=422)).json()
    assert [error["field"] for error in problem["errors"]] == [field]
    assert words in problem["errors"][0]["message"]


def test_unknown_field_within_a_body_has_its_path() -> None:
    class Inner(RequestBody):
        dataset_id: str = ""

    class Outer(RequestBody):
        parts: list[Inner]

    with pytest.raises(ValidationError) as refused:
        Outer.model_validate({"parts": [{}, {"data_set_id": "dat_1"}]})
    assert [(error["loc"], error["msg"]) for error in refused.value.errors()] == [
        (("parts", 1, "data_set_id"), "is no field of this request; did you mean dataset_id?")
    ]
