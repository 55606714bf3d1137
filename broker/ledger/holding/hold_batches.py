"""Holds placed in batches: what contracts have to give is read in one message, and all that was planned written in one.

The contracts are locked by a statement before (`broker.contracts.reading.candidates`). A hold of its own is a batch of
one.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Self

from sqlalchemy import ARRAY, Text, any_, bindparam, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by

from broker.contracts.reading.candidates import Place, identify_candidates, select_candidate_ids
from broker.contracts.terms.model import ContractTerms, GrantTerms
from broker.ids import relate_id
from broker.ledger.books.accounts import NewTransfer, Owner, command_transfers, describe_account
from broker.ledger.books.model import AccountKind, HoldState, Move, move
from broker.ledger.holding.holds import compute_expiry
from broker.ledger.holding.legs import NewLeg, OpenGrants
from broker.ledger.holding.reserves import HoldNeed, Reserves
from broker.ledger.holding.room import read_room
from broker.ledger.tables import Account, Hold, HoldLeg, ReserveVersion
from broker.persistence.driver import Command, Row, Statement, require
from broker.persistence.set_writes import command_inserts
from broker.work import Services, Work
from pricing.usage import Unit

ACCOUNTS = Statement(
    select(
        Account.contract_id, Account.unit, Account.kind, Account.grant_id, Account.month, Account.id, Account.balance
    ).where(Account.contract_id.in_(select_candidate_ids()), Account.cause.is_(None))
)
EARLIER = Statement(
    select(Hold.contract_id, Hold.idempotency_key, Hold.job_id).where(
        Hold.contract_id.in_(select_candidate_ids()),
        Hold.idempotency_key == any_(bindparam("keys", type_=ARRAY(Text))),
    )
)
VERSIONS = Statement(
    select(ReserveVersion.contract_id, ReserveVersion.version)
    .where(ReserveVersion.contract_id.in_(select_candidate_ids()))
    .order_by(ReserveVersion.contract_id)
)
REQUIRE_VERSIONS = require(
    select(
        func.array_agg(
            aggregate_order_by(
                ReserveVersion.contract_id.concat(" ").concat(ReserveVersion.version.cast(Text)),
                ReserveVersion.contract_id.collate("C"),
            )
        )
    )
    .where(ReserveVersion.contract_id.in_(select_candidate_ids()))
    .scalar_subquery()
    == bindparam("versions", type_=ARRAY(Text))
)

AccountKey = tuple[Unit, AccountKind, str | None, str | None]
# Found here, a member costs a tenth of what its class takes to look it up; a batch reads hundreds.
UNITS = {unit.value: unit for unit in Unit}
KINDS = {kind.value: kind for kind in AccountKind}


@dataclass(frozen=True)
class NewHold:
    """A hold as it was planned."""

    job_id: str
    idempotency_key: str
    need: HoldNeed
    legs: Sequence[NewLeg]


@dataclass
class ContractBooks:
    """The reserves of a locked contract before a batch, and its accounts; those that the batch opens come to them.

    `version` is that of the reserves: the same one tells that nothing has come to them since.
    """

    reserves: Reserves
    accounts: dict[AccountKey, str]
    version: int
    opened: list[dict[str, Any]] = field(default_factory=list)

    @property
    def owner(self) -> Owner:
        terms = self.reserves.terms
        return Owner(terms.id, terms.customer_id)

    def after(self, reserves: Reserves) -> "ContractBooks":
        """Make the books that a batch has left, for the next one; the accounts that it has opened are among them."""
        return ContractBooks(reserves, dict(self.accounts), self.version)

    def open(self, services: Services, key: AccountKey, *, unlimited: bool = False) -> str:
        """Open an account, where it is new; returns its id."""
        if key not in self.accounts:
            unit, kind, grant_id, month = key
            terms = self.reserves.terms
            owner = {"id": services.new_id("acc"), "customer_id": terms.customer_id, "contract_id": terms.id}
            what = describe_account(unit, kind, grant_id=grant_id, month=month, unlimited=unlimited)
            self.opened.append(owner | what)
            self.accounts[key] = owner["id"]
        return self.accounts[key]


@dataclass(frozen=True)
class HoldSnapshot:
    """The books of a customer's locked contracts, and the jobs whose holds were placed under these keys before."""

    books: Mapping[str, ContractBooks]
    earlier: Mapping[tuple[str, str], str]


