"""Deleting what a customer has made, at its word, and telling what is gone."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Select, select

from broker import errors
from broker.adapters import service as adapters
from broker.contracts import service as contracts
from broker.customer_secrets.service import forget_secrets, select_secrets
from broker.datasets import service as datasets
from broker.datasets import uploads
from broker.environments import service as environments
from broker.exits.tables import CustomerDeletion
from broker.identity.service import lock_customer
from broker.jobs.reading.withdrawal import delete_dataset
from broker.jobs.running import checkpoints
from broker.notices import contacts
from broker.persistence.database import narrow
from broker.persistence.storage import Storage
from broker.webhooks import endpoints
from broker.work import Work

# Where what is deleted lies; the pictures of a version lie with the upload that it was made of.
PLACES = ("storage_key", "base_key")


async def delete_all(work: Work, customer_id: str, *, confirm: str) -> CustomerDeletion:
    """Delete a customer's data sets, open uploads, adapters and checkpoints, and record what they were.

    What is sealed of it goes at once, with what it was for: keys of trackers, environments, webhook endpoints, chats.
    The files go with the next sweep. Raises: NotFound; InvalidRequest, where the name is another; IllegalTransition,
    while jobs are not over.
    """
    customer = await lock_customer(work, customer_id)
    if confirm != customer.name:
        raise errors.invalid_field("confirm", "is not the customer's name; write it exactly, to delete all it has made")
    entries: list[dict[str, Any]] = []
    for dataset in (await work.session.scalars(datasets.select_datasets(customer_id=customer_id))).all():
        await delete_dataset(work, dataset.id)
        entries.append(_describe("dataset", dataset))
    for adapter in (await work.session.scalars(adapters.select_finished(customer_id=customer_id))).all():
        await adapters.delete_adapter(work, adapter.id, withdraws=True)
        entries.append(_describe("adapter", adapter))
    for contract in (await work.session.scalars(contracts.select_contracts(customer_id=customer_id))).all():
        entries += [_describe("checkpoint", each) for each in await checkpoints.list_of_contract(work, contract.id)]
        await checkpoints.delete_of_contract(work, contract.id)
    entries += await _forget_sealed(work, customer_id)
    entries += [_describe("upload", upload) for upload in await uploads.withdraw_uploads(work, customer_id)]
    record = CustomerDeletion(
        id=work.new_id("del"),
        customer_id=customer_id,
        actor_id=work.actor.id,
        entries=sorted(entries, key=lambda each: (each["kind"], each["id"])),
        created_at=work.now,
    )
    work.session.add(record)
    await work.session.flush()
    return record


async def _forget_sealed(work: Work, customer_id: str) -> list[dict[str, Any]]:
    """Forget what is sealed of a customer; returns what it was for, by name."""
    forgotten: dict[str, Sequence[Any]] = {
        "secret": await forget_secrets(work, customer_id),
        "environment": await environments.remove_all(work, customer_id),
        "webhook_endpoint": await endpoints.remove_all(work, customer_id),
        "contact": await contacts.forget_chats(work, customer_id),
    }
    return [{"kind": kind, "id": row.id, "name": row.name} for kind, rows in forgotten.items() for row in rows]


def _describe(kind: str, row: Any) -> dict[str, Any]:
    """Describe what is deleted; an upload, which may not be whole, has no hash."""
    told = {"kind": kind, "id": row.id, "sha256": getattr(row, "sha256", None), "size_bytes": row.size_bytes}
    return {**told, **{name: getattr(row, name, None) for name in PLACES}}


def select_deletions(**wanted: str | None) -> Select[CustomerDeletion]:
    """Select the records of deletions that the actor sees: all, or those with these values."""
    return narrow(select(CustomerDeletion), **wanted)


async def get_deletion(work: Work, deletion_id: str) -> CustomerDeletion:
    """Get the record of a deletion. Raises: NotFound."""
    record = await work.session.get(CustomerDeletion, deletion_id)
    if record is None:
        raise errors.NotFound("deletion", deletion_id)
    return record


async def look_for_all(work: Work, record: CustomerDeletion) -> list[dict[str, Any]]:
    """Look whether all of a deletion is gone, files and sealed values; returns its entries, with what was found."""
    sealed = {row.id for query in _select_sealed(record.customer_id) for row in await work.session.scalars(query)}
    return [
        {name: value for name, value in each.items() if name not in PLACES}
        | {"is_gone": await _is_gone(work.storage, each, sealed)}
        for each in record.entries
    ]


def _select_sealed(customer_id: str) -> list[Select[Any]]:
    """Select what is there of a customer that has something sealed."""
    return [
        select_secrets(customer_id=customer_id),
        environments.select_environments(customer_id=customer_id),
        endpoints.select_endpoints(customer_id=customer_id),
        contacts.select_contacts(customer_id),
    ]


async def _is_gone(storage: Storage, entry: dict[str, Any], sealed: Collection[str]) -> bool:
    keys = [key for name in PLACES if (key := entry.get(name)) is not None]
    return entry["id"] not in sealed if not keys else not any([await storage.size(key) for key in keys])
