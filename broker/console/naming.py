"""How pages of staff name what has an id: contracts by customer and number, invoices by number, jobs by their names."""

import re
from collections.abc import Collection, Iterable, Mapping

from broker.billing import service as billing
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.terms.model import dedicated_queue_name
from broker.identity import service as identity
from broker.jobs import service as jobs
from broker.work import Work

OBJECT_ID = re.compile(r"\b(?:con|cus|job|inv)_[0-9a-z]+")
DEDICATED = dedicated_queue_name("")


async def name_queues(work: Work, queues: Collection[str]) -> dict[str, str]:
    """Name the dedicated ones of some queues by their customer and contract; others have names that people gave."""
    named = await name_contracts(work, {each.removeprefix(DEDICATED) for each in queues if each.startswith(DEDICATED)})
    return {dedicated_queue_name(contract_id): name for contract_id, name in named.items()}


async def name_contracts(work: Work, contract_ids: Collection[str]) -> dict[str, str]:
    """Name contracts by their customer and number; one without a number by the day on which it begins."""
    terms = await contracts.load_terms(work, set(contract_ids))
    customers = await identity.list_names(work, {each.customer_id for each in terms.values()})
    numbers = {each.id: each.contract_number for each in terms.values()}
    days = {each.id: str(local_day(each.starts_at, each.time_zone)) for each in terms.values()}
    return {
        each.id: f"{customers[each.customer_id]} · {days[each.id] if numbers[each.id] == each.id else numbers[each.id]}"
        for each in terms.values()
    }


async def name_objects(work: Work, object_ids: Collection[str]) -> dict[str, str]:
    """Name what decisions were on: contracts, their queues, customers, jobs that have a name, invoices by number."""
    of = {begin: [each for each in object_ids if each.startswith(begin)] for begin in ("con_", "cus_", "job_", "inv_")}
    queues = await name_queues(work, object_ids)
    named = {job.id: job.name for job in await jobs.load_jobs(work, of["job_"]) if job.name}
    numbers = await billing.list_invoice_numbers(work, of["inv_"])
    customers = await identity.list_names(work, of["cus_"])
    return {**queues, **named, **numbers, **customers, **await name_contracts(work, of["con_"])}


async def name_told(work: Work, texts: Iterable[str]) -> dict[str, str]:
    """Name what texts for people mention by its id; what has no name is left out."""
    found = {each for text in texts for each in OBJECT_ID.findall(text)}
    return await name_objects(work, found) if found else {}


def write_names(text: str, names: Mapping[str, str]) -> str:
    """Write a text with names in place of the ids that are known. Pure."""
    return OBJECT_ID.sub(lambda found: names.get(found[0], found[0]), text)