def read_holds(places: Collection[Place], keys: Sequence[str], moment: datetime) -> list[Command]:
    """Make the commands that read what locked contracts have to give; see `read_snapshot`."""
    asked = identify_candidates(places, moment)
    return [
        Command(ACCOUNTS, asked),
        Command(EARLIER, {**asked, "keys": list(keys)}, finds_nothing=not keys),
        Command(VERSIONS, asked),
    ]


def require_versions(places: Collection[Place], moment: datetime, books: Mapping[str, ContractBooks]) -> Command:
    """Make the command that ends its message where locked contracts are others than these, or had others' versions."""
    versions = [f"{contract_id} {books[contract_id].version}" for contract_id in sorted(books)]
    return Command(REQUIRE_VERSIONS, {**identify_candidates(places, moment), "versions": versions})


async def read_snapshot(
    work: Work,
    contracts: Mapping[str, tuple[ContractTerms, Sequence[GrantTerms]]],
    found: Sequence[Sequence[Row]],
    moment: datetime,
) -> HoldSnapshot:
    """Read the snapshot from the rows of `read_holds`, and the room in the budgets of those contracts that have one."""
    accounts, earlier, versions = found
    version_of: dict[str, int] = dict(versions)
    rows: defaultdict[str, list[Row]] = defaultdict(list)
    for row in accounts:
        rows[row[0]].append(row[1:])
    books = {
        contract_id: ContractBooks(
            await _read_reserves(work, terms, grants, moment, rows[contract_id]),
            {_key_of(row): row[4] for row in rows[contract_id]},
            version_of[contract_id],
        )
        for contract_id, (terms, grants) in contracts.items()
    }
    own = {(contract_id, key): job_id for contract_id, key, job_id in earlier if contract_id in books}
    return HoldSnapshot(books, own)


def _key_of(account: Row) -> AccountKey:
    unit, kind, grant_id, month, *_ = account
    return UNITS[unit], KINDS[kind], grant_id, month


async def _read_reserves(
    work: Work, terms: ContractTerms, grants: Sequence[GrantTerms], moment: datetime, accounts: Sequence[Row]
) -> Reserves:
    balances = {_key_of(row): row[5] for row in accounts}
    free = {each.id: balances.get((each.unit, AccountKind.GRANTED, each.id, None), 0) for each in grants}
    opened = OpenGrants.of(grants, free)
    month = terms.billing_month(moment)
    free_of_budget = balances.get((Unit.MICRO_YUAN, AccountKind.BUDGET, None, month))
    room, credit = await read_room(work, terms, month, free=free_of_budget)
    return Reserves(terms, month, opened, room, credit)


def write_holds(services: Services, planned: Sequence[tuple[ContractBooks, NewHold]]) -> list[Command]:
    """Make the commands that write the planned holds of contracts with their legs and transfers, all in one set."""
    if not planned:
        return []
    placed = [PlacedHold.of(services, books, new) for books, new in planned]
    transfers = [
        *_open_budgets(services, planned),
        *((hold.books.owner, _transfer_in(services, hold)) for hold in placed),
    ]
    posted = command_transfers(services, transfers)
    opened = [account for books in _list_books(planned) for account in books.opened]
    times = {"expires_at": compute_expiry(services), "created_at": services.now}
    return [
        *command_inserts(Account, opened),
        *command_inserts(Hold, [_write_hold(hold, times) for hold in placed]),
        *command_inserts(HoldLeg, [leg for hold in placed for leg in _write_legs(hold)]),
        *posted,
    ]


