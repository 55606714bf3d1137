"""What a job goes through from its data to its invoice, in steps that may each be begun anew by another process.

A step is what one process does by itself: a request, a cycle, a sweep. Whatever became of it when its process died, it
is done again with the same key, the same interval, the same file; and then it was done once.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx

from broker.daemon.sweeps import Sweeps
from broker.execution.engine import Capacity
from broker.execution.relay import STOP
from broker.ids import new_id
from broker.scheduling.cycle.live import run_cycle
from broker.webhooks.composing import compose_events
from broker.webhooks.delivering import Deliverer
from tests.broker.adapter_files import safetensors_file
from tests.broker.conftest import ManualClock
from tests.broker.factories import CONFIG, Api, jsonl, usage_event, worker_api
from tests.broker.worker_calls import PaperEngine, make_agent
from tests.soak.mortal import Life, MortalEngine, MortalSender

GPU_SECONDS, TOKENS, BEATS = 20, 100, 2
SOURCE, METERED, MONTH, BILLED = "/inference/eu-1", 50_000, "2026-10", "6.00"
DEVICES = 8


@dataclass
class Outside:
    """What no process of the broker takes with it when it dies: the clock, the engine, what a receiver got."""

    clock: ManualClock
    engine: PaperEngine = field(default_factory=lambda: PaperEngine(offered=Capacity("cpu", DEVICES)))
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    admin: dict[str, str] = field(default_factory=dict)


@dataclass
class Story:
    """One customer's job, its order of hours, and a month of another contract's; `made` is what steps have made."""

    number: int
    outside: Outside
    customer_id: str
    contract_id: str
    metered_id: str
    made: dict[str, Any] = field(default_factory=dict)
    intervals: list[dict[str, Any]] = field(default_factory=list)

    @property
    def steps(self) -> list[tuple[str, Callable[[Life], Awaitable[None]]]]:
        """List the steps in their order, by name."""
        return [
            ("upload", self.upload),
            ("quote", self.quote),
            ("submit", self.submit),
            ("cycle", self.plan),
            ("launch", self.launch),
            ("claim", self.claim),
            *((f"heartbeat {number + 1}", lambda life, n=number: self.beat(life, n)) for number in range(BEATS)),
            ("checkpoint", self.save),
            ("adapter", self.hand_in),
            ("finish", self.finish),
            ("release", self.release),
            ("another job", self.submit_another),
            ("pause", lambda life: self.change(life, "pause")),
            ("resume", lambda life: self.change(life, "resume")),
            ("cancel", lambda life: self.change(life, "cancel")),
            ("order", self.order),
            ("payment", self.pay),
            ("usage from outside", self.meter),
            ("draft", self.draft),
            ("final invoice", self.finalize),
            ("credit note", self.credit),
            ("webhooks composed", self.compose),
            ("webhooks sent", self.tell),
            ("sweeps", self.sweep),
        ]

    @asynccontextmanager
    async def _api(self, life: Life) -> AsyncIterator[Api]:
        async with Api.connect(life.app, self.outside.admin["key"]) as api:
            yield api

    async def _post(self, life: Life, path: str, body: Any, what: str, *, expect: int = 200) -> Any:
        """Post under a key that is this story's and this step's, and keep the answer."""
        async with self._api(life) as api:
            self.made[what] = await api.post(path, body, expect=expect, key=f"{self.number} {what}")
            return self.made[what]

    async def upload(self, life: Life) -> None:
        async with self._api(life) as api:
            files, form = {"files": ("train.jsonl", jsonl())}, {"customer_id": self.customer_id}
            headers = {"Idempotency-Key": f"{self.number} upload"}
            answer = await api.call("POST", "/datasets", files=files, data=form, headers=headers, expect=201)
            self.made["dataset"] = answer.json()

    async def quote(self, life: Life) -> None:
        asked = {"config": CONFIG, "dataset_id": self.made["dataset"]["id"]}
        await self._post(life, "/quotes", asked, "quote", expect=201)

    async def submit(self, life: Life) -> None:
        body = {"config": CONFIG, "dataset_id": self.made["dataset"]["id"], "customer_id": self.customer_id}
        order = {**body, "quote_id": self.made["quote"]["id"], "contract_id": self.contract_id}
        await self._post(life, "/jobs", order, "job", expect=201)

    async def submit_another(self, life: Life) -> None:
        body = {"config": CONFIG, "dataset_id": self.made["dataset"]["id"], "customer_id": self.customer_id}
        await self._post(life, "/jobs", {**body, "contract_id": self.contract_id}, "another", expect=201)

    async def change(self, life: Life, action: str) -> None:
        await self._post(life, f"/jobs/{self.made['another']['id']}/{action}", {}, action)

    async def plan(self, life: Life) -> None:
        """Plan, with the agent's process registered as it is whenever one starts."""
        await make_agent(life.system, self._engine(life)).register()
        async with life.system.work() as work:
            await run_cycle(work)
        async with self._api(life) as api:
            job = await api.get(f"/jobs/{self.made['job']['id']}")
            assert job["status"] != "queued", (job["pending_reason"], await api.get("/pools"))
            self.made["run"] = (await api.get(f"/jobs/{job['id']}/runs"))["data"][-1]

    def _engine(self, life: Life) -> MortalEngine:
        return MortalEngine.reach(self.outside.engine, life.fate)

    async def launch(self, life: Life) -> None:
        agent = make_agent(life.system, self._engine(life))
        await agent.register()
        await agent.relay()

    @asynccontextmanager
    async def _worker(self, life: Life) -> AsyncIterator[Api]:
        async with worker_api(life.app, life.system, self.made["run"]["id"]) as api:
            yield api

    async def _report(self, life: Life, path: str, **fields: Any) -> Any:
        async with self._worker(life) as api:
            return await api.post(f"/runs/{self.made['run']['id']}/{path}", {"fence_token": 1, **fields})

    async def claim(self, life: Life) -> None:
        await self._report(life, "claim")

    async def beat(self, life: Life, number: int) -> None:
        """Report an interval, which was measured once, however often it is sent."""
        if len(self.intervals) == number:
            started_at = self.outside.clock.now
            self.outside.clock.advance(seconds=GPU_SECONDS)
            told = {"gpu_seconds": GPU_SECONDS, "tokens": TOKENS, "started_at": started_at}
            self.intervals.append(usage_event(self.made["run"]["id"], number, **told))
        progress = {"step": number + 1, "total_steps": BEATS}
        answer = await self._report(life, "heartbeats", progress=progress, usage=self.intervals[: number + 1])
        assert answer["acknowledged_sequence"] == number

    async def _put(self, life: Life, path: str, content: bytes) -> httpx.Response:
        headers = {"X-Fence-Token": "1", "X-Content-SHA256": hashlib.sha256(content).hexdigest()}
        async with self._worker(life) as api:
            path = f"/runs/{self.made['run']['id']}/{path}"
            return await api.call("PUT", path, content=content, headers=headers, expect=201)

    async def save(self, life: Life) -> None:
        await self._put(life, "checkpoints/1", b"state")

    async def hand_in(self, life: Life) -> None:
        await self._put(life, "adapter", safetensors_file())

    async def finish(self, life: Life) -> None:
        await self._report(life, "finish", outcome="succeeded", usage=self.intervals)
        self.outside.engine.alive.discard(self.made["run"]["id"])

    async def release(self, life: Life) -> None:
        """Have the engine told that the run has ended: until then its device is not given away."""
        agent = make_agent(life.system, self._engine(life))
        await agent.register()
        await agent.begin_relay()
        await agent.relays.settle(STOP)

    async def order(self, life: Life) -> None:
        await self._post(life, "/purchases", {"contract_id": self.contract_id, "gpu_hours": 10}, "order", expect=201)

    async def pay(self, life: Life) -> None:
        await self._post(life, f"/invoices/{self.made['order']['invoice_id']}/pay", {}, "payment")

    async def meter(self, life: Life) -> None:
        """Report last month's tokens of the other contract, as a meter does: by an id and without a key."""
        data = {"meter": "tokens", "quantity": METERED}
        event = {"specversion": "1.0", "type": "lora.usage.measured", "source": SOURCE, "data": data}
        event |= {"id": f"event-{self.number}", "subject": self.metered_id, "time": f"{MONTH}-20T04:00:00Z"}
        async with Api.connect(life.app, self.outside.admin["meter"]) as api:
            await api.call("POST", "/usage-events", json=[event], expect=202)

    async def draft(self, life: Life) -> None:
        await self._post(life, "/invoices", {"contract_id": self.metered_id, "month": MONTH}, "invoice", expect=201)

    async def finalize(self, life: Life) -> None:
        await self._post(life, f"/invoices/{self.made['invoice']['id']}/finalize", {}, "final")

    async def credit(self, life: Life) -> None:
        lines = [{"position": 1, "amount": "1.00"}]
        body = {"invoice_id": self.made["invoice"]["id"], "reason": "a slow day", "lines": lines}
        await self._post(life, "/credit-notes", body, "credit", expect=201)

    async def compose(self, life: Life) -> None:
        await compose_events(life.system)

    async def tell(self, life: Life) -> None:
        sender = MortalSender(sent=self.outside.got, fate=life.fate)
        await Deliverer(life.system, sender).deliver_due()

    async def sweep(self, life: Life) -> None:
        sweeps = Sweeps(life.system)
        for sweep in (sweeps.sweep_holds, sweeps.expire_grants, sweeps.sweep_purchases, sweeps.close_months):
            await sweep()

    async def check(self, life: Life) -> None:
        """Check that each step was done once, whoever died over it."""
        async with self._api(life) as api:
            job = await api.get(f"/jobs/{self.made['job']['id']}")
            assert (job["status"], job["attempts"]) == ("succeeded", 1), job
            assert (job["used_gpu_seconds"], job["used_tokens"]) == (BEATS * GPU_SECONDS, BEATS * TOKENS), job
            jobs = await api.get("/jobs", customer_id=self.customer_id)
            assert len(jobs["data"]) == 2, jobs
            assert (await api.get(f"/jobs/{self.made['another']['id']}"))["status"] == "cancelled"
            bought = await api.get("/purchases", contract_id=self.contract_id)
            assert [each["status"] for each in bought["data"]] == ["paid"], bought
            invoices = await api.get("/invoices", contract_id=self.metered_id)
            assert [each["total"]["amount"] for each in invoices["data"]] == [BILLED], invoices
            notes = await api.get("/credit-notes", invoice_id=self.made["invoice"]["id"])
            assert len(notes["data"]) == 1, notes
            adapters = await api.get("/adapters", customer_id=self.customer_id)
            assert len(adapters["data"]) == 1, adapters
            datasets = await api.get("/datasets", customer_id=self.customer_id)
            assert len(datasets["data"]) == 1, datasets
        launched = [spec.run_id for spec in self.outside.engine.launched]
        assert launched.count(self.made["run"]["id"]) == 1, "a run was started twice"


