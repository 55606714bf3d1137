"""The contracts that uses of a customer may run under, locked and read beside others in one message of the driver.

The lock comes first: what it guards, here and in other features, is read by the statements after it.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, DateTime, Select, String, bindparam, or_, select

from broker.contracts.grants import read_grant
from broker.contracts.model import ContractTerms, GrantTerms
from broker.contracts.service import is_in_force, load_rows
from broker.contracts.tables import Contract, Grant
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.persistence.tenancy import owns
from broker.work import Work

NAMED = bindparam("contract_id", type_=String)
CONTRACTS = RowFormat(Contract)


def _are_candidates() -> ColumnElement[bool]:
    """Make the condition that a contract is the one named, or else in force, and the customer's."""
    in_force = NAMED.is_(None) & is_in_force(bindparam("moment", type_=DateTime(timezone=True)))
    own: ColumnElement[bool] = Contract.customer_id == bindparam("customer_id", type_=String)
    return own & or_(Contract.id == NAMED, in_force)


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


def identify_candidates(customer_id: str, contract_id: str | None, moment: datetime) -> dict[str, object]:
    """Make the parameters by which statements find a customer's contracts: the one named, or all in force."""
    return {"customer_id": customer_id, "contract_id": contract_id, "moment": moment}


def lock_candidates(customer_id: str, contract_id: str | None, moment: datetime) -> list[Command]:
    """Make the commands that lock the contracts, and read them and their grants; see `read_candidates`."""
    asked = identify_candidates(customer_id, contract_id, moment)
    return [Command(LOCK, asked), Command(THEIR_GRANTS, asked)]


async def read_candidates(
    work: Work, contract_rows: Sequence[Row], grant_rows: Sequence[Row]
) -> dict[str, tuple[ContractTerms, list[GrantTerms]]]:
    """Read the terms of the contracts and their grants from the rows of `lock_candidates`, by the contracts' ids."""
    grants = [read_grant(row) for row in grant_rows]
    terms = await load_rows(work, [CONTRACTS.read(row) for row in contract_rows])
    return {each.id: (each, [grant for grant in grants if grant.contract_id == each.id]) for each in terms}
