"""The demo's three customers with their contracts and keys: made on the first run, found again on the next."""

from dataclasses import dataclass
from typing import Any

from broker.cli.demo.stage import Stage
from broker.client.objects.contracts import Contract
from broker.client.typed import BrokerClient

NAMES = {
    "on_demand": "Harbour Press",
    "prepaid": "Slowferry",
    "long_term": "Northlight Studios",
}
COMMITTED_HOURS = {"on_demand": 0, "prepaid": 500, "long_term": 2000}
PROJECT = "brand-tone"


@dataclass(frozen=True)
class DemoCustomer:
    """One customer as the demo plays it: ids and a key of its own."""

    id: str
    name: str
    contract: Contract
    project_id: str
    client: BrokerClient


def meet_customer(stage: Stage, admin: BrokerClient, finance: BrokerClient, plan: str) -> DemoCustomer:
    """Sign the customer up, or find it from an earlier demo; pay its advance invoice where that is open."""
    customer = _find(admin, "/customers", "name", NAMES[plan]) or admin.post("/customers", {"name": NAMES[plan]})
    found = _find(admin, "/contracts", "customer_id", customer["id"]) or _sign(admin, customer["id"], plan)
    contract = admin.get_contract(found["id"])
    _pay_advance(stage, finance, contract)
    made = admin.post(f"/customers/{customer['id']}/api-keys", {"name": "demo"})
    client = BrokerClient(stage.url, made["key"])
    project = _find(client, "/projects", "name", PROJECT) or client.post("/projects", {"name": PROJECT})
    return DemoCustomer(customer["id"], customer["name"], contract, project["id"], client)


def _find(client: BrokerClient, path: str, field: str, value: str) -> dict[str, Any] | None:
    return next((item for item in client.list_all(path) if item[field] == value), None)


def _sign(admin: BrokerClient, customer_id: str, plan: str) -> dict[str, Any]:
    """Sign a contract that caps its jobs: on a busy machine, or after the demo's crash, they outlast their quotes."""
    terms = {"plan": plan, "committed_gpu_hours": COMMITTED_HOURS[plan], "quote_guarantee": "cap"}
    signed: dict[str, Any] = admin.post("/contracts", {"customer_id": customer_id, **terms})
    return signed


def _pay_advance(stage: Stage, finance: BrokerClient, contract: Contract) -> None:
    for invoice in finance.list_all("/invoices", contract_id=contract["id"]):
        if invoice["kind"] != "advance":
            continue
        stage.check(invoice["total"]["amount"] == "2600.00", "advance invoice for 500 GPU-hours: 2,600.00 CNY")
        if invoice["status"] == "open":
            finance.post(f"/invoices/{invoice['id']}/pay")
            stage.console.print(f"    finance marked {invoice['number']} as paid")


def make_staff_client(stage: Stage, admin: BrokerClient, role: str) -> BrokerClient:
    return BrokerClient(stage.url, admin.post("/api-keys", {"name": f"demo {role}", "role": role})["key"])
