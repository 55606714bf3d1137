"""Automatic top-up: a contract whose free hours fall below a threshold orders more, one order at a time."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Select, delete, select
from sqlalchemy.dialects.postgresql import insert

from broker import errors
from broker.contracts import service as contracts
from broker.ledger import service as ledger
from broker.persistence.database import narrow
from broker.signing.purchases import NewPurchase, PurchaseView, create_purchase, find_open_orders
from broker.signing.tables import TopUpRule
from broker.work import Work
from pricing.grants import ALL_GPU_SECONDS


@dataclass(frozen=True)
class TopUp:
    """When a contract orders more, and how much. Units: GPU-seconds."""

    contract_id: str
    threshold_gpu_seconds: int
    purchase_gpu_seconds: int


@dataclass(frozen=True)
class StandingTopUp:
    """A rule, whose it is, what its contract has free, and its order that waits to be paid. Units: GPU-seconds."""

    top_up: TopUp
    customer_id: str
    free_gpu_seconds: int
    open_purchase_id: str | None

    @property
    def is_due(self) -> bool:
        """Whether less is free than the threshold, so that the next sweep orders, or has ordered."""
        return self.free_gpu_seconds < self.top_up.threshold_gpu_seconds


async def set_top_up(work: Work, top_up: TopUp) -> TopUp:
    """Set the rule by which a contract orders more, in place of the one before. Raises: NotFound."""
    terms = await contracts.get_contract(work, top_up.contract_id)
    sizes = {
        "threshold_gpu_seconds": top_up.threshold_gpu_seconds,
        "purchase_gpu_seconds": top_up.purchase_gpu_seconds,
    }
    own = {"contract_id": terms.id, "customer_id": terms.customer_id, "created_at": work.now}
    statement = insert(TopUpRule).values(own | sizes)
    await work.session.execute(statement.on_conflict_do_update(index_elements=[TopUpRule.contract_id], set_=sizes))
    return top_up


async def get_top_up(work: Work, contract_id: str) -> TopUp:
    """Get the rule by which a contract orders more. Raises: NotFound, also where it has none."""
    await contracts.get_contract(work, contract_id)
    top_up = await find_top_up(work, contract_id)
    if top_up is None:
        raise errors.NotFound("automatic top-up of contract", contract_id)
    return top_up


async def find_top_up(work: Work, contract_id: str) -> TopUp | None:
    """Find the rule by which a contract orders more; None where it has none."""
    rule = await work.session.get(TopUpRule, contract_id, populate_existing=True)
    return None if rule is None else _to_value(rule)


async def remove_top_up(work: Work, contract_id: str) -> TopUp:
    """Remove the rule by which a contract orders more; what it has ordered stays. Raises: NotFound."""
    removed = await get_top_up(work, contract_id)
    await work.session.execute(delete(TopUpRule).where(TopUpRule.contract_id == contract_id))
    return removed


def select_top_ups(**wanted: str | None) -> Select[TopUpRule]:
    """Select the rules that the actor sees, all or those with these values in their columns."""
    return narrow(select(TopUpRule), **wanted)


async def view_top_ups(work: Work, rules: Sequence[TopUpRule]) -> list[StandingTopUp]:
    """View rules with what their contracts have free and have ordered, in three statements however many they are."""
    ids = [rule.contract_id for rule in rules]
    free, ordered = await ledger.read_granted_hours(work, ids), await find_open_orders(work, ids)
    return [
        StandingTopUp(_to_value(rule), rule.customer_id, free.get(rule.contract_id, 0), ordered.get(rule.contract_id))
        for rule in rules
    ]


async def list_due_top_ups(work: Work) -> list[str]:
    """List the contracts whose free hours are below their threshold."""
    rules = (await work.session.scalars(select(TopUpRule).order_by(TopUpRule.contract_id))).all()
    free = await ledger.read_granted_hours(work, [rule.contract_id for rule in rules])
    return [rule.contract_id for rule in rules if free.get(rule.contract_id, 0) < rule.threshold_gpu_seconds]


async def order_top_up(work: Work, contract_id: str) -> PurchaseView | None:
    """Order what a contract's rule says, where it is still due and no such order waits to be paid.

    A contract that is not in force or in arrears, or whose own advance is not paid, orders nothing.
    """
    terms = await contracts.lock_contract(work, contract_id)
    top_up = await get_top_up(work, contract_id)
    has_enough = await ledger.read_available(work, terms) >= top_up.threshold_gpu_seconds
    if has_enough or await find_open_orders(work, [terms.id]):
        return None
    if not (terms.covers(work.now) and terms.allowed.buy):
        return None
    if contracts.owes_advance(terms, await contracts.list_grants(work, terms.id)):
        return None
    new = NewPurchase(contract_id, ALL_GPU_SECONDS, top_up.purchase_gpu_seconds, automatic=True)
    return await create_purchase(work, new)


def _to_value(rule: TopUpRule) -> TopUp:
    return TopUp(rule.contract_id, rule.threshold_gpu_seconds, rule.purchase_gpu_seconds)
