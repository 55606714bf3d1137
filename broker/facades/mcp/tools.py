"""The tools of an assistant: look, quote, submit, watch. Each asks the REST API as the bearer of the request.

Only `submit_job` spends, and never without a quote that was confirmed: a person is asked where the client can ask one,
and whoever submits repeats the price of the quote, so that a client that shows its calls shows the price.
"""

import asyncio
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, Literal

from fastapi import Request
from mcp.server.mcpserver import Context, Elicit, MCPServer, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel, Field

from broker.facades.asking import Broker, Refused, require_name
from broker.facades.mcp.telling import (
    tell_dataset,
    tell_job,
    tell_quote,
    tell_refusal,
)

LOOK_AGAIN_SECONDS = 1.0
LONGEST_WATCH_SECONDS = 300
RESTING = frozenset({"succeeded", "failed", "cancelled", "paused"})
# With this revision of the protocol a call may come back with a question, whatever process it reaches next.
ASKS_BACK_SINCE = "2026-07-28"
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
ACTS = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True, open_world_hint=False)

Asked = Context[Any, Request]
JobId = Annotated[str, Field(description="The job's id, such as job_01k…")]
AtMost = Annotated[int, Field(ge=1, le=100, description="Most objects to list, the newest first.")]


class Confirmation(BaseModel):
    """What a person is asked before money is spent."""

    confirmed: bool = Field(description="Spend it?")


async def list_base_models(ctx: Asked) -> list[dict[str, Any]]:
    """List the base models that can be trained now: the value of `base_model` in a configuration."""
    found = await _ask(ctx, "/base-models", can_be_quoted="true", limit=100)
    told = ("name", "family", "learns_from", "licence", "parameters")
    return [{name: model[name] for name in told} for model in found["data"]]


async def list_datasets(ctx: Asked, limit: AtMost = 20) -> list[dict[str, Any]]:
    """List the customer's uploaded data sets, and how many rows of each can be trained on."""
    return [tell_dataset(each) for each in (await _ask(ctx, "/datasets", limit=limit))["data"]]


async def quote_job(
    ctx: Asked,
    config: Annotated[
        dict[str, Any],
        Field(description="What `trainer train` reads: `base_model` at least; `max_steps`, `lora_rank`, … as wanted."),
    ],
    dataset_id: Annotated[str, Field(description="The uploaded data set, such as dat_01k…")],
    contract_id: Annotated[str | None, Field(description="The contract that pays, where several are in force.")] = None,
    gpus: Annotated[int | None, Field(ge=1, description="GPUs of one machine that share its steps.")] = None,
) -> dict[str, Any]:
    """Ask what a job will need and cost. Nothing is spent or reserved. Show the price to a person before submitting."""
    body = {"config": config, "dataset_id": dataset_id, "contract_id": contract_id, "gpus": gpus}
    order = {name: value for name, value in body.items() if value is not None}
    return tell_quote(await _order(ctx, "/quotes", order), contract_id)


async def _ask_a_person(
    ctx: Asked, quote_id: str, max_cost: str, contract_id: str | None = None
) -> Confirmation | Elicit[Confirmation]:
    """Ask the person at the client whether a sum may be spent, where the client can ask and be answered."""
    if (ctx.protocol_version or "") < ASKS_BACK_SINCE:
        return Confirmation(confirmed=True)
    able = ctx.client_capabilities
    if able is None or able.elicitation is None or (able.elicitation.form is None and able.elicitation.url is not None):
        return Confirmation(confirmed=True)
    quote = tell_quote(await _ask(ctx, f"/quotes/{_name(quote_id)}"), contract_id)
    what = f"Train {quote['base_model']} on {quote['rows']:,} rows"
    price = f"{quote['price']} CNY is expected, {quote['price_p90']} CNY nine times of ten not exceeded"
    return Elicit(f"{what}? {price}; it stops at {_read_sum(max_cost)} CNY at the latest.", Confirmation)


async def submit_job(
    ctx: Asked,
    confirmation: Annotated[Confirmation, Resolve(_ask_a_person)],
    quote_id: Annotated[str, Field(description="The quote that a person has seen and confirmed.")],
    confirmed_price: Annotated[str, Field(description="That quote's `price_p90` as it was confirmed, in yuan: 12.50")],
    max_cost: Annotated[str, Field(description="Most that the job may cost, in yuan: 12.50; it pauses there.")],
    contract_id: Annotated[str | None, Field(description="The contract that pays, where several are in force.")] = None,
    name: Annotated[str | None, Field(description="A name to find the job by.")] = None,
    project_id: Annotated[str | None, Field(description="Whose job it is; a key of some projects names one.")] = None,
) -> dict[str, Any]:
    """Submit what a confirmed quote is of: money is held at once. The same quote is submitted once, however often."""
    if not confirmation.confirmed:
        raise ToolError("The person declined: nothing was submitted, nothing is spent.")
    quote = await _ask(ctx, f"/quotes/{_name(quote_id)}")
    price = tell_quote(quote, contract_id)["price_p90"]
    if _read_sum(confirmed_price, "confirmed_price") != Decimal(price):
        told = f"confirmed_price: the quote says {price} CNY. Show it to a person, and submit what they confirm."
        raise ToolError(told)
    body = {"config": quote["config"], "dataset_id": quote["dataset_id"], "quote_id": quote["id"]}
    more = {"max_cost": await _bound(ctx, max_cost), "contract_id": contract_id, "name": name}
    more["project_id"] = project_id
    gpus = {"gpus": quote["estimate"]["gpus"]}
    order = body | gpus | {key: value for key, value in more.items() if value is not None}
    return tell_job(await _order(ctx, "/jobs", order, key=f"mcp-{quote['id']}"))


