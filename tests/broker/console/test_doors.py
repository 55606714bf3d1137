"""Every route of the console: whose it is, that nobody and no other site gets in, and that no tenant sees another's."""

import re
from collections.abc import Iterator

import pytest

from broker.console.frame.page import LIVE, ConsoleRoute
from broker.console.routes import ROUTERS
from broker.http.edge import find_roles
from broker.system import System
from tests.broker.console.people import Person, sign_in_customer, sign_in_staff, visit
from tests.broker.factories import Api, make_customer
from tests.broker.tenants import Tenant, make_tenant

EVERYBODY = ["admin", "customer", "finance", "ops"]
# Pages of all who are signed in, those of them that hold the line or end the session, and what is open to everybody.
OF_EVERYBODY = {"/console/", "/console/live", "/console/sign-out", "/console/{path:path}"}
UNCALLED = {LIVE, "/console/sign-out"}
OPEN = {
    "/console/static/{digest}/{name}",
    "/console/sign-in",
    "/console/sign-in/again",
    "/console/sign-in/openid",
    "/console/sign-in/openid/back",
    "/console/preferences",
}
GROUPS = {"/console/finance/": ["admin", "finance"], "/console/ops/": ["admin", "ops"]}
# What stands for a part of an address that no attribute of a tenant has the name of.
PARTS = {"path": "nothing", "what": "invoices/{invoice_id}", "name": "{queue}", "number": "0", "position": "1"}
PARTS |= {"key_id": "{key_id}", "entry_id": "aud_1", "act": "cancel", "month": "2026-11"}
# Filters that name something of a tenant.
FILTERS = {"ids", "id", "dataset_id", "contract_id", "job_id", "project_id", "customer_id", "grant_id", "copy", "of"}


def list_routes() -> Iterator[tuple[str, ConsoleRoute]]:
    """List the routes of people who are signed in, each with a method of it."""
    for router in ROUTERS:
        for route in router.routes:
            if isinstance(route, ConsoleRoute):
                yield from ((method, route) for method in route.methods)


def find_expected_roles(path: str) -> list[str]:
    if path in OF_EVERYBODY:
        return EVERYBODY
    return next((roles for prefix, roles in GROUPS.items() if path.startswith(prefix)), ["customer"])


def fill(path: str, tenant: Tenant | None) -> str:
    """Write the address of a route with what a tenant has, or with what nobody has."""

    def find(found: re.Match[str]) -> str:
        name = found[1]
        if tenant is None:
            return "1" if name in {"number", "position"} else "nothing"
        return PARTS.get(name, f"{{{name}}}").format_map(vars(tenant))

    return re.sub(r"\{(\w+)(?::path)?\}", find, path)


def test_every_route_is_of_the_people_of_its_group_and_open_ones_are_few() -> None:
    for _method, route in list_routes():
        assert find_roles(route.dependant) == find_expected_roles(route.path), route.path
    others = {route.path for router in ROUTERS for route in router.routes if not isinstance(route, ConsoleRoute)}
    assert others == OPEN


@pytest.mark.parametrize("role", [None, "customer", "finance", "ops"])
async def test_no_route_opens_for_others_nor_takes_a_form_without_its_token(api: Api, role: str | None) -> None:
    async with visit(api.app) as nobody:
        await _knock(nobody, None) if role is None else await _knock_as(api, role)


async def _knock_as(api: Api, role: str) -> None:
    if role == "customer":
        async with sign_in_customer(api, (await make_customer(api))["id"]) as person:
            await _knock(person, role)
    else:
        async with sign_in_staff(api, role) as person:
            await _knock(person, role)


async def _knock(person: Person, role: str | None) -> None:
    for method, route in list_routes():
        if route.path == LIVE or (role in find_expected_roles(route.path) and method == "GET"):
            continue
        response = await person.http.request(method, fill(route.path, None))
        assert response.status_code == (303 if role is None else 403), (method, route.path)
        if role is None:
            assert response.headers["location"].startswith("/console/sign-in")


async def test_no_page_and_no_form_tells_another_tenants_things(api: Api, system: System) -> None:
    tenant = await make_tenant(api, system)
    async with sign_in_customer(api, (await make_customer(api))["id"]) as person:
        token = (await person.open("/console/keys")).hidden()["csrf"]
        for method, route in list_routes():
            if "customer" not in find_expected_roles(route.path) or route.path in {
                "/console/live",
                "/console/sign-out",
            }:
                continue
            named = {field.alias for field in route.dependant.query_params} & FILTERS
            sought = {name: vars(tenant).get(name, tenant.job_id) for name in named}
            response = await person.http.request(
                method, fill(route.path, tenant), params=sought, data={"csrf": token} if method != "GET" else None
            )
            assert response.status_code < 500, (method, route.path, response.text)
            asked = {*sought.values(), *fill(route.path, tenant).split("/")}
            assert not [mark for mark in tenant.marks() - asked if mark in response.text], route.path
            if "{" in route.path:
                assert response.status_code in {404, 405, 422}, (method, route.path, response.status_code)
