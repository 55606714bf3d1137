"""`broker jobs show` and `broker jobs why`."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar

from rich.text import Text

from broker.cli.output import make_console, speak, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import JobId
from broker.cli.texts.columns import make_card
from broker.cli.texts.job_card import JobView, make_job_card
from broker.cli.texts.job_words import describe_evictions, describe_limit, describe_sooner, describe_why
from broker.cli.words import say, translate
from broker.client.errors import ApiError
from broker.client.objects.jobs import Job, JobAhead, JobDetail
from broker.client.objects.quotes import PlanPrice
from broker.client.typed import BrokerClient

Answer = TypeVar("Answer")
MOST_AHEAD = 3
PLACE = "{place} in the planner's order, queue {queue}"
WHY = (
    "id",
    "status",
    "pending_reason",
    "expected_start",
    "latest_start",
    "expected_end",
    "sooner",
    "stop_requested",
    "pause_reason",
    "error",
    "evictions",
)


def show_job(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show all about one job: progress, cost against quote and limit, attempts, samples, what to do next."""
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        if as_json:
            write_json(job)
            return
        view = look_at(client, job)
    console = make_console()
    write_lines(console, make_job_card(view, datetime.now(UTC), console.width))


def explain_job(job_id: JobId, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Say why a job does not run, or when it will have ended."""
    with connect(url, key) as client:
        job = client.get_job(resolve_id(client, "job", job_id))
        if as_json:
            write_json({name: job.get(name) for name in WHY} | {"ahead": client.get_ahead(job["id"])})
            return
        against, ahead = _compare(client, job), _list_ahead(client, job)
    console = make_console()
    status = translate(job["status"])
    why = describe_why(job, datetime.now(UTC)) or say("nothing keeps it: it is {status}", status=status)
    place = job["pending_reason"]
    rows = [
        ("Why", why),
        ("Against", against),
        ("Helps", speak(place["next_step"] or "", place["next_step_zh"]) if place else ""),
        ("Sooner", describe_sooner(job)),
        ("Place", say(PLACE, place=place["position"], queue=job["queue"]) if place else ""),
        ("Ahead", ahead),
        ("Made room", describe_evictions(job)),
        ("Limit", describe_limit(job)),
    ]
    write_lines(
        console, [Text(say("{job} is {status}", job=job["id"], status=status)), *make_card(rows, console.width)]
    )


def _compare(client: BrokerClient, job: Job) -> str:
    """Compare a waiting job's contract with the one ahead, in a sentence for each GPU type; nothing for others."""
    if job["status"] != "queued":
        return ""
    standing = _if_allowed(lambda: client.get_standing(job["contract_id"]))
    types = standing["types"] if standing else ()
    return "\n".join(f"{each['sku']}: {speak(each['why'], each['why_zh'])}" for each in types if each["why"])


def _list_ahead(client: BrokerClient, job: Job) -> str:
    """List the nearest jobs ahead of one that waits, those that the key may see, the nearest first."""
    if job["status"] != "queued":
        return ""
    nearest = reversed(client.get_ahead(job["id"], limit=MOST_AHEAD)["data"])
    return "\n".join(_tell_one_ahead(each) for each in nearest)


def _tell_one_ahead(ahead: JobAhead) -> str:
    queue = say("queue {queue}", queue=ahead["queue"])
    return f"{ahead['position']}. {ahead['id']}, {ahead['gpus']} GPU, {queue}: {ahead['code']}"


def look_at(client: BrokerClient, job: JobDetail) -> JobView:
    """Look up what belongs to a job; what the key's role may not see is left out."""
    contract = _if_allowed(lambda: client.get_contract(job["contract_id"]))
    return JobView(
        job=job,
        runs=_if_allowed(lambda: client.list_runs(job["id"])) or (),
        events=_if_allowed(lambda: list(client.list_events(job["id"]))) or (),
        contract=contract,
        quoted=_find_quoted(client, job, contract["plan"] if contract else None),
    )


def _find_quoted(client: BrokerClient, job: Job, plan: str | None) -> PlanPrice | None:
    quote_id = job["quote_id"]
    if quote_id is None or plan is None:
        return None
    quote = _if_allowed(lambda: client.get_quote(quote_id))
    return next((price for price in quote["prices"] if price["plan"] == plan), None) if quote else None


def _if_allowed(ask: Callable[[], Answer]) -> Answer | None:
    try:
        return ask()
    except ApiError as error:
        if error.status in {403, 404}:
            return None
        raise
