"""The contracts that uses of a customer may run under, locked and read beside others in one message of the driver.

One that is only looked at needs no lock (`find_contract`). Else the lock comes first: what it guards, here and in other
features, is read by the statements after it.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import ARRAY, Boolean, ColumnElement, DateTime, Select, String, Text, any_, bindparam, or_, select

from broker import errors
from broker.contracts.grants import read_grant
from broker.contracts.model import ContractTerms, GrantTerms
from broker.contracts.service import is_in_force, load_rows
from broker.contracts.tables import Contract, Grant
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.persistence.tenancy import ASKING, owns
from broker.work import Work

NAMED, ANY_IN_FORCE = bindparam("contract_ids", type_=ARRAY(Text)), bindparam("any_in_force", type_=Boolean)
ONE = bindparam("contract_id", type_=Text)
CONTRACTS = RowFormat(Contract)


def _are_candidates() -> ColumnElement[bool]:
    """Make the condition that a contract is one of those named, or in force where that is asked for; the customer's."""
    in_force = ANY_IN_FORCE & is_in_force(bindparam("moment", type_=DateTime(timezone=True)))
    own: ColumnElement[bool] = Contract.customer_id == bindparam("customer_id", type_=String)
    return own & or_(Contract.id == any_(NAMED), in_force)


def select_candidate_ids() -> Select[str]:
    """Select their ids, as part of a larger statement; it takes the parameters of `identify_candidates`."""
    return select(Contract.id).where(_are_candidates())


def make_lock(are_meant: ColumnElement[bool]) -> Statement:
    """Make the statement that locks contracts in the order of their ids, and reads them; see `read_candidates`."""
    return Statement(select(Contract.__table__).where(are_meant).order_by(Contract.id).with_for_update(key_share=True))


def make_lock_of(contract_ids: Select[str]) -> tuple[Statement, Statement]:
    """Make the statements that lock the contracts that a larger query names, and read their grants."""
    locked = make_lock(Contract.id.in_(contract_ids) & owns(Contract.customer_id))
    own = Grant.contract_id.in_(contract_ids) & owns(Grant.customer_id)
    return locked, Statement(select(Grant.__table__).where(own).order_by(Grant.id))


LOCK = make_lock(_are_candidates())
THEIR_GRANTS = Statement(
    select(Grant.__table__).where(Grant.contract_id.in_(select_candidate_ids())).order_by(Grant.id)
)


def identify_candidates(customer_id: str, contract_ids: Collection[str | None], moment: datetime) -> dict[str, object]:
    """Make the parameters by which statements find a customer's contracts: those named, and for None all in force."""
    named = sorted(each for each in contract_ids if each is not None)
    asked = {"contract_ids": named, "any_in_force": None in contract_ids}
    return {"customer_id": customer_id, "moment": moment, **asked}


def lock_candidates(customer_id: str, contract_ids: Collection[str | None], moment: datetime) -> list[Command]:
    """Make the commands that lock the contracts, and read them and their grants; see `read_candidates`."""
    asked = identify_candidates(customer_id, contract_ids, moment)
    return [Command(LOCK, asked), Command(THEIR_GRANTS, asked)]


CONTRACT = Statement(select(Contract.__table__).where(Contract.id == ONE, owns(Contract.customer_id)))
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


async def read_candidates(
    work: Work, contract_rows: Sequence[Row], grant_rows: Sequence[Row]
) -> dict[str, tuple[ContractTerms, list[GrantTerms]]]:
    """Read the terms of the contracts and their grants from the rows of `lock_candidates`, by the contracts' ids."""
    grants: defaultdict[str, list[GrantTerms]] = defaultdict(list)
    for grant in map(read_grant, grant_rows):
        grants[grant.contract_id].append(grant)
    terms = await load_rows(work, [CONTRACTS.read(row) for row in contract_rows])
    return {each.id: (each, grants[each.id]) for each in terms}
