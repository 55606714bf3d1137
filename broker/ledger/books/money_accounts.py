"""The accounts of money of several contracts at once: found in one go, and opened where they are new."""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, or_, select

from broker.ledger.books.accounts import describe_account
from broker.ledger.books.model import AccountKind
from broker.ledger.tables import Account
from broker.persistence.membership import is_one_of
from broker.persistence.set_writes import command_inserts
from broker.work import Work
from pricing.usage import Unit


class MoneyAccount(NamedTuple):
    """An account of money by what it is of: a contract's, a grant's of it, or the house's own where there is none."""

    contract_id: str | None
    customer_id: str | None
    kind: AccountKind
    grant_id: str | None = None


async def open_money_accounts(work: Work, wanted: Collection[MoneyAccount]) -> Mapping[MoneyAccount, str]:
    """Open accounts at zero, where they are new. Returns their ids. The caller holds the contracts' locks."""
    places = dict.fromkeys(wanted)
    known = await _find(work, places)
    missing = [place for place in places if place not in known]
    if not missing:
        return known
    rows = [
        {"id": work.new_id("acc"), "customer_id": place.customer_id, "contract_id": place.contract_id}
        | describe_account(Unit.MICRO_YUAN, place.kind, grant_id=place.grant_id)
        for place in missing
    ]
    await work.run_together(command_inserts(Account, rows, skipping=True))
    return known | await _find(work, missing)


async def _find(work: Work, places: Collection[MoneyAccount]) -> dict[MoneyAccount, str]:
    query = select(Account.contract_id, Account.customer_id, Account.kind, Account.grant_id, Account.id).where(
        _are_of(places), Account.unit == Unit.MICRO_YUAN.value, Account.kind.in_({place.kind.value for place in places})
    )
    rows = await work.session.execute(query)
    return {
        MoneyAccount(contract_id, customer_id, AccountKind(kind), grant_id): account_id
        for contract_id, customer_id, kind, grant_id, account_id in rows
    }


def _are_of(places: Collection[MoneyAccount]) -> ColumnElement[bool]:
    contract_ids = {place.contract_id for place in places}
    own = is_one_of(Account.contract_id, contract_ids - {None})
    return or_(own, Account.contract_id.is_(None)) if None in contract_ids else own
