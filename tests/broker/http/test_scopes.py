"""What a key with scopes may do, on every route."""

import re

import pytest
from fastapi import FastAPI

from broker import errors
from broker.http.scopes import AREA_OF, SCOPES, covers, find_scope, require_all_of
from broker.work import Actor, Role
from tests.broker.factories import Api, make_customer


def list_scopes(app: FastAPI) -> dict[str, tuple[str | None, list[str]]]:
    return {
        f"{method.upper()} {path}": (operation.get("x-scope"), operation.get("x-roles", []))
        for path, item in app.openapi()["paths"].items()
        for method, operation in item.items()
    }


def test_every_route_of_a_customer_has_a_scope_that_a_key_can_have(routed_app: FastAPI) -> None:
    told = {route: scope for route, (scope, roles) in list_scopes(routed_app).items() if "customer" in roles}
    assert {route for route, scope in told.items() if scope is None} == {"GET /v1/whoami"}
    assert {scope for scope in told.values() if scope is not None} <= set(SCOPES)
    assert told["POST /v1/jobs"] == told["POST /v1/datasets"] == "training:write"
    assert told["GET /v1/invoices"] == "billing:read"
    assert told["POST /v1/api-keys/{key_id}/rotate"] == told["POST /v1/projects"] == "account:write"
    assert told["GET /v1/queues"] == "operations:read"


def test_what_has_no_known_tag_is_of_the_account() -> None:
    assert find_scope("new", ["something"], {"POST"}) == "account:write"
    areas = {scope.partition(":")[0] for scope in SCOPES}
    assert set(AREA_OF.values()) | {"account"} == areas - {"production"}, "which a body asks for, by its stage"


def test_who_may_write_may_read_and_not_the_other_way() -> None:
    assert covers({"training:write"}, "training:read")
    assert not covers({"training:read"}, "training:write")
    assert not covers({"training:write"}, "billing:read")
    assert not covers(set(), "training:read")
    assert covers(None, "account:write")


def test_no_key_gives_more_than_it_has() -> None:
    narrow = Actor(Role.CUSTOMER, "key_1", "cus_1", frozenset({"account:write", "training:read"}))
    require_all_of(narrow, ["account:read", "training:read"])
    for beyond in (None, ["training:write"], ["billing:read", "account:read"]):
        with pytest.raises(errors.Forbidden, match="no more than it has"):
            require_all_of(narrow, beyond)
    require_all_of(Actor(Role.CUSTOMER, "key_2", "cus_1"), None)


async def test_a_key_is_refused_where_its_scopes_do_not_reach(api: Api, routed_app: FastAPI) -> None:
    customer = await make_customer(api)
    body = {"name": "ci", "scopes": ["training:write", "billing:read"]}
    made = await api.post(f"/customers/{customer['id']}/api-keys", body, expect=201)
    assert made["scopes"] == ["billing:read", "training:write"]
    faults = []
    async with Api.connect(api.app, made["key"]) as own:
        assert (await own.get("/whoami"))["api_key"]["scopes"] == made["scopes"]
        for route, (scope, roles) in list_scopes(routed_app).items():
            if "customer" not in roles or scope is None:
                continue
            method, path = route.split()
            answer = await own.call(method, re.sub("{.*?}", "x", path.removeprefix("/v1")))
            within = scope in {"training:read", "training:write", "billing:read"}
            if (answer.status_code != 403) != within:
                faults.append((route, scope, answer.status_code))
        told = (await own.post("/projects", {"name": "p"}, expect=403))["detail"]
    assert faults == []
    assert "account:write" in told
    assert "training:write" in told


async def test_a_key_with_scopes_makes_none_with_more(api: Api) -> None:
    customer = await make_customer(api)
    path = f"/customers/{customer['id']}/api-keys"
    made = await api.post(path, {"name": "keys", "scopes": ["account:write"]}, expect=201)
    wide = await api.post(path, {"name": "wide"}, expect=201)
    async with Api.connect(api.app, made["key"]) as own:
        await own.post(path, {"name": "all"}, expect=403)
        await own.post(path, {"name": "more", "scopes": ["training:read"]}, expect=403)
        await own.post(path, {"name": "less", "scopes": ["account:read"]}, expect=201)
        await own.post(f"/api-keys/{wide['id']}/rotate", {}, expect=403)
    await api.post(path, {"name": "none", "scopes": []}, expect=422)
    await api.post(path, {"name": "odd", "scopes": ["training:all"]}, expect=422)
