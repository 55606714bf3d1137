"""A client that never stops to submit, pause, resume and cancel, whoever is killed meanwhile; and its jobs' ends."""

import random
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from broker.client.errors import ApiError, NotReachable
from broker.client.rest import Client
from tests.broker.served import Buyer

MOST_OPEN = 8  # of one client: more would only wait for a slot, and the test at its end for all of them
SETTLE_SECONDS = 240  # for one job to end, of however many are left
NOT_ENDED = ("queued", "dispatched", "running", "paused")
TERMINAL = {"succeeded", "failed", "cancelled"}


@dataclass
class Shopper(threading.Thread):
    """A client that never stops: each request is repeated with its key until the broker has answered it."""

    client: Client
    rng: random.Random
    buyer: Buyer
    accepted: dict[str, str] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None
    most_open: int = MOST_OPEN

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    def __hash__(self) -> int:
        return id(self)

    def run(self) -> None:
        try:
            while not self.done.is_set():
                self.shop()
                time.sleep(self.rng.uniform(0.1, 0.5))
        except BaseException as error:  # noqa: BLE001 (told by the test's own thread)
            self.error = error
        finally:
            self.client.http.close()

    def shop(self) -> None:
        key, left = f"{self.buyer.customer_id}-{len(self.accepted)}", self.list_open()
        if len(left) < self.most_open:
            job = self.insist("/jobs", self.buyer.order(), key)
            self.accepted[key] = job["id"]
        if self.rng.random() < 0.5:
            time.sleep(self.rng.uniform(0, 1))
            action = self.rng.choice(["cancel", "pause", "pause", "resume", "resume"])
            chosen = self.rng.choice([*list(self.accepted.values())[-8:], *left])
            self.insist(f"/jobs/{chosen}/{action}", {}, f"{key}-{action}-{self.rng.random()}")

    def list_open(self) -> list[str]:
        """List the newest jobs that have not ended; none while the broker is away: something is always asked of it."""
        with suppress(ApiError, NotReachable):
            newest = self.client.get("/jobs", customer_id=self.buyer.customer_id, limit=100)["data"]
            return [job["id"] for job in newest if job["status"] not in TERMINAL]
        return []

    def insist(self, path: str, body: dict[str, Any], key: str) -> Any:
        """Post until there is an answer; a 409 is one too: the job had moved on."""
        while True:
            try:
                return self.client.post(path, body, idempotency_key=key)
            except ApiError as error:
                if error.status == 409:
                    return error.problem
                if error.status < 500:
                    raise
                self.note_failure(path, error)
            except NotReachable:
                pass
            time.sleep(0.05)

    def note_failure(self, path: str, error: ApiError) -> None:
        """Pass over an answer that says that the broker cannot do it now."""


def wait_for_ends(client: Client) -> list[dict[str, Any]]:
    """All jobs, once each has ended; what is paused is resumed first.

    However many wait after the last kill, and however slow the machine is: as long as one after the other ends, none is
    stuck. A hundred kills left 11 within a bound for all of them.
    """
    left, since = -1, time.monotonic()
    while True:
        waiting = [job for status in NOT_ENDED for job in client.list_all("/jobs", status=status)]
        for job in waiting:
            if job["status"] == "paused":
                client.post(f"/jobs/{job['id']}/resume")
        if not waiting:
            jobs = list(client.list_all("/jobs"))
            if all(job["status"] in TERMINAL for job in jobs):  # none went from one status to another meanwhile
                return jobs
        if len(waiting) != left:
            left, since = len(waiting), time.monotonic()
        if time.monotonic() - since > SETTLE_SECONDS:
            pytest.fail(f"none of {left} jobs ended in {SETTLE_SECONDS} s: {list(map(describe_stuck, waiting))}")
        time.sleep(0.5)


def describe_stuck(job: dict[str, Any]) -> dict[str, Any]:
    """Say of a job that does not end where it is, why it waits, and how far it came."""
    return {name: job.get(name) for name in ("id", "status", "attempts", "pending_reason", "progress", "error")}
