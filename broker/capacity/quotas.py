"""What ops sets of a contract beside others: its weight in the fair share, and how much it may run at one time."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import ARRAY, Text, any_, bindparam, inspect, select

from broker.capacity.tables import ContractQuota
from broker.contracts import service as contracts
from broker.http.versions import require_version
from broker.persistence.database import wake_dispatcher
from broker.persistence.driver import Command, Row, RowFormat, Statement
from broker.work import Work

__all__ = ["ContractQuota", "change_quota", "get_quota", "list_quotas"]

USUAL_WEIGHT = 100
SET_BY_OPS = ("weight", "max_gpus", "max_jobs")
QUOTA_ROWS = RowFormat(ContractQuota)
QUOTAS = Statement(
    select(*inspect(ContractQuota).local_table.columns).where(
        ContractQuota.contract_id == any_(bindparam("contract_ids", type_=ARRAY(Text)))
    )
)


async def get_quota(work: Work, contract_id: str) -> ContractQuota:
    """Get the quota of a contract, or one of a contract for which ops has set nothing. Raises: NotFound."""
    found = await work.session.get(ContractQuota, contract_id)
    return found or _make_usual(work, contract_id, (await contracts.get_contract(work, contract_id)).customer_id)


async def list_quotas(work: Work, contract_ids: Collection[str]) -> dict[str, ContractQuota]:
    """List what ops has set of contracts, by contract; most have nothing."""
    (rows,) = await work.run_together([find_quotas(contract_ids)])
    return read_quotas(rows)


def find_quotas(contract_ids: Collection[str]) -> Command:
    """Make the command that finds what ops has set of contracts."""
    return Command(QUOTAS, {"contract_ids": list(contract_ids)}, finds_nothing=not contract_ids)


def read_quotas(rows: Iterable[Row]) -> dict[str, ContractQuota]:
    """Read what ops has set, by contract, from the rows of `find_quotas`. They are records: nobody changes them."""
    return {quota.contract_id: quota for quota in map(QUOTA_ROWS.read, rows)}


def list_quota_settings(quota: ContractQuota) -> dict[str, Any]:
    """List what ops has set of a contract. Pure."""
    return {name: getattr(quota, name) for name in SET_BY_OPS}


async def change_quota(
    work: Work, contract_id: str, changes: Mapping[str, Any], reason: str, seen: str | None = None
) -> ContractQuota:
    """Change what is set of a contract, and have the next cycle planned at once; `seen`: the version looked at.

    Raises: NotFound, VersionMismatch.
    """
    terms = await contracts.get_contract(work, contract_id)
    lock = {"key_share": True}
    quota = await work.session.get(ContractQuota, contract_id, with_for_update=lock, populate_existing=True)
    if quota is None:
        quota = _make_usual(work, contract_id, terms.customer_id)
        work.session.add(quota)
    before = list_quota_settings(quota)
    require_version(seen, before, changes, what=("quota", contract_id))
    for name, value in changes.items():
        setattr(quota, name, value)
    quota.reason, quota.updated_at = reason, work.now
    work.note_change("contract_quota", contract_id, before, changes)
    await wake_dispatcher(work.session)
    return quota


def _make_usual(work: Work, contract_id: str, customer_id: str) -> ContractQuota:
    return ContractQuota(
        contract_id=contract_id,
        customer_id=customer_id,
        weight=USUAL_WEIGHT,
        max_gpus=None,
        max_jobs=None,
        reason="",
        updated_at=work.now,
        created_at=work.now,
    )