async def begin_story(number: int, outside: Outside, life: Life) -> Story:
    """Sign the contracts of a story, and have its customer's program listen."""
    async with Api.connect(life.app, outside.admin["key"]) as api:
        customer = (await api.post("/customers", {"name": f"Customer {number}"}, expect=201))["id"]
        terms = {"customer_id": customer, "plan": "on_demand"}
        contract = await api.post("/contracts", {**terms, "starts_at": "2026-11-01T00:00:00Z"}, expect=201)
        metered = await api.post("/contracts", {**terms, "starts_at": "2026-10-01T00:00:00+08:00"}, expect=201)
        hook = {"customer_id": customer, "name": "CI", "url": "https://hooks.example.com/lora"}
        await api.post("/webhook-endpoints", hook, expect=201)
    return Story(number, outside, customer, contract["id"], metered["id"])


async def open_outside(life: Life, clock: ManualClock, admin_key: str) -> Outside:
    """Register the meter, whose key is its own."""
    outside = Outside(clock, admin={"key": admin_key})
    async with Api.connect(life.app, admin_key) as api:
        await api.post("/usage-sources", {"source": SOURCE, "name": "Inference"}, expect=201)
        made = await api.post("/api-keys", {"name": new_id("key"), "role": "meter"}, expect=201)
    outside.admin["meter"] = made["key"]
    return outside
