"""The contracts that uses of customers may run under, locked and read beside others in one message of the driver.

One that is only looked at needs no lock (`find_contract`). Else the lock comes first: what it guards, here and in other
features, is read by the statements after it.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, ColumnElement, DateTime, Select, Text, any_, bindparam, cast, or_, select

from broker import errors
from broker.contracts.cards.rate_cards import select_published_versions
from broker.contracts.keeping.grants import read_grant
from broker.contracts.service import is_in_force, load_rows
from broker.contracts.tables import Contract, Grant
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.persistence.driver import Command, Row, RowFormat, Statement, require
from broker.persistence.tenancy import ASKING, is_seen, owns
from broker.work import Work

ONE = bindparam("contract_id", type_=Text)
CONTRACTS, GRANTS = RowFormat(Contract), RowFormat(Grant)
# A contract's row, and the versions of the cards that one may follow.
CONTRACT_ROW = (Contract.__table__, select_published_versions())


class Place(NamedTuple):
    """Whose use of what it is, and the contract that it names, if it does."""

    customer_id: str
    contract_id: str | None


def _are_candidates() -> ColumnElement[bool]:
    """Make the condition that a contract is a named one, or in force for a use that names none, and the customer's."""
    owners, named, choosers = (bindparam(name, type_=ARRAY(Text)) for name in ("owners", "named", "choosers"))
    in_force = is_in_force(bindparam("moment", type_=DateTime(timezone=True)))
    chosen = (Contract.customer_id == any_(choosers)) & in_force
    return (Contract.customer_id == any_(owners)) & or_(Contract.id == any_(named), chosen)


def select_candidate_ids() -> Select[str]:
    """Select their ids, as part of a larger statement; it takes the parameters of `identify_candidates`."""
    return select(Contract.id).where(_are_candidates())


def make_lock(are_meant: ColumnElement[bool], *, planned_once: bool = False) -> Statement:
    """Make the statement that locks contracts in the order of their ids, and reads them; see `read_candidates`."""
    locked = select(*CONTRACT_ROW).where(are_meant).order_by(Contract.id)
    return Statement(locked.with_for_update(of=Contract, key_share=True), planned_once=planned_once)


def make_lock_of(contract_ids: Select[str]) -> tuple[Statement, Statement]:
    """Make the statements that lock the contracts that a larger query names, and read their grants."""
    locked = make_lock(Contract.id.in_(contract_ids) & is_seen(Contract.customer_id), planned_once=True)
    own = Grant.contract_id.in_(contract_ids) & is_seen(Grant.customer_id)
    return locked, Statement(select(Grant.__table__).where(own).order_by(Grant.id), planned_once=True)


LOCK = make_lock(_are_candidates())
# What is told by heart is confirmed by versions and balances: those who do so share the lock, and nobody else has it.
LOCK_REMEMBERED = Statement(
    select(Contract.id).where(_are_candidates()).order_by(Contract.id).with_for_update(read=True)
)
REQUIRE_CARDS = require(
    cast(select_published_versions(), ARRAY(Text)).is_not_distinct_from(bindparam("cards", type_=ARRAY(Text)))
)
THEIR_GRANTS = Statement(
    select(Grant.__table__).where(Grant.contract_id.in_(select_candidate_ids())).order_by(Grant.id)
)


def identify_candidates(places: Collection[Place], moment: datetime) -> dict[str, object]:
    """Make the parameters by which statements find contracts: those named, and all in force where one is not."""
    return {
        "owners": sorted({place.customer_id for place in places}),
        "named": sorted({place.contract_id for place in places if place.contract_id is not None}),
        "choosers": sorted({place.customer_id for place in places if place.contract_id is None}),
        "moment": moment,
    }


def lock_candidates(places: Collection[Place], moment: datetime) -> list[Command]:
    """Make the commands that lock the contracts, and read them and their grants; see `read_candidates`."""
    asked = identify_candidates(places, moment)
    return [Command(LOCK, asked), Command(THEIR_GRANTS, asked)]