class PlacedHold(NamedTuple):
    """A hold that is written under an id, and the accounts that its legs come from."""

    books: ContractBooks
    new: NewHold
    id: str
    sources: list[str]

    @classmethod
    def of(cls, services: Services, books: ContractBooks, new: NewHold) -> Self:
        """Place a hold; accounts that are new are opened."""
        return cls(books, new, relate_id("hol", new.job_id), [_open_source(services, books, leg) for leg in new.legs])


def _list_books(planned: Sequence[tuple[ContractBooks, NewHold]]) -> list[ContractBooks]:
    return list({books.owner: books for books, _new in planned}.values())


def _write_hold(hold: PlacedHold, times: Mapping[str, datetime]) -> dict[str, Any]:
    terms, new = hold.books.reserves.terms, hold.new
    return {
        "id": hold.id,
        "customer_id": terms.customer_id,
        "contract_id": terms.id,
        "job_id": new.job_id,
        "idempotency_key": new.idempotency_key,
        "project_id": new.need.project_id,
        "gpu_type": new.need.gpu_type,
        "month": hold.books.reserves.month,
        "state": HoldState.PLACED.value,
        **times,
    }


def _write_legs(hold: PlacedHold) -> list[dict[str, Any]]:
    leg_id, customer_id = relate_id("leg", hold.id), hold.books.reserves.terms.customer_id
    return [
        {
            "id": f"{leg_id}_{position}",
            "customer_id": customer_id,
            "hold_id": hold.id,
            "position": position,
            "unit": leg.unit.value,
            "account_id": source,
            "grant_id": leg.grant_id,
            "unit_price": leg.unit_price,
            "month": leg.month,
            "borne": False,
            "extends": False,
            "billable": leg.billable,
            "held": leg.quantity,
            "captured": 0,
            "released": 0,
            "compensated": 0,
        }
        for position, (leg, source) in enumerate(zip(hold.new.legs, hold.sources, strict=True))
    ]


def _open_source(services: Services, books: ContractBooks, leg: NewLeg) -> str:
    unlimited = leg.source == AccountKind.BUDGET and books.reserves.room is None
    return books.open(services, (leg.unit, leg.source, leg.grant_id, leg.month), unlimited=unlimited)


def _transfer_in(services: Services, hold: PlacedHold) -> NewTransfer:
    """Move what a hold reserves from where its legs come from into what is held; it has the hold's ULID."""
    moves: list[Move] = []
    for leg, source in zip(hold.new.legs, hold.sources, strict=True):
        held = hold.books.open(services, (leg.unit, AccountKind.HELD, None, None))
        moves += move(source, held, leg.unit, leg.quantity)
    return NewTransfer("hold_placed", moves, hold.id, hold.new.job_id, id=relate_id("tra", hold.id))


def _open_budgets(
    services: Services, planned: Sequence[tuple[ContractBooks, NewHold]]
) -> list[tuple[Owner, NewTransfer]]:
    """Fill the accounts of the months' budgets that are opened for these holds."""
    used = [books for books, new in planned if any(leg.source == AccountKind.BUDGET for leg in new.legs)]
    opened = {books.owner: transfer for books in used if (transfer := _open_budget(services, books)) is not None}
    return list(opened.items())


def _open_budget(services: Services, books: ContractBooks) -> NewTransfer | None:
    """Fill the account of the month's budget; None where there is none, or it was opened before."""
    month = books.reserves.month
    budget = books.reserves.terms.find_budget(month)
    key = (Unit.MICRO_YUAN, AccountKind.BUDGET, None, month)
    is_new = any(row["id"] == books.accounts.get(key) for row in books.opened)
    if budget is None or not is_new:
        return None
    source = books.open(services, (Unit.MICRO_YUAN, AccountKind.BUDGET_ISSUED, None, None))
    return NewTransfer(
        "budget_opened", move(source, books.open(services, key), Unit.MICRO_YUAN, budget), reference=month
    )
