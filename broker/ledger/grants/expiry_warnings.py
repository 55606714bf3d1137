"""Warnings before a grant expires with something left in it: 30, 7 and 1 days before, as events of its contract."""

from datetime import datetime, timedelta

from broker.contracts import service as contracts
from broker.contracts.keeping.events import ContractEventKind, record_contract_event
from broker.contracts.terms.model import GrantTerms
from broker.ledger.grants.grant_balances import read_grant_balances
from broker.work import Work

WARNING_DAYS = (1, 7, 30)


def find_warning(grant: GrantTerms, now: datetime) -> int | None:
    """Find the warning that is due of a grant, in days before it expires: the latest one that has come. Pure.

    A grant that did not last so long when it began is not warned of so early.
    """
    for days in WARNING_DAYS:
        warned_at = None if grant.expires_at is None else grant.expires_at - timedelta(days=days)
        if warned_at is not None and grant.effective_at < warned_at <= now:
            return days
    return None


async def list_grants_to_warn_of(work: Work) -> list[str]:
    """List the grants that a warning may be due of, whether or not it has been told."""
    ending = await contracts.list_grants_ending(work, timedelta(days=max(WARNING_DAYS)))
    return [grant.id for grant in ending if find_warning(grant, work.now) is not None]


async def warn_of_expiry(work: Work, grant_id: str) -> bool:
    """Record the warning that is due of a grant with something left in it; tells whether it is new."""
    grant = await contracts.get_grant(work, grant_id)
    days = find_warning(grant, work.now)
    (balance,) = await read_grant_balances(work, [grant])
    if days is None or grant.expires_at is None or not balance.free + balance.held:
        return False
    facts = {
        "grant_id": grant.id,
        "days": days,
        "expires_at": grant.expires_at.isoformat(),
        "unit": grant.unit.value,
        "left": balance.free,
        "held": balance.held,
    }
    terms = await contracts.get_contract(work, grant.contract_id)
    occasion = f"{grant.id}/{grant.expires_at.isoformat()}/{days}"
    return await record_contract_event(work, terms, ContractEventKind.GRANT_EXPIRING, facts, occasion=occasion)
