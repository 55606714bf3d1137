"""What goes on in a town at once: customers who submit, finance that sells and invoices, people who look at pages.

Each is a thread that never stops: what was killed under it is asked again with its key. An answer of 500 is a fault of
the broker whatever was killed: 503 is how it says that something is away.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx2 as httpx

from broker.client.errors import ApiError, NotReachable
from broker.client.rest import Client
from tests.broker.served import Buyer, make_buyer
from tests.broker.shopping import MOST_OPEN, Shopper
from tests.pages.pages import list_pages
from tests.soak.town import Town

READS = ("finance", "ops")
PLANS = ("on_demand", "prepaid", "on_demand")
BROKEN = 500
SOURCE = "/inference/soak"
EVENTS, TOKENS_OF_EVENT = 12, 50_000
BILLED = "72.00"  # 12 × 50,000 tokens at 0.00012
SECONDS_TO_REPEAT = 0.05
# So long each thread may take for its last answer.
LAST_ANSWER_SECONDS = 240.0


@dataclass
class Soaked(threading.Thread):
    """A thread of the traffic: acts until it is done, and keeps what broke it and which answers of 500 it got."""

    town: Town
    rng: random.Random
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    broken: list[str] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)
        self.clients = [self.town.connect(number) for number in range(len(self.town.brokers))]

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.act()
        except BaseException as error:  # noqa: BLE001 (told by the soak's own thread)
            self.error = error
        finally:
            for client in self.clients:
                client.http.close()

    def act(self) -> None:
        raise NotImplementedError

    def insist(self, method: str, path: str, body: Any, key: str = "") -> Any:
        """Ask one broker or the other until one answers; a problem of the request itself is raised."""
        while True:
            client = self.rng.choice(self.clients)
            try:
                if method == "POST":
                    return client.post(path, body, idempotency_key=key)
                return client.put(path, body)
            except ApiError as error:
                if error.status < BROKEN:
                    raise
                if error.status == BROKEN:
                    self.broken.append(f"{method} {path}: {error.problem}")
            except NotReachable:
                pass
            time.sleep(SECONDS_TO_REPEAT)


@dataclass
class SoakShopper(Shopper):
    """A customer, as in the test of twenty kills, who notes answers of 500."""

    broken: list[str] = field(default_factory=list)

    __hash__ = Shopper.__hash__

    def note_failure(self, path: str, error: ApiError) -> None:
        if error.status == BROKEN:
            self.broken.append(f"POST {path}: {error.problem}")


@dataclass
class Finance(Soaked):
    """Sells hours that Stripe collects, and invoices last month's usage, which a meter sends more than once."""

    buyers: list[Buyer] = field(default_factory=list)
    meter: Client | None = None
    purchases: list[str] = field(default_factory=list)
    billed: list[str] = field(default_factory=list)
    number: int = 0

    __hash__ = Soaked.__hash__

    def act(self) -> None:
        self.number += 1
        if self.rng.random() < 0.5:
            self.sell()
        else:
            self.invoice_a_month()
        time.sleep(self.rng.uniform(0.2, 1.0))

    def sell(self) -> None:
        buyer = self.rng.choice(self.buyers)
        order = {"contract_id": buyer.contract_id, "gpu_hours": 10}
        made = self.insist("POST", "/purchases", order, f"purchase-{self.number}")
        self.purchases.append(made["id"])
        self.counted["hours sold"] += 10

    def invoice_a_month(self) -> None:
        """Sign a contract that began two months ago, meter last month's tokens, draft, and make the invoice final."""
        name, month = f"month-{self.number}", last_month(datetime.now(UTC))
        customer = self.insist("POST", "/customers", {"name": name}, f"{name}-customer")["id"]
        terms = {"customer_id": customer, "plan": "on_demand", "starts_at": f"{month}-01T00:00:00+08:00"}
        contract = self.insist("POST", "/contracts", terms, f"{name}-contract")["id"]
        events = [write_event(f"{name}-{number}", contract, month) for number in range(EVENTS)]
        self.send(events)
        self.send(self.rng.sample(events, EVENTS // 3))
        draft = self.insist("POST", "/invoices", {"contract_id": contract, "month": month}, f"{name}-draft")
        final = self.insist("POST", f"/invoices/{draft['id']}/finalize", {}, f"{name}-final")
        assert final["total"]["amount"] == BILLED, (final["id"], final["total"])
        if self.rng.random() < 0.5:
            self.insist("POST", f"/invoices/{final['id']}/pay", {}, f"{name}-paid")
        self.billed.append(final["id"])

    def send(self, events: list[dict[str, Any]]) -> None:
        """Send events as a meter does, until the answer says that each was taken, now or before."""
        assert self.meter is not None
        while True:
            try:
                answer = self.meter.http.post("/v1/usage-events", json=events)
            except httpx.TransportError:
                time.sleep(SECONDS_TO_REPEAT)
                continue
            if answer.is_success:
                assert answer.json()["rejected"] == 0, answer.text
                self.counted["events sent"] += len(events)
                return
            if answer.status_code == BROKEN:
                self.broken.append(f"POST /usage-events: {answer.text}")
            assert answer.status_code >= BROKEN or answer.status_code == 429, answer.text
            time.sleep(SECONDS_TO_REPEAT)


@dataclass
class Reader(Soaked):
    """Looks at one page of the console after the other, as finance and as ops, and at `/metrics`."""

    key: str = ""
    pages: list[str] = field(default_factory=list)
    session: httpx.Client | None = None

    __hash__ = Soaked.__hash__

    def act(self) -> None:
        url = self.rng.choice(self.town.brokers).url
        try:
            with httpx.Client(base_url=url, timeout=30, verify=False) as http:
                http.post("/console/sign-in", data={"key": self.key})
                for page in self.rng.sample(self.pages, 4):
                    self.look(http, page)
                self.look(http, "/metrics")
        except httpx.TransportError:
            self.counted["pages not reached"] += 1
        time.sleep(self.rng.uniform(0.1, 0.4))

    def look(self, http: httpx.Client, page: str) -> None:
        answer = http.get(page)
        self.counted["pages"] += 1
        if answer.status_code == BROKEN:
            self.broken.append(f"GET {page}: {answer.text[:2000]}")


def last_month(now: datetime) -> str:
    """Write the billing month before this one."""
    first = now.astimezone(ZoneInfo("Asia/Shanghai")).replace(day=1)
    return f"{first - timedelta(days=1):%Y-%m}"


def write_event(name: str, contract_id: str, month: str) -> dict[str, Any]:
    data = {"meter": "tokens", "quantity": TOKENS_OF_EVENT}
    attributes = {"specversion": "1.0", "type": "lora.usage.measured", "id": name, "source": SOURCE}
    return {**attributes, "subject": contract_id, "time": f"{month}-15T04:00:00Z", "data": data}


@dataclass
class Traffic:
    """All threads of a town's traffic."""

    shoppers: list[SoakShopper]
    finance: Finance
    readers: list[Reader]

    @property
    def threads(self) -> list[Any]:
        return [*self.shoppers, self.finance, *self.readers]

    @property
    def broken(self) -> list[str]:
        """List the answers of 500, of which there is none where all is well."""
        return [each for thread in self.threads for each in thread.broken]

    @property
    def accepted(self) -> list[str]:
        return [job_id for shopper in self.shoppers for job_id in shopper.accepted.values()]

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def raise_errors(self) -> None:
        """Raise what broke a thread, if anything did."""
        for thread in self.threads:
            if thread.error is not None:
                raise thread.error

    def stop(self, seconds: float = LAST_ANSWER_SECONDS) -> None:
        """Stop all threads; each first gets its last answer."""
        for thread in self.threads:
            thread.done.set()
        for thread in self.threads:
            thread.join(seconds)
            assert not thread.is_alive(), f"{thread} never got its answer"
        assert self.finance.meter is not None
        self.finance.meter.http.close()
        self.raise_errors()


def open_traffic(
    town: Town, seed: int, folder: Path, *, most_open: int = MOST_OPEN, roles: Sequence[str] = READS
) -> Traffic:
    """Make customers with contracts, data, endpoints and a meter, and the threads, not yet started.

    No customer has more than `most_open` jobs that have not ended. Pages are read as each of the roles.
    """
    with town.connect() as client:
        buyers = [make_buyer(client, folder, plan=plan) for plan in PLANS]
        prepaid = [buyer for buyer, plan in zip(buyers, PLANS, strict=True) if plan == "prepaid"]
        for buyer in prepaid:
            client.put(f"/stripe/customers/{buyer.customer_id}", {"collects": True})
        listen(town, client, buyers)
        client.post("/usage-sources", {"source": SOURCE, "name": "Inference"})
        keys = {role: client.post("/api-keys", {"name": role, "role": role})["key"] for role in ("meter", *roles)}
    shoppers = [
        SoakShopper(town.connect(number % 2), random.Random(f"{seed} {number}"), buyer, most_open=most_open)
        for number, buyer in enumerate(buyers)
    ]
    meter = Client(town.first.url, keys["meter"])
    finance = Finance(town, random.Random(f"{seed} finance"), buyers=prepaid, meter=meter)
    return Traffic(shoppers, finance, [make_reader(town, role, keys[role], seed) for role in roles])


def make_reader(town: Town, role: str, key: str, seed: int) -> Reader:
    pages = [page.path for page in list_pages() if page.role == role and not page.needs_something]
    return Reader(town, random.Random(f"{seed} {role}"), key=key, pages=pages)


def listen(town: Town, client: Client, buyers: list[Buyer]) -> None:
    """Have each customer's program listen to all that there is to be told."""
    secrets = {}
    for number, buyer in enumerate(buyers):
        url = f"http://127.0.0.1:{town.receiver.port}/hooks/{number}"
        made = client.post("/webhook-endpoints", {"customer_id": buyer.customer_id, "name": "soak", "url": url})
        secrets[str(number)] = made["secret"]
        town.write_secrets(secrets)