def lock_remembered(places: Collection[Place], moment: datetime) -> Command:
    """Make the command that locks contracts whose terms are remembered.

    That these are as before is told by their reserves' versions, and by the cards that are published.
    """
    return Command(LOCK_REMEMBERED, identify_candidates(places, moment))


def require_cards(cards: Sequence[str] | None) -> Command:
    """Make the command that ends its message where other cards are published than of these versions."""
    return Command(REQUIRE_CARDS, {"cards": None if cards is None else list(cards)})


CONTRACT = Statement(select(*CONTRACT_ROW).where(Contract.id == ONE, owns(Contract.customer_id)))
ITS_GRANTS = Statement(
    select(Grant.__table__).where(Grant.contract_id == ONE, owns(Grant.customer_id)).order_by(Grant.id)
)


def find_contract(contract_id: str, *, seen_by: str | None) -> list[Command]:
    """Make the commands that read a contract and its grants, without a lock; `read_contract` reads what they find.

    `seen_by`: the customer whose rows are the only ones seen; None for those who see every customer's.
    """
    asked = {ONE.key: contract_id, ASKING.key: seen_by}
    return [Command(CONTRACT, asked), Command(ITS_GRANTS, asked)]


async def read_contract(
    work: Work, contract_id: str, contract_rows: Sequence[Row], grant_rows: Sequence[Row]
) -> tuple[ContractTerms, list[GrantTerms]]:
    """Read the terms of a contract and its grants from the rows of `find_contract`. Raises: NotFound."""
    found = await read_candidates(work, contract_rows, grant_rows)
    if contract_id not in found:
        raise errors.NotFound("contract", contract_id)
    return found[contract_id]


def share_out_contracts(
    contract_rows: Sequence[Row], grant_rows: Sequence[Row]
) -> defaultdict[str, tuple[list[Row], list[Row]]]:
    """Share the rows of `lock_candidates` out among the customers whose they are."""
    shares: defaultdict[str, tuple[list[Row], list[Row]]] = defaultdict(lambda: ([], []))
    for row in contract_rows:
        shares[CONTRACTS.owner_of(row)][0].append(row)
    for row in grant_rows:
        shares[GRANTS.owner_of(row)][1].append(row)
    return shares


async def read_candidates(
    work: Work, contract_rows: Sequence[Row], grant_rows: Sequence[Row]
) -> dict[str, tuple[ContractTerms, list[GrantTerms]]]:
    """Read the terms of the contracts and their grants from the rows of `lock_candidates`, by the contracts' ids."""
    grants: defaultdict[str, list[GrantTerms]] = defaultdict(list)
    rows = work.services.rows
    for row in grant_rows:
        grant = rows.find(GrantTerms, row[0], row) or rows.keep(row[0], read_grant(row), row)
        grants[grant.contract_id].append(grant)
    return {each.id: (each, grants[each.id]) for each in await _read_terms(work, contract_rows)}


async def _read_terms(work: Work, contract_rows: Sequence[Row]) -> list[ContractTerms]:
    """Read terms from rows of `CONTRACT_ROW`, in the order of their ids; those that change with time are not kept."""
    rows, known, unknown = work.services.rows, dict[str, ContractTerms](), list[Row]()
    for row in contract_rows:
        terms = rows.find(ContractTerms, row[0], row)
        if terms is None:
            unknown.append(row)
        else:
            known[terms.id] = terms
    if unknown:
        loaded = await load_rows(work, [CONTRACTS.read(row[:-1]) for row in unknown], unknown[0][-1])
        for row, terms in zip(unknown, loaded, strict=True):
            known[terms.id] = terms if terms.changes else rows.keep(terms.id, terms, row)
    return [known[contract_id] for contract_id in sorted(known)]


def list_candidates(
    known: Mapping[str, tuple[ContractTerms, Sequence[GrantTerms]]], contract_id: str | None, moment: datetime
) -> list[ContractTerms]:
    """List those of a customer's contracts that one use may run under: the one named, or all in force. Pure."""
    if contract_id is None:
        return [terms for terms, _grants in known.values() if terms.covers(moment)]
    return [known[contract_id][0]] if contract_id in known else []
