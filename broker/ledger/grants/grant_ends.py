"""How the unused part of a grant leaves it: made void, expired, or taken out for a refund or a renewal.

What live holds have of a grant is never touched: it comes back when they end, and then leaves by the same way. The
caller holds the contract's lock (decision 0030).
"""

from sqlalchemy import select

from broker import errors
from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import ContractTerms, GrantStatus, GrantTerms
from broker.ledger.books.accounts import NewTransfer, open_account, post_transfer, read_granted
from broker.ledger.books.model import AccountKind, move
from broker.ledger.books.money_books import book_breakage
from broker.ledger.grants.earnings import find_surplus
from broker.ledger.tables import Account
from broker.work import Work


async def read_unused(work: Work, grant: GrantTerms) -> int:
    """Read what is free in a grant: neither used nor held. Units: the grant's own. The contract is locked."""
    return (await read_granted(work, grant.contract_id)).get(grant.id, 0)


async def take_unused(
    work: Work,
    grant: GrantTerms,
    kind: str,
    *,
    most: int | None = None,
    into: AccountKind = AccountKind.ISSUED,
) -> int:
    """Take out of a grant what is free in it, or so much of it; by default it goes back to where it came from.

    Returns how much it was, in the grant's unit.
    """
    free = await read_unused(work, grant)
    free = free if most is None else min(most, free)
    if free:
        own = (grant.contract_id, grant.customer_id, grant.unit)
        source_id = await open_account(work, *own, AccountKind.GRANTED, grant_id=grant.id)
        target_id = await open_account(work, *own, into)
        transfer = NewTransfer(kind, move(source_id, target_id, grant.unit, free), reference=grant.id)
        await post_transfer(work, grant.contract_id, grant.customer_id, transfer)
    return free


async def void_grant(work: Work, grant_id: str, reason: str) -> GrantTerms:
    """Make a grant void: its unused part goes back to where it came from. Again, it changes nothing.

    Nothing is paid back; that is what a refund does.
    Raises: NotFound, IllegalTransition.
    """
    terms, grant = await _lock_grant(work, grant_id)
    if grant.status == GrantStatus.VOID:
        return grant
    if grant.status != GrantStatus.ACTIVE:
        raise errors.IllegalTransition(
            f"Grant {grant.id} is {grant.status}; only an active one can be made void.", status_before=grant.status
        )
    quantity = await _give_up_unused(work, terms, grant, "grant_voided")
    facts = {"grant_id": grant.id, "unit": grant.unit.value, "unused": quantity, "reason": reason}
    await record_contract_event(work, terms, ContractEventKind.GRANT_VOIDED, facts)
    return await contracts.end_grant(work, grant.id, GrantStatus.VOID, reason)


async def expire_grant(work: Work, grant_id: str) -> int:
    """Expire a grant whose term is over: what nobody used of it is gone. Returns how much, in the grant's unit.

    What was paid for it is earned then. One that has ended before gives up what holds have given back to it since.
    Raises: NotFound.
    """
    terms, grant = await _lock_grant(work, grant_id)
    if grant.status == GrantStatus.VOID:
        return await _give_up_unused(work, terms, grant, "grant_voided")
    if grant.status == GrantStatus.ACTIVE:
        await contracts.end_grant(work, grant.id, GrantStatus.EXPIRED)
        await _record_expiry(work, terms, grant)
    return await _give_up_unused(work, terms, grant, "grant_expired", into=AccountKind.EXPIRED)


async def _give_up_unused(
    work: Work, terms: ContractTerms, grant: GrantTerms, kind: str, *, into: AccountKind = AccountKind.ISSUED
) -> int:
    """Take out of a grant what nobody will use any more: what was paid for it is earned. Returns how much it was."""
    unused = await take_unused(work, grant, kind, into=into)
    if unused and grant.advance:
        await book_breakage(work, terms, grant.id, await find_surplus(work, terms, grant), reference=grant.id)
    return unused


async def _record_expiry(work: Work, terms: ContractTerms, grant: GrantTerms) -> None:
    facts = {"grant_id": grant.id, "unit": grant.unit.value, "unused": await read_unused(work, grant)}
    await record_contract_event(work, terms, ContractEventKind.GRANT_EXPIRED, facts, occasion=grant.id)


async def list_grants_to_expire(work: Work) -> list[str]:
    """List the grants whose term is over, and those that have ended and got something back from a hold since."""
    query = select(Account.grant_id).where(
        Account.kind == AccountKind.GRANTED.value,
        Account.balance > 0,
        Account.grant_id.in_(contracts.select_ended_grants()),
    )
    returned = [grant_id for grant_id in await work.session.scalars(query) if grant_id is not None]
    return list(dict.fromkeys([*await contracts.list_expired_grants(work), *returned]))


async def _lock_grant(work: Work, grant_id: str) -> tuple[ContractTerms, GrantTerms]:
    """Lock the contract of a grant and read the grant as it is under the lock. Raises: NotFound."""
    terms = await contracts.lock_contract(work, (await contracts.get_grant(work, grant_id)).contract_id)
    return terms, await contracts.get_grant(work, grant_id)
