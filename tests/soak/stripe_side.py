"""Stripe's side as a process that can be killed: the fake of the tests, whose account is on disk before it answers.

    python -m tests.soak.stripe_side FOLDER PORT BROKER_URL…

It pays invoices that are open, after a while, and sends each event until it is answered. What was done and not yet
written as it died was told to nobody, and is undone: an account at Stripe forgets nothing either. Its journal of
payments, which nothing takes back, is what the soak's end is judged by.
"""

import json
import pickle
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any

import httpx2 as httpx
from stripe import WebhookSignature

from tests.broker.payments.stripe.fake.account import Account
from tests.broker.payments.stripe.fake.server import WEBHOOK_SECRET, Connection, FakeStripe

KEPT = ("customers", "invoices", "credit_notes", "payments", "refunds", "disputes", "events")
LOOK_SECONDS = 0.2
PAYS_PER_LOOK = 0.3


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class StripeSide:
    """The account, its file, and which of its events the broker has answered."""

    folder: Path
    brokers: list[str]
    fake: FakeStripe = field(default_factory=lambda: FakeStripe(Account(now)))
    answered: set[str] = field(default_factory=set)

    @property
    def file(self) -> Path:
        return self.folder / "account.pickle"

    def load(self) -> None:
        if self.file.exists():
            kept = pickle.loads(self.file.read_bytes())
            for name in KEPT:
                setattr(self.fake.account, name, kept[name])
            self.fake.account.counter = count(kept["next"])
            self.fake.saved, self.answered = kept["saved"], kept["answered"]

    def keep(self) -> None:
        """Write the account whole or not at all; what was told to nobody before is safe from then on."""
        with self.fake.lock:
            account = self.fake.account
            number = next(account.counter)
            kept = {name: getattr(account, name) for name in KEPT}
            kept |= {"next": number + 1, "saved": self.fake.saved, "answered": self.answered}
            aside = self.file.with_suffix(".part")
            aside.write_bytes(pickle.dumps(kept))
            aside.replace(self.file)
            self.fake.calls.clear()

    def pay_and_tell(self, rng: random.Random) -> None:
        """Pay some of what is open as its customers would, and tell of what has happened, in no order."""
        with self.fake.lock:
            due = [each["id"] for each in self.fake.account.invoices.values() if each["status"] == "open"]
            for invoice_id in due:
                if rng.random() < PAYS_PER_LOOK:
                    self.fake.account.pay(invoice_id)
            self.keep()
            untold = [event for event in self.fake.account.events if event["id"] not in self.answered]
        rng.shuffle(untold)
        for event in untold:
            self.tell(event, rng)

    def tell(self, event: dict[str, Any], rng: random.Random) -> None:
        """Send an event, now and then twice; it counts as answered where the answer says so."""
        body = json.dumps(event)
        for _time in range(2 if rng.random() < 0.1 else 1):
            headers = {"Stripe-Signature": WebhookSignature.generate_signature_header(body, WEBHOOK_SECRET)}
            url = f"{rng.choice(self.brokers)}/v1/webhooks/stripe"
            try:
                answer = httpx.post(url, content=body, headers=headers, timeout=10, verify=False)
            except httpx.HTTPError:
                return
            if answer.is_success:
                self.answered.add(event["id"])


def main(folder: str, port: str, *brokers: str) -> None:
    side = StripeSide(Path(folder), list(brokers))
    side.load()
    side.fake.after_call = lambda _method, _path: side.keep()
    server = ThreadingHTTPServer(("127.0.0.1", int(port)), type("OwnConnection", (Connection,), {"fake": side.fake}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    rng = random.Random()
    while True:
        side.pay_and_tell(rng)
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(*sys.argv[1:])
