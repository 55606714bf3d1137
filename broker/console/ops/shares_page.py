"""How contracts stand beside each other: deserved, held, borrowed, lent; who starves beside whom; what ops sets."""

from typing import Annotated, Any

from fastapi import Query, Response
from fastapi.responses import HTMLResponse

from broker.capacity import quotas
from broker.capacity.schemas import ContractQuotaPatch
from broker.console.frame.forms import Form, Submitted
from broker.console.frame.listing import Column
from broker.console.frame.menu import N_
from broker.console.frame.page import OpsPage, Page, page_router
from broker.console.frame.panels import Panel
from broker.console.frame.problem import Problem
from broker.console.naming import name_contracts
from broker.console.ops.foreseen import foresee
from broker.console.ops.outcome import Outcome, tell_outcome
from broker.console.ops.queues_page import read_number
from broker.console.ops.reading import open_work, read_overview
from broker.http.versions import make_etag
from broker.operations.views import show_overview
from broker.reports.start_accuracy import judge_starts
from broker.scheduling.schemas import TunedQuotaOut
from broker.scheduling.tuning import set_quota
from broker.work import Work

router = page_router("/ops")
WEEKS = 12
STANDING_COLUMNS = (
    Column(N_("Contract of")),
    Column(N_("GPU type")),
    Column(N_("Guaranteed"), is_number=True),
    Column(N_("Deserved"), is_number=True),
    Column(N_("Held"), is_number=True),
    Column(N_("Fair share"), is_number=True),
    Column(N_("Borrowed"), is_number=True),
    Column(N_("may lose"), is_number=True),
    Column(N_("Lent"), is_number=True),
    Column(N_("Idle quota"), is_number=True),
    Column(N_("Wants"), is_number=True),
    Column(N_("Why")),
)
PAIR_COLUMNS = (
    Column(N_("Starves")),
    Column(N_("beside")),
    Column(N_("GPU type")),
    Column(N_("GPUs that would have to move"), is_number=True),
)
WEEK_COLUMNS = (
    Column(N_("Week from")),
    Column(N_("Promised"), is_number=True),
    Column(N_("Decided"), is_number=True),
    Column(N_("Started by p50"), is_number=True),
    Column(N_("Started by p90"), is_number=True),
    Column(N_("Half started later than p50 by"), is_number=True),
    Column(N_("Slipped"), is_number=True),
)


@router.get("/shares")
async def show_shares(page: OpsPage, contract_id: Annotated[str | None, Query(max_length=100)] = None) -> HTMLResponse:
    """Show how contracts stand, and of one its weight and quota."""
    return await _show(page, contract_id)


@router.post("/shares/{contract_id}/quota")
async def change_quota(page: OpsPage, contract_id: str) -> Response:
    """Set the weight and the quota of a contract, with a reason."""
    form = await page.read_form()
    changes: dict[str, Any] = {name: read_number(form.get(name)) for name in ("weight", "max_gpus", "max_jobs")}
    changes["reason"] = form.get("reason")
    if form.get("foresee"):
        return await _foresee_quota(page, contract_id, form, changes)
    answer = await page.ask("PATCH", f"/v1/contracts/{contract_id}/quota", changes, key=form.key, seen=form.seen)
    if answer.problem is not None:
        return await _show(page, contract_id, form=form.refused(answer.problem))
    return await _show(page, contract_id, outcome=await tell_outcome(page, answer.body, contract_id))


async def _foresee_quota(page: Page, contract_id: str, form: Submitted, changes: dict[str, Any]) -> Response:
    """Show what a quota would bring, with the form as it was filled in."""

    async def make(work: Work, body: ContractQuotaPatch) -> TunedQuotaOut:
        return TunedQuotaOut.of_tuned(*await set_quota(work, contract_id, body.list_changes(), body.reason))

    told = await foresee(page, ContractQuotaPatch, changes | {"reason": changes["reason"] or "foreseen"}, make)
    if isinstance(told, Problem):
        return await _show(page, contract_id, form=form.refused(told))
    return await _show(page, contract_id, form=Form(form.values), foreseen=told)


async def _show(
    page: Page,
    contract_id: str | None,
    *,
    form: Form | None = None,
    outcome: Outcome | None = None,
    foreseen: Outcome | None = None,
) -> HTMLResponse:
    seen = await read_overview(page)
    told = show_overview(seen)
    work = await open_work(page)
    weeks = await judge_starts(work, WEEKS)
    quota = None if contract_id is None else await quotas.get_quota(work, contract_id)
    standings = [each for each in told.contracts if contract_id in {None, each.contract_id}]
    pairs, idle = told.starved_and_borrowing, told.idle_guaranteed_gpus
    return page.show(
        "ops/shares.html",
        status=200 if form is None or form.problem is None else form.problem.status,
        standings=Panel.of(standings, told.as_of, shown=len(standings), is_filtered=contract_id is not None),
        standing_columns=STANDING_COLUMNS,
        pairs=Panel.of(pairs, told.as_of, shown=len(pairs), is_filtered=False),
        pair_columns=PAIR_COLUMNS,
        idle=idle,
        borrowed=sum(each.borrowed_gpus for each in told.contracts),
        exposed=sum(each.reclaimed_gpus for each in told.contracts),
        weeks=Panel.of(weeks, page.now, shown=len(weeks), is_filtered=False),
        week_columns=WEEK_COLUMNS,
        contract_id=contract_id,
        contract_name=(await name_contracts(work, [contract_id] if contract_id else [])).get(contract_id or ""),
        quota=quota,
        seen_version=None if quota is None else make_etag(quotas.list_quota_settings(quota)),
        form=form or Form(),
        outcome=outcome,
        foreseen=foreseen,
    )
