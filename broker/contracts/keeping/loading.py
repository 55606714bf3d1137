"""Contracts as their rows say them, with the rate cards that they follow: one or several, and under their locks."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Select, func, inspect, select, text

from broker import errors
from broker.contracts.cards.rate_cards import follow_cards, read_followed, read_published
from broker.contracts.keeping.rows import to_terms
from broker.contracts.tables import GUARANTEED_AT_ANY_TIME, Contract
from broker.contracts.terms.model import ContractTerms
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.persistence.membership import is_one_of
from broker.work import Work

# Found by an index of these few contracts: every scheduling cycle asks.
IS_GUARANTEED = Contract.cancelled_at.is_(None) & text(GUARANTEED_AT_ANY_TIME)
CONTRACTS = RowFormat(Contract)
GUARANTEED = Statement(select(*inspect(Contract).local_table.columns).where(IS_GUARANTEED).order_by(Contract.id))


async def get_contract(work: Work, contract_id: str) -> ContractTerms:
    """Get a contract's terms. Raises: NotFound."""
    row = await work.session.get(Contract, contract_id)
    if row is None:
        raise errors.NotFound("contract", contract_id)
    return await load_row(work, row)


async def lock_contract(work: Work, contract_id: str) -> ContractTerms:
    """Lock a contract: everything that moves its balances takes its turn here. Raises: NotFound."""
    return (await lock_contracts(work, {contract_id}))[contract_id]


async def lock_contracts(work: Work, contract_ids: Collection[str]) -> dict[str, ContractTerms]:
    """Lock contracts in the order of their ids, all that a transaction will lock: so no two wait for each other.

    Returns their terms by id. Raises: NotFound.
    """
    query = _under_lock(select(Contract).where(is_one_of(Contract.id, contract_ids)).order_by(Contract.id))
    locked = {row.id: row for row in await work.session.scalars(query)}
    for contract_id in contract_ids:
        if contract_id not in locked:
            raise errors.NotFound("contract", contract_id)
    return {terms.id: terms for terms in await load_rows(work, list(locked.values()))}


def _under_lock(query: Select[Contract]) -> Select[Contract]:
    return query.with_for_update(key_share=True).execution_options(populate_existing=True)


async def load_terms(work: Work, contract_ids: set[str]) -> dict[str, ContractTerms]:
    """Load the terms of several contracts, by their ids."""
    rows = (await work.session.scalars(select(Contract).where(is_one_of(Contract.id, contract_ids)))).all()
    return {terms.id: terms for terms in await load_rows(work, rows)}


async def load_row(work: Work, row: Contract) -> ContractTerms:
    """Load the terms that a row of `contracts` holds, with the rate cards that it follows."""
    (terms,) = await load_rows(work, [row])
    return terms


async def load_rows(work: Work, rows: Sequence[Contract], versions: Sequence[str] | None = None) -> list[ContractTerms]:
    """Load the terms that rows of `contracts` hold: of however many with at most one statement for their cards.

    None, where the `versions` of the published cards came with them. A card that this process has not read yet takes
    one more.
    """
    published = await read_followed(work, rows, versions)
    return [to_terms(row, await follow_cards(work, row, published), work.now) for row in rows]


async def list_customers_of(work: Work, contract_ids: Collection[str]) -> dict[str, str]:
    """List whose contracts these are, by contract."""
    query = select(Contract.id, Contract.customer_id).where(Contract.id.in_(contract_ids))
    return dict((await work.session.execute(query)).all())


async def list_committed(work: Work) -> list[ContractTerms]:
    """List the contracts that have committed to hours at any time, the oldest first; none that was cancelled."""
    committed = (Contract.committed_gpu_hours > 0) | (func.jsonb_array_length(Contract.changes) > 0)
    query = select(Contract.id).where(committed, Contract.cancelled_at.is_(None))
    found = await load_terms(work, set(await work.session.scalars(query)))
    return [found[contract_id] for contract_id in sorted(found)]


async def list_guaranteed(work: Work) -> list[ContractTerms]:
    """List the contracts to which GPUs are guaranteed at any time, by id; none that was cancelled."""
    (rows,) = await work.run_together([find_guaranteed()])
    return await read_guaranteed(work, rows)


def find_guaranteed() -> Command:
    """Make the command that finds the contracts to which GPUs are guaranteed; see `list_guaranteed`."""
    return Command(GUARANTEED)


async def read_guaranteed(work: Work, rows: Sequence[Row]) -> list[ContractTerms]:
    """Read the terms of contracts from the rows of `find_guaranteed`; where there is none, nothing is asked."""
    return await load_rows(work, [CONTRACTS.read(row) for row in rows])


async def with_published_cards(work: Work, terms: ContractTerms) -> ContractTerms:
    """Answer terms that know every published card, for an amendment that chooses among them."""
    known = {card.version for card in terms.cards}
    others = (card for card in await read_published(work) if card.version not in known)
    return replace(terms, cards=(*terms.cards, *others))
