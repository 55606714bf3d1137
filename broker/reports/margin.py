"""The margin report: what the house has borne of jobs that went beyond what their customers were promised."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import select

from broker.contracts import service as contracts
from broker.identity.tables import Customer
from broker.jobs.tables import Job
from broker.ledger import service as ledger
from broker.work import Work
from pricing.money import Money


@dataclass(frozen=True)
class MarginRow:
    """One job in one billing month. Money to the fen, as on invoices; the cap is of the whole job."""

    job_id: str
    customer_id: str
    customer: str
    contract_id: str
    plan: str
    quote_guarantee: str | None
    quoted_cap: Money | None
    charged: Money
    borne_by_cause: Mapping[ledger.Cause, Money]

    @property
    def borne(self) -> Money:
        return sum(self.borne_by_cause.values(), Money.zero())

    @property
    def actual(self) -> Money:
        return self.charged + self.borne


async def report_margin(work: Work, month: str) -> list[MarginRow]:
    """Report every job of a billing month that has a cap, or of which the house has borne something."""
    charged = _add_by_job([*await ledger.list_captured_usage(work, month), *await ledger.list_corrections(work, month)])
    borne = _add_by_cause(await ledger.list_borne_usage(work, month))
    query = (
        select(Job, Customer.name)
        .join(Customer, Customer.id == Job.customer_id)
        .where(Job.id.in_(charged.keys() | borne.keys()), Job.cap_micros.is_not(None) | Job.id.in_(borne.keys()))
        .order_by(Customer.name, Job.id)
    )
    found = (await work.session.execute(query)).all()
    terms = await contracts.load_terms(work, {job.contract_id for job, _name in found})
    return [
        MarginRow(
            job_id=job.id,
            customer_id=job.customer_id,
            customer=name,
            contract_id=job.contract_id,
            plan=terms[job.contract_id].plan.value,
            quote_guarantee=job.quote_guarantee,
            quoted_cap=None if job.cap_micros is None else Money(job.cap_micros),
            charged=charged.get(job.id, Money.zero()),
            borne_by_cause=borne.get(job.id, {}),
        )
        for job, name in found
    ]


def _add_by_job(sums: Iterable[ledger.CapturedUsage]) -> dict[str, Money]:
    """Add up each job's invoice lines."""
    totals: defaultdict[str, Money] = defaultdict(Money.zero)
    for row in sums:
        totals[row.job_id] += row.amount
    return dict(totals)


def _add_by_cause(sums: Iterable[ledger.CapturedUsage]) -> dict[str, dict[ledger.Cause, Money]]:
    """Add up what is borne of each job, by the cause for which it is."""
    totals: defaultdict[str, defaultdict[ledger.Cause, Money]] = defaultdict(lambda: defaultdict(Money.zero))
    for row in sums:
        assert row.cause is not None, "what is borne has a cause"
        totals[row.job_id][row.cause] += row.amount
    return {job_id: dict(causes) for job_id, causes in totals.items()}
