"""Every list of the API asks the database as often where there is more of everything, whoever added it."""

import re

from fastapi import FastAPI

from broker.system import System
from tests.broker.console.copies import copy_rows
from tests.broker.databases import LentDatabase
from tests.broker.factories import CONFIG, Api
from tests.broker.http.test_every_route import OF_OTHERS
from tests.broker.http.test_paging import counted
from tests.broker.tenants import Tenant, make_tenant

# What stands for a parameter of a path where the tenant's own attribute of that name is not meant.
PARAMETERS = {"invoice_id": "credited_invoice_id"}
# Of the installation's pools, which no tenant has.
OF_POOLS = frozenset({"/v1/pools/{name}/cost-rates"})


def list_paths(app: FastAPI) -> list[str]:
    """List the addresses of all lists that have pages."""
    return [
        path
        for path, item in app.openapi()["paths"].items()
        if {"cursor"} & {each["name"] for each in item.get("get", {}).get("parameters", [])}
        and not path.startswith(OF_OTHERS)
        and path not in OF_POOLS
    ]


async def count_statements(api: Api, system: System, paths: list[str], tenant: Tenant) -> dict[str, tuple[int, int]]:
    """Count the statements and rows of each list once what is read but once has been read."""
    counts = {}
    for path in paths:
        address = re.sub("{(.*?)}", lambda found: getattr(tenant, PARAMETERS.get(found[1], found[1])), path)
        await api.call("GET", address.removeprefix("/v1"), expect=200)
        with counted(system) as statements:
            listed = (await api.call("GET", address.removeprefix("/v1"), expect=200)).json()
        counts[path] = (len(statements), len(listed["data"]))
    return counts


async def test_no_list_asks_more_often_where_there_is_more_of_everything(
    api: Api, system: System, started: LentDatabase, routed_app: FastAPI
) -> None:
    paths, tenant = list_paths(routed_app), await make_tenant(api, system)
    before = await count_statements(api, system, paths, tenant)
    copy_rows(started.urls.owner, tenant.customer_id)
    for number in range(3):  # their names are unique
        more = {"project_id": tenant.project_id, "name": f"style-{number}", "config": CONFIG}
        await api.post("/templates", more, expect=201)
        await api.post(f"/templates/{tenant.template_id}/versions", {"config": CONFIG}, expect=201)
    after = await count_statements(api, system, paths, tenant)
    grown = [path for path in paths if after[path][1] > before[path][1]]
    assert len(grown) >= 20
    assert {"/v1/templates", "/v1/templates/{template_id}/versions", "/v1/environments", "/v1/uploads"} <= set(grown)
    assert {path: (before[path], after[path]) for path in paths if after[path][0] > before[path][0]} == {}
