"""How many quotes a second one broker answers, to four connections at once over loopback.

It is `broker serve --workers N` with a process for each core, which share the cores with PostgreSQL and the load
generator. Beside it, in the same run and from the same load generator, stands an empty FastAPI handler in as many
processes under the same server settings, which is the most that any answer of this stack could reach. Each quote is for
another configuration, of a data set known before; each is authenticated, kept, and committed to the disk. A batch
quotes 50 configurations in one request and one transaction; its rate is that of the quotes in it. 500 a second, the
requirement's own number, is a limit for this machine: machines differ threefold, their ratios do not.
"""

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.load import CONNECTIONS, Target, measure_rate
from benchmarks.machine import count_cores
from benchmarks.measuring import UNREACHED
from benchmarks.row import Row
from benchmarks.waiting import wait_for_processes, wait_until_answers
from broker.client.rest import Client
from tests.broker.served import Buyer, ServedBroker, free_port, make_buyer

LIMIT = 500.0
PEER = "empty FastAPI handler"
LOOK = "GET /readyz, a look into the database"
PROCESSES = count_cores()
QUOTES = f"quotes, {CONNECTIONS} connections, {PROCESSES} processes"
# What an answer may cost: one that reads the database ten empty ones, one that commits to it, fsync and all, twenty.
LOOK_SHARE_OF_EMPTY, QUOTE_SHARE_OF_EMPTY = 0.1, 0.05


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(Path(folder) / "var", {**UNREACHED, "local_slots": "0", "workers": str(PROCESSES)})
        try:
            broker.start()
            wait_for_processes(broker, PROCESSES)
            look, quotes, batched = measure_broker(broker, Path(folder))
            broker.terminate()
        finally:
            broker.close()
    with empty_handler() as port:
        empty = measure_rate(Target(port, "/"))
    return [
        Row(QUOTES, "1/s", quotes, "limit of 500/s for this machine", LIMIT, 1.0, better="higher"),
        Row(QUOTES, "1/s", quotes, PEER, empty, QUOTE_SHARE_OF_EMPTY, better="higher"),
        Row("quotes in batches of 50", "1/s", batched, PEER, empty, QUOTE_SHARE_OF_EMPTY, better="higher"),
        Row(LOOK, "1/s", look, PEER, empty, LOOK_SHARE_OF_EMPTY, better="higher"),
    ]


def measure_broker(broker: ServedBroker, folder: Path) -> tuple[float, float, float]:
    """Answers a second of `GET /readyz`; quotes a second by a customer's own key, one by one and in batches."""
    with Client(broker.url, broker.admin_key()) as client:
        buyer = make_buyer(client, folder)
        key = client.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "load"})
    orders = list_orders(buyer)
    batch = {"configs": [order["config"] for order in orders], "dataset_id": buyer.dataset_id}
    return (
        measure_rate(Target(broker.port, "/readyz")),
        measure_rate(Target(broker.port, "/v1/quotes", 201, key["key"], orders)),
        len(orders) * measure_rate(Target(broker.port, "/v1/quotes/batch", 200, key["key"], [batch])),
    )


def list_orders(buyer: Buyer) -> list[dict[str, Any]]:
    config = buyer.order()["config"]
    return [{"config": config | {"epochs": epochs}, "dataset_id": buyer.dataset_id} for epochs in range(1, 51)]


@contextmanager
def empty_handler() -> Iterator[int]:
    """Its port, for as long as the block lasts."""
    port = free_port()
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.empty_handler", str(port), str(PROCESSES)])
    try:
        wait_until_answers(f"http://127.0.0.1:{port}/")
        yield port
    finally:
        process.terminate()
        process.wait()
