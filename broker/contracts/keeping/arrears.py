"""How far contracts are in arrears, as their rows say it: written under their locks, and asked of many at once."""

from collections.abc import Collection

from sqlalchemy import ARRAY, Text, any_, bindparam, or_, select

from broker.contracts.tables import Contract
from broker.contracts.terms.arrears import ALLOWED, ArrearsState, Use
from broker.persistence.driver import Command, Statement
from broker.persistence.membership import is_literally
from broker.work import Work
from pricing.money import Money

STOPPING = [state for state, allowed in ALLOWED.items() if allowed.running != Use.ALL]
STOPPING_OF = Statement(
    select(Contract.id).where(
        Contract.id == any_(bindparam("contract_ids", type_=ARRAY(Text))),
        is_literally(Contract.arrears_state, STOPPING),
    )
)


async def note_arrears(work: Work, contract_id: str, state: ArrearsState, owed: Money) -> None:
    """Note how far a contract is in arrears and what it owes so. The caller holds its lock."""
    row = await work.session.get_one(Contract, contract_id)
    row.arrears_state, row.arrears_owed_micros = state.value, owed.micros
    await work.session.flush()


async def list_stopping(work: Work) -> set[str]:
    """List the contracts whose arrears keep jobs from running that nobody has paid for."""
    query = select(Contract.id).where(is_literally(Contract.arrears_state, STOPPING))
    return set(await work.session.scalars(query))


def find_stopping(contract_ids: Collection[str]) -> Command:
    """Make the command that finds the ids of those of some contracts that `list_stopping` lists."""
    return Command(STOPPING_OF, {"contract_ids": list(contract_ids)})


async def list_in_arrears(work: Work) -> set[str]:
    """List the contracts that are in arrears and not closed yet."""
    over = (ArrearsState.CURRENT.value, ArrearsState.CLOSED.value)
    return set(await work.session.scalars(select(Contract.id).where(Contract.arrears_state.not_in(over))))


async def list_current(work: Work, contract_ids: Collection[str]) -> set[str]:
    """List those of some contracts that are in no arrears."""
    query = select(Contract.id).where(
        Contract.id.in_(contract_ids), Contract.arrears_state == ArrearsState.CURRENT.value
    )
    return set(await work.session.scalars(query))


async def has_living_contract(work: Work, customer_id: str) -> bool:
    """Tell whether a customer has a contract for which its data is kept: one that is neither over nor closed.

    One that is over and in arrears counts: customers were told another day for it, or none yet.
    """
    is_over = Contract.cancelled_at.is_not(None) | (Contract.ends_at <= work.now)
    query = select(Contract.id).where(
        Contract.customer_id == customer_id,
        Contract.arrears_state != ArrearsState.CLOSED.value,
        or_(~is_over, is_over.is_(None), Contract.arrears_state != ArrearsState.CURRENT.value),
    )
    return await work.session.scalar(query.limit(1)) is not None
