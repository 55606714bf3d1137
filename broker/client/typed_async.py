"""The API by name for programs that await; made of `typed` by `tests/broker/client/async_twin.py`, not edited."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

from broker.client.errors import ApiError, NotReachable
from broker.client.objects.arrears import Arrears, ArrearsWithHistory, CustomerArrears, NoticeContact, SentNotice
from broker.client.objects.contracts import (
    Balance,
    Contract,
    ContractQuota,
    Grant,
    Identity,
    Project,
    Purchase,
    RateCard,
)
from broker.client.objects.jobs import (
    Adapter,
    ChangedJob,
    Checkpoint,
    Job,
    JobBatch,
    JobDetail,
    JobEvent,
    JobsAhead,
    JobWhy,
    LogLine,
    Losses,
    Notice,
    Run,
    Usage,
)
from broker.client.objects.operations import AuditEntry, Overview, Pool, Queue, Standing, Undone
from broker.client.objects.payments import Payment, PaymentImport
from broker.client.objects.quotes import BaseModel, CaptionEdit, Dataset, Picture, Quote, QuoteAnswer
from broker.client.objects.simulations import QueueSimulation
from broker.client.objects.values import Page
from broker.client.objects.webhooks import (
    Event,
    NewWebhookEndpoint,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookReplay,
)
from broker.client.rest_async import COUNTING, AsyncClient
from broker.client.transfers import Progress

EVENTS_A_PAGE = 100
LONGEST_COUNTING_PAUSE_SECONDS = 5.0
RESTS = frozenset({"succeeded", "failed", "cancelled", "paused"})


class AsyncBrokerClient(AsyncClient):
    """One API key at one broker. Each call raises: ApiError, NotReachable."""

    async def whoami(self) -> Identity:
        """Tell whose key this is, and what it may do."""
        return cast("Identity", await self.get("/whoami"))

    async def upload_dataset(
        self,
        paths: Sequence[Path],
        *,
        name: str | None = None,
        customer_id: str | None = None,
        progress: Progress | None = None,
    ) -> Dataset:
        """Send files as one data set; `customer_id` is needed with a staff key. Raises also: OSError.

        `progress` is told the bytes that are sent, and those in all.
        """
        sent = await super().upload_dataset(paths, name=name, customer_id=customer_id, progress=progress)
        return cast("Dataset", sent)

    async def list_datasets(self, **wanted: Any) -> Page[Dataset]:
        """List data sets: a page of `limit`, from `cursor` on, by `id_prefix`, `name` and so on."""
        return cast("Page[Dataset]", await self.get("/datasets", **wanted))

    async def get_dataset(self, dataset_id: str) -> Dataset:
        """Get a data set with its quality report."""
        return cast("Dataset", await self.get(f"/datasets/{dataset_id}"))

    async def delete_dataset(self, dataset_id: str) -> None:
        """Delete a data set and its bytes; what was trained on it, and billed, stays."""
        await self.delete(f"/datasets/{dataset_id}")

    async def list_pictures(self, dataset_id: str, **wanted: Any) -> Page[Picture]:
        """List pictures with their captions: a page of `limit`, from `cursor` on, by `captioned` and `search`."""
        return cast("Page[Picture]", await self.get(f"/datasets/{dataset_id}/pictures", **wanted))

    async def edit_captions(self, dataset_id: str, edit: Mapping[str, Any]) -> CaptionEdit:
        """Edit captions, which makes the data set's next version; with `dry_run`, only tell what would change."""
        return cast("CaptionEdit", await self.post(f"/datasets/{dataset_id}/captions", dict(edit)))

    async def list_base_models(self, **wanted: Any) -> Page[BaseModel]:
        """List base models by name: a page of `limit`, from `cursor` on; with `can_be_quoted`, those alone."""
        return cast("Page[BaseModel]", await self.get("/base-models", **wanted))

    async def create_quote(
        self,
        config: Mapping[str, Any],
        dataset_id: str,
        *,
        max_cost: str | None = None,
        contract_id: str | None = None,
        project_id: str | None = None,
        gpus: int | None = None,
        template: str | None = None,
        on_counting: Callable[[int, int], None] | None = None,
    ) -> Quote:
        """Ask what a job will need and cost on so many `gpus`; with `max_cost`, how far that sum carries it.

        With a `template`, `config` has what is changed of it.

        While the tokens of a large data set are being counted it waits; `on_counting` is told the rows counted and all.
        """
        asked = {"max_cost": max_cost, "contract_id": contract_id, "project_id": project_id, "gpus": gpus}
        body = {"config": dict(config), "dataset_id": dataset_id, "template": template, **asked}
        while True:
            try:
                return cast("Quote", await self.post("/quotes", _known(body)))
            except ApiError as error:
                if error.kind != COUNTING:
                    raise
                if on_counting is not None:
                    on_counting(error.problem.get("counted_rows", 0), error.problem.get("rows", 0))
                await asyncio.sleep(min(error.problem.get("retry_after_seconds", 1), LONGEST_COUNTING_PAUSE_SECONDS))

    async def get_quote(self, quote_id: str) -> Quote:
        """Get a quote."""
        return cast("Quote", await self.get(f"/quotes/{quote_id}"))

    async def create_quotes(
        self,
        configs: Sequence[Mapping[str, Any]],
        dataset_id: str,
        *,
        contract_id: str | None = None,
        project_id: str | None = None,
        gpus: int | None = None,
    ) -> list[QuoteAnswer]:
        """Ask what many configurations on one data set will cost: for each its quote, or the problem with it."""
        asked = {"contract_id": contract_id, "project_id": project_id, "gpus": gpus}
        body = _known({"configs": [dict(config) for config in configs], "dataset_id": dataset_id, **asked})
        return cast("list[QuoteAnswer]", (await self.post("/quotes/batch", body))["data"])

    async def submit_job(
        self,
        config: Mapping[str, Any],
        dataset_id: str,
        *,
        idempotency_key: str | None = None,
        labels: Mapping[str, str] | None = None,
        gpu_types: Sequence[str] | None = None,
        tracker: Mapping[str, str | None] | None = None,
        **fields: str | None,
    ) -> Job:
        """Submit a job: `quote_id`, `contract_id`, `name`, `project_id`, `queue`, `max_cost`, `customer_id`.

        With a `template`, such as `template_sd_v15@3`, `config` has what the job changes of it. `tracker` names a
        secret (`{"secret": "wandb-team"}`), whose tracker its runs tell.
        `gpu_types` are those of its quote that it may run on, of which it would rather have what it should `prefer`
        (`cheapest` or `fastest`), and by `finish_by` it should have ended. The same `idempotency_key` again answers
        with the same job.
        """
        body: dict[str, Any] = {"config": dict(config), "dataset_id": dataset_id, "labels": labels}
        body |= {"gpu_types": gpu_types, "tracker": tracker, **fields}
        return cast("Job", await self.post("/jobs", _known(body), idempotency_key=idempotency_key))

    async def submit_jobs(
        self,
        configs: Sequence[Mapping[str, Any]],
        dataset_id: str,
        *,
        at_once: int | None = None,
        idempotency_key: str | None = None,
        **fields: Any,
    ) -> JobBatch:
        """Submit many configurations of one data set, all or none, of which `at_once` may run at one time.

        `fields` are those of `submit_job`, but for `quote_id`; each job has them.
        """
        body = {"configs": [dict(config) for config in configs], "dataset_id": dataset_id, "at_once": at_once, **fields}
        return cast("JobBatch", await self.post("/jobs/batch", _known(body), idempotency_key=idempotency_key))

    async def list_jobs(self, **wanted: Any) -> Page[Job]:
        """List jobs: a page of `limit`, from `cursor` on, by `status`, `project_id`, `name`, `id_prefix` and so on."""
        return cast("Page[Job]", await self.get("/jobs", **wanted))

    async def get_job(self, job_id: str) -> JobDetail:
        """Get a job, and who pays for its usage."""
        return cast("JobDetail", await self.get(f"/jobs/{job_id}"))

    async def watch_job(
        self, job_id: str, *, poll_seconds: float = 2.0, patience_seconds: float = 300.0
    ) -> AsyncIterator[JobDetail]:
        """Look at a job until it has ended or is paused, and hand it out as it is at each look.

        A broker that restarts, or is too busy to answer, is waited for with patience.
        """
        job = await self.get_job(job_id)
        seen = time.monotonic()
        while True:
            yield job
            if job["status"] in RESTS:
                return
            await asyncio.sleep(poll_seconds)
            try:
                job = await self.get_job(job_id)
                seen = time.monotonic()
            except (NotReachable, ApiError) as error:
                passes = isinstance(error, NotReachable) or error.is_passing
                if not passes or time.monotonic() - seen > patience_seconds:
                    raise

    async def wait_for_job(
        self, job_id: str, *, poll_seconds: float = 2.0, patience_seconds: float = 300.0
    ) -> JobDetail:
        """Wait until a job has ended or is paused, and return it as it is then."""
        async for job in self.watch_job(job_id, poll_seconds=poll_seconds, patience_seconds=patience_seconds):
            last = job
        return last

    async def cancel_job(self, job_id: str) -> Job:
        """Cancel a job; a running one stops soon."""
        return cast("Job", await self.post(f"/jobs/{job_id}/cancel"))

    async def pause_job(self, job_id: str) -> Job:
        """Pause a job; a running one stops after a checkpoint."""
        return cast("Job", await self.post(f"/jobs/{job_id}/pause"))

    async def resume_job(self, job_id: str, *, max_cost: str | None = None) -> Job:
        """Queue a paused job again, under a new limit where one is given."""
        return cast("Job", await self.post(f"/jobs/{job_id}/resume", _known({"max_cost": max_cost})))

    async def set_priority(self, job_id: str, priority: int | None, reason: str) -> ChangedJob:
        """Give a job a priority of its own, or with None that of its queue again; its customer reads the reason."""
        return await self.change_job(job_id, {"priority": priority, "reason": reason})

    async def change_job(self, job_id: str, changes: Mapping[str, Any]) -> ChangedJob:
        """Change a job's `name`, `notes`, `pinned`; its `gpu_types`; or for ops its `priority`, with a `reason`."""
        return cast("ChangedJob", await self.patch(f"/jobs/{job_id}", changes))

    async def get_overview(self) -> Overview:
        """Get what ops sees at one moment."""
        return cast("Overview", await self.get("/operations/overview"))

    async def request_simulation(
        self, proposal: dict[str, Any], begins_at: str, ends_at: str | None
    ) -> QueueSimulation:
        """Ask what a recorded window would have been; `ends_at` None: until now."""
        body = {"proposal": proposal, "begins_at": begins_at, "ends_at": ends_at}
        return cast("QueueSimulation", await self.post("/queues/simulations", body))

    async def get_simulation(self, simulation_id: str) -> QueueSimulation:
        """Get a simulation: how far it is, and what came out."""
        return cast("QueueSimulation", await self.get(f"/queues/simulations/{simulation_id}"))

    async def get_standing(self, contract_id: str) -> Standing:
        """Get how a contract stands among others, by GPU type."""
        return cast("Standing", await self.get(f"/contracts/{contract_id}/standing"))

    async def get_quota(self, contract_id: str) -> ContractQuota:
        """Get what a contract is due beside others, and how much of it may run at one time."""
        return cast("ContractQuota", await self.get(f"/contracts/{contract_id}/quota"))

    async def change_quota(self, contract_id: str, changes: Mapping[str, Any]) -> ContractQuota:
        """Set a contract's quota, with a `reason`; None takes a limit away, what is left out stays."""
        return cast("ContractQuota", await self.patch(f"/contracts/{contract_id}/quota", changes))

    async def list_queues(self, **wanted: Any) -> Page[Queue]:
        """List the queues in the planner's order: a page of `limit`, from `cursor` on."""
        return cast("Page[Queue]", await self.get("/queues", **wanted))

    async def change_queue(self, name: str, changes: Mapping[str, Any]) -> Queue:
        """Change a queue; None takes a limit away, what is left out stays."""
        return cast("Queue", await self.patch(f"/queues/{quote(name, safe='')}", changes))

    async def get_pool(self, name: str) -> Pool:
        """Get a pool, and whether it takes jobs now."""
        return cast("Pool", await self.get(f"/pools/{quote(name, safe='')}"))

    async def change_pool(self, name: str, changes: Mapping[str, Any]) -> Pool:
        """Change a pool: `open`, `discipline`, `nodes` by name, all its `maintenance`, what bounds stops of runs."""
        return cast("Pool", await self.patch(f"/pools/{quote(name, safe='')}", changes))

    async def announce(self, message: str, **more: str | None) -> Notice:
        """Announce something to customers: `message_zh`, `pool`, `begins_at`, `ends_at`."""
        return cast("Notice", await self.post("/announcements", _known({"message": message, **more})))

    async def end_announcement(self, announcement_id: str) -> Notice:
        """End an announcement: it is listed no longer."""
        return cast("Notice", await self.delete(f"/announcements/{quote(announcement_id, safe='')}"))

    async def list_audit(self, **wanted: Any) -> Page[AuditEntry]:
        """List what staff decided, the newest first: a page of `limit`, from `cursor` on, by `object_id`, `action`."""
        return cast("Page[AuditEntry]", await self.get("/audit", **wanted))

    async def undo_decision(self, entry_id: str) -> Undone:
        """Put back what a decision changed, where nobody has changed it since."""
        return cast("Undone", await self.post(f"/audit/{entry_id}/undo"))

    async def list_events(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """List what happened to a job after an event, the oldest first, page by page."""
        while True:
            page = (await self.get(f"/jobs/{job_id}/events", after=after, limit=EVENTS_A_PAGE))["data"]
            for each in page:
                yield each
            if len(page) < EVENTS_A_PAGE:
                return
            after = page[-1]["id"]

    async def follow_events(self, job_id: str, *, after: int = 0) -> AsyncIterator[JobEvent]:
        """Hear what happens to a job after an event, as it happens, until the job has ended.

        A line that breaks, or a broker that restarts, is waited for; it goes on behind the last event.
        """
        async for heard in self.stream(f"/jobs/{job_id}/events", last_event_id=str(after)):
            yield cast("JobEvent", heard.json())

    async def list_log(self, job_id: str, *, cursor: str | None = None, **wanted: Any) -> AsyncIterator[LogLine]:
        """List the lines of a job's training log behind one of them, oldest first; by `search`, and `since` when."""
        while True:
            page = await self.get(f"/jobs/{job_id}/logs", cursor=cursor, limit=EVENTS_A_PAGE, **wanted)
            for each in page["data"]:
                yield each
            cursor = page["next_cursor"]
            if cursor is None:
                return

    async def get_losses(self, job_id: str, *, buckets: int | None = None) -> Losses:
        """Get the training and validation loss of a job by step, in `buckets` groups of steps at most."""
        return cast("Losses", await self.get(f"/jobs/{job_id}/losses", buckets=buckets))

    async def list_runs(self, job_id: str) -> list[Run]:
        """List the attempts of a job, the first first."""
        return cast("list[Run]", (await self.get_whole(f"/jobs/{job_id}/runs"))["data"])

    async def get_ahead(self, job_id: str, *, limit: int = 10) -> JobsAhead:
        """Get how many jobs are ahead of one that waits, and the nearest of those that the key may see, in order."""
        return cast("JobsAhead", await self.get(f"/jobs/{job_id}/ahead", limit=limit))

    async def get_why(self, job_id: str) -> JobWhy:
        """Get why a job does not run: what it waits for, what helps, who is ahead; or why it has stopped, or failed."""
        return cast("JobWhy", await self.get(f"/jobs/{job_id}/why"))

    async def list_checkpoints(self, job_id: str) -> list[Checkpoint]:
        """List what a job can go on from, the newest first."""
        return cast("list[Checkpoint]", (await self.get_whole(f"/jobs/{job_id}/checkpoints"))["data"])

    async def get_usage(self, job_id: str) -> Usage:
        """Get the intervals that a job's charges are made of."""
        return cast("Usage", await self.get_whole(f"/jobs/{job_id}/usage"))

    async def list_adapters(self, **wanted: Any) -> Page[Adapter]:
        """List adapters: a page of `limit`, from `cursor` on, by `project_id`, `job_id`, `id_prefix` and so on."""
        return cast("Page[Adapter]", await self.get("/adapters", **wanted))

    async def get_adapter(self, adapter_id: str) -> Adapter:
        """Get an adapter's facts."""
        return cast("Adapter", await self.get(f"/adapters/{adapter_id}"))

    async def download_adapter(self, adapter_id: str, target: Path, *, progress: Progress | None = None) -> Path:
        """Write an adapter's `.safetensors` file, whole or not at all. Raises also: DamagedDownload, OSError."""
        return await self.download(f"/adapters/{adapter_id}/download", target, progress=progress)

    async def get_adapter_config(self, adapter_id: str) -> dict[str, Any]:
        """Get `adapter_config.json` of an adapter: beside `adapter_model.safetensors`, peft loads both."""
        return cast("dict[str, Any]", await self.get(f"/adapters/{adapter_id}/config"))

    async def delete_adapter(self, adapter_id: str) -> None:
        """Delete an adapter and its file; its job, usage and invoices stay."""
        await self.delete(f"/adapters/{adapter_id}")

    async def list_contracts(self, **wanted: Any) -> Page[Contract]:
        """List contracts: a page of `limit`, from `cursor` on, by `customer_id`, `plan`, `id_prefix`."""
        return cast("Page[Contract]", await self.get("/contracts", **wanted))

    async def list_grants(self, **wanted: Any) -> Page[Grant]:
        """List grants: a page of `limit`, from `cursor` on, by `contract_id`, `kind`, `status`, `id_prefix`."""
        return cast("Page[Grant]", await self.get("/grants", **wanted))

    async def import_statement(
        self, file: Path, *, layout: str | None = None, account: str | None = None
    ) -> PaymentImport:
        """Import a bank statement as a file, in a layout that is recognised or named. Raises also: OSError."""
        fields = {name: value for name, value in {"layout": layout, "account": account}.items() if value is not None}
        return cast("PaymentImport", await self.post_files("/payments/statements", [file], fields, name="file"))

    async def list_invoices(self, **wanted: Any) -> Page[Any]:
        """List invoices: a page of `limit`, from `cursor` on, by `id_prefix`, `number`, `status` and so on."""
        return cast("Page[Any]", await self.get("/invoices", **wanted))

    async def list_payments(self, **wanted: Any) -> Page[Payment]:
        """List payments: a page of `limit`, from `cursor` on, by `status`, `serial` and so on."""
        return cast("Page[Payment]", await self.get("/payments", **wanted))

    async def list_purchases(self, **wanted: Any) -> Page[Purchase]:
        """List orders: a page of `limit`, from `cursor` on, by `contract_id`, `status`, `id_prefix`."""
        return cast("Page[Purchase]", await self.get("/purchases", **wanted))

    async def get_contract(self, contract_id: str) -> Contract:
        """Get a contract."""
        return cast("Contract", await self.get(f"/contracts/{contract_id}"))

    async def get_balance(self, contract_id: str) -> Balance:
        """Get what of a contract is available, held and used."""
        return cast("Balance", await self.get(f"/contracts/{contract_id}/balance"))

    async def list_arrears(self, **wanted: Any) -> Page[Arrears]:
        """List the contracts that are or were in arrears: a page of `limit`, from `cursor` on, by `state`."""
        return cast("Page[Arrears]", await self.get("/arrears", **wanted))

    async def get_arrears(self, customer_id: str) -> CustomerArrears:
        """Get how a customer stands, and how to pay what is overdue."""
        return cast("CustomerArrears", await self.get(f"/customers/{customer_id}/arrears"))

    async def extend_arrears(self, contract_id: str, *, until: str, reason: str, kind: str) -> ArrearsWithHistory:
        """Give a contract in arrears time: `kind` is `promise_to_pay`, `extension` or `shortened`."""
        body = {"until": until, "reason": reason, "kind": kind}
        return cast("ArrearsWithHistory", await self.post(f"/contracts/{contract_id}/arrears/extensions", body))

    async def list_contacts(self, customer_id: str, **wanted: Any) -> Page[NoticeContact]:
        """List whom a customer wants told: a page of `limit`, from `cursor` on."""
        return cast("Page[NoticeContact]", await self.get(f"/customers/{customer_id}/contacts", **wanted))

    async def add_contact(self, customer_id: str, name: str, **fields: str | None) -> NoticeContact:
        """Name somebody to be told: `address` of mail or `url` of a chat's bot, `language`."""
        return cast(
            "NoticeContact", await self.post(f"/customers/{customer_id}/contacts", _known({"name": name, **fields}))
        )

    async def list_notices(self, **wanted: Any) -> Page[SentNotice]:
        """List what contacts were told: a page of `limit`, from `cursor` on, by `customer_id`, `status`."""
        return cast("Page[SentNotice]", await self.get("/notices", **wanted))

    async def download_event_files(self, job_id: str, target: Path) -> Path:
        """Write a job's event files for TensorBoard to a zip. Raises also: OSError."""
        return await self.download(f"/jobs/{job_id}/tensorboard", target)

    async def list_webhook_endpoints(self, **wanted: Any) -> Page[WebhookEndpoint]:
        """List where programs listen: a page of `limit`, from `cursor` on, by `customer_id`."""
        return cast("Page[WebhookEndpoint]", await self.get("/webhook-endpoints", **wanted))

    async def create_webhook_endpoint(self, name: str, url: str, **fields: Any) -> NewWebhookEndpoint:
        """Name where a program listens: with `event_types`, `project_id`; `customer_id` is needed with a staff key."""
        return cast(
            "NewWebhookEndpoint", await self.post("/webhook-endpoints", _known({"name": name, "url": url, **fields}))
        )

    async def change_webhook_endpoint(self, endpoint_id: str, **changes: Any) -> WebhookEndpoint:
        """Change its `name`, `url`, `event_types`, or its `status`."""
        return cast("WebhookEndpoint", await self.patch(f"/webhook-endpoints/{endpoint_id}", _known(changes)))

    async def remove_webhook_endpoint(self, endpoint_id: str) -> WebhookEndpoint:
        """Send a program nothing more."""
        return cast("WebhookEndpoint", await self.delete(f"/webhook-endpoints/{endpoint_id}"))

    async def rotate_webhook_secret(self, endpoint_id: str, *, overlap_hours: float) -> NewWebhookEndpoint:
        """Give an endpoint another secret; so long the former one signs beside it."""
        body = {"overlap_hours": overlap_hours}
        return cast("NewWebhookEndpoint", await self.post(f"/webhook-endpoints/{endpoint_id}/rotate-secret", body))

    async def test_webhook_endpoint(self, endpoint_id: str) -> WebhookDelivery:
        """Send an endpoint a test."""
        return cast("WebhookDelivery", await self.post(f"/webhook-endpoints/{endpoint_id}/test"))

    async def replay_webhook_events(self, endpoint_id: str, **wanted: str | None) -> WebhookReplay:
        """Send an endpoint one event again (`event_id`), or all `since` a time, `until` another."""
        return cast("WebhookReplay", await self.post(f"/webhook-endpoints/{endpoint_id}/replay", _known(wanted)))

    async def list_all_events(self, **wanted: Any) -> Page[Event]:
        """List what happened that an endpoint listened to: a page of `limit`, from `cursor` on, by `type`."""
        return cast("Page[Event]", await self.get("/events", **wanted))

    async def list_webhook_deliveries(self, endpoint_id: str, **wanted: Any) -> Page[WebhookDelivery]:
        """List what an endpoint is sent: a page of `limit`, from `cursor` on, by `status`, `event_id`."""
        return cast("Page[WebhookDelivery]", await self.get(f"/webhook-endpoints/{endpoint_id}/deliveries", **wanted))

    async def list_webhook_attempts(self, endpoint_id: str, **wanted: Any) -> Page[WebhookAttempt]:
        """List the attempts to tell an endpoint something: a page of `limit`, from `cursor` on, by `delivery_id`."""
        return cast("Page[WebhookAttempt]", await self.get(f"/webhook-endpoints/{endpoint_id}/attempts", **wanted))

    async def list_rate_cards(self, **wanted: Any) -> Page[RateCard]:
        """List the published rate cards, that of the latest day first: a page of `limit`, from `cursor` on."""
        return cast("Page[RateCard]", await self.get("/rate-cards", **wanted))

    async def get_rate_card(self, version: str) -> RateCard:
        """Get a published rate card."""
        return cast("RateCard", await self.get(f"/rate-cards/{version}"))

    async def publish_rate_card(self, card: Mapping[str, Any]) -> RateCard:
        """Publish a rate card: it never changes again."""
        return cast("RateCard", await self.post("/rate-cards", card))

    async def list_projects(self, **wanted: Any) -> Page[Project]:
        """List projects: a page of `limit`, from `cursor` on, by `customer_id`."""
        return cast("Page[Project]", await self.get("/projects", **wanted))

    async def create_project(self, name: str, *, customer_id: str | None = None) -> Project:
        """Make a project; `customer_id` is needed with a staff key."""
        return cast("Project", await self.post("/projects", _known({"name": name, "customer_id": customer_id})))


def _known(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