async def watch_job(
    ctx: Asked,
    job_id: JobId,
    seconds: Annotated[int, Field(ge=0, le=LONGEST_WATCH_SECONDS, description="How long to look; 0: once.")] = 20,
) -> dict[str, Any]:
    """Watch a job until it rests or the time is over, and tell how it is then. Watching does nothing to the job."""
    loop = asyncio.get_running_loop()
    ends_at, seen = loop.time() + seconds, -1
    while True:
        job = await _ask(ctx, f"/jobs/{_name(job_id)}")
        step, steps = _find_step(job)
        if step > seen:
            seen = step
            await ctx.report_progress(step, steps, f"{job['status']}, {job['cost']['amount']} CNY so far")
        if job["status"] in RESTING or loop.time() >= ends_at:
            return tell_job(job)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def list_jobs(
    ctx: Asked,
    status: Annotated[
        Literal["queued", "starting", "running", "paused", "succeeded", "failed", "cancelled"] | None,
        Field(description="Those alone that are so."),
    ] = None,
    limit: AtMost = 20,
) -> list[dict[str, Any]]:
    """List the customer's jobs, the newest first."""
    return [tell_job(each) for each in (await _ask(ctx, "/jobs", status=status, limit=limit))["data"]]


async def explain_job(ctx: Asked, job_id: JobId) -> dict[str, Any]:
    """Tell why a job waits, is paused or has failed, what helps, and when it is expected to start and end."""
    job = await _ask(ctx, f"/jobs/{_name(job_id)}")
    told = ("pending_reason", "pause_reason", "error", "expected_start", "latest_start", "expected_end", "sooner")
    return tell_job(job) | {name: job.get(name) for name in told}


async def cancel_job(ctx: Asked, job_id: JobId) -> dict[str, Any]:
    """Cancel a job for good: what it has used is charged, what is held for it is let go."""
    return tell_job(await _order(ctx, f"/jobs/{_name(job_id)}/cancel", {}))


async def get_balance(
    ctx: Asked,
    contract_id: Annotated[str | None, Field(description="The contract; without it, all that are in force.")] = None,
) -> list[dict[str, Any]]:
    """Tell what is available, held by live jobs and used, of a contract or of all that are in force."""
    if contract_id is not None:
        ids = [_name(contract_id)]
    else:
        ids = [each["id"] for each in (await _ask(ctx, "/contracts", limit=100))["data"] if each["status"] == "active"]
    return [await _ask(ctx, f"/contracts/{each}/balance") for each in ids]


def add_tools(server: MCPServer[Any]) -> None:
    """Add the tools to a server."""
    for look in (list_base_models, list_datasets, quote_job, watch_job, list_jobs, explain_job, get_balance):
        server.add_tool(look, annotations=READS)
    server.add_tool(submit_job, annotations=ACTS)
    server.add_tool(cancel_job, annotations=ACTS)


async def _ask(ctx: Asked, path: str, **params: Any) -> Any:
    """Get what the REST API tells the bearer of the request. Raises: ToolError."""
    try:
        return await Broker(_find_request(ctx)).get(path, **params)
    except Refused as refused:
        raise ToolError(tell_refusal(refused.status, refused.members)) from refused


async def _order(ctx: Asked, path: str, body: Mapping[str, Any], *, key: str | None = None) -> Any:
    """Post to the REST API as the bearer of the request. Raises: ToolError."""
    try:
        return await Broker(_find_request(ctx)).post(path, body, key=key)
    except Refused as refused:
        raise ToolError(tell_refusal(refused.status, refused.members)) from refused


async def _bound(ctx: Asked, max_cost: str) -> str:
    """Require that the most a job may cost is within what the bearer's key may order. Raises: ToolError."""
    asked, key = _read_sum(max_cost), (await _ask(ctx, "/whoami"))["api_key"]
    if key["max_cost"] is not None and asked > Decimal(key["max_cost"]["amount"]):
        raise ToolError(f"max_cost: this key may order {key['max_cost']['amount']} CNY a job at most")
    return str(asked)


def _find_request(ctx: Asked) -> Request:
    request = ctx.request_context.request
    assert request is not None
    return request


def _name(identifier: str) -> str:
    """Require that an id is one part of a path. Raises: ToolError."""
    try:
        return require_name(identifier)
    except Refused as refused:
        raise ToolError(tell_refusal(refused.status, refused.members)) from refused


def _read_sum(typed: str, field: str = "max_cost") -> Decimal:
    """Read a sum in yuan. Raises: ToolError."""
    try:
        found = Decimal(typed)
    except InvalidOperation:
        found = Decimal(0)
    if not found.is_finite() or found <= 0:
        raise ToolError(f"{field}: {typed[:40]!r} is no sum in yuan; write it like 12.50")
    return found


def _find_step(job: Mapping[str, Any]) -> tuple[int, int | None]:
    progress = job["progress"] or {}
    return progress.get("step") or 0, progress.get("total_steps")
