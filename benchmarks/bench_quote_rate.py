"""How many quotes a second one broker answers, to four clients at once over loopback.

Peer: `GET /readyz` of the same server, the least that an answer with a look into the database costs. A quote checks the
key, reads rate card, pool, data set and past runs, estimates, prices three plans, writes the quote, and commits it to
the disk: some ten statements beside the one of the peer. The bar of 0.25 says that all this may cost as much as four
such looks and no more: the estimate itself must not show. Each quote is for another configuration, of a data set known
before.
"""

import itertools
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.row import Row
from broker.client import Client
from tests.broker.served import Buyer, ServedBroker, make_buyer

CLIENTS = 4
SECONDS = 4.0
BAR = 0.25

Act = Callable[[Client], None]


def measure() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="lora-broker-bench-", ignore_cleanup_errors=True) as folder:
        broker = ServedBroker(Path(folder) / "var", {"local_slots": "0"})
        try:
            broker.start()
            with Client(broker.url, broker.admin_key()) as client:
                quote = quoting(make_buyer(client, Path(folder)))
                quote(client)  # the tokenizer is loaded and the rows are counted once
            look = count_rate(broker, lambda client: client.http.get("/readyz").raise_for_status() and None)
            quotes = count_rate(broker, quote)
            broker.terminate()
        finally:
            broker.close()
    return [
        Row(f"quotes, {CLIENTS} clients", "1/s", quotes, "GET /readyz of the same server", look, BAR, better="higher")
    ]


def quoting(buyer: Buyer) -> Act:
    epochs = itertools.count(1)

    def quote(client: Client) -> None:
        config = buyer.order()["config"] | {"epochs": next(epochs) % 50 + 1}
        client.post("/quotes", {"config": config, "dataset_id": buyer.dataset_id})

    return quote


def count_rate(broker: ServedBroker, act: Act) -> float:
    """Answers a second of `CLIENTS` clients that each ask again at once."""
    counts = [0] * CLIENTS
    begin = threading.Barrier(CLIENTS)

    def ask(number: int) -> None:
        with Client(broker.url, broker.admin_key()) as client:
            act(client)  # the connection is there
            begin.wait()
            deadline = time.monotonic() + SECONDS
            while time.monotonic() < deadline:
                act(client)
                counts[number] += 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS
