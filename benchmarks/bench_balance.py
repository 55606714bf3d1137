"""How many balances a second one broker answers: `GET /v1/contracts/{id}/balance`, by the customers' own keys.

It is `broker serve --workers N` with a process for each core. Each contract has a grant, a monthly budget and live
jobs, so that all that a balance tells is there to be read. The peer is an empty FastAPI handler with one SELECT, in as
many processes, on the same PostgreSQL, under the same load.
"""

from pathlib import Path

from benchmarks.load import Target
from benchmarks.measuring import Measured, measure_broker, measure_peer, serve_broker
from benchmarks.row import Row
from broker.client.rest import Client
from tests.broker.served import ServedBroker, make_buyer

CONTRACTS, CONNECTIONS_EACH, JOBS = 4, 4, 3
SHARE_OF_PEER = 0.3
PEER = "empty handler with a SELECT"


def measure() -> list[Row]:
    with serve_broker() as (broker, folder):
        targets = aim(broker, folder)
        ours, peer = measure_broker(broker, targets), measure_peer(broker, targets)
    return list_rows(ours, peer)


def list_rows(ours: Measured, peer: Measured) -> list[Row]:
    effort = f"{ours.effort.program_ms:.2f} + {ours.effort.database_ms:.2f} ms broker + PostgreSQL"
    effort += f"; peer {peer.effort.program_ms:.2f} + {peer.effort.database_ms:.2f}"
    name = f"balances, {CONTRACTS * CONNECTIONS_EACH} connections ({effort})"
    return [Row(name, "1/s", ours.load.rate, PEER, peer.load.rate, SHARE_OF_PEER, better="higher")]


def aim(broker: ServedBroker, folder: Path) -> list[Target]:
    targets = []
    with Client(broker.url, broker.admin_key()) as client:
        for _ in range(CONTRACTS):
            buyer = make_buyer(client, folder, plan="prepaid", monthly_budget="10000.00")
            for _ in range(JOBS):
                client.post("/jobs", buyer.order())
            key = client.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "load"})["key"]
            path = f"/v1/contracts/{buyer.contract_id}/balance"
            targets += [Target(broker.port, path, token=key)] * CONNECTIONS_EACH
    return targets
