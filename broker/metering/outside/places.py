"""Whose usage an event tells of: its subject, a contract, a project or a job, leads to the contract that is charged."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from broker.contracts import service as contracts
from broker.contracts.terms.model import ContractTerms
from broker.errors import FieldError
from broker.identity.service import load_projects
from broker.jobs.service import load_jobs
from broker.metering.outside.measured import MeasuredEvent
from broker.work import Work


@dataclass(frozen=True)
class Place:
    """The contract that usage is charged to, and the project and job that it is counted for."""

    terms: ContractTerms
    project_id: str | None = None
    job_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Owner:
    """Who a project's or a job's usage belongs to; a job's is charged to the job's own contract, and has its labels."""

    customer_id: str
    project_id: str | None
    job_id: str | None = None
    contract_id: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Places:
    """All that the subjects of some events can mean."""

    contracts: Mapping[str, ContractTerms]
    owners: Mapping[str, Owner]

    def find(self, event: MeasuredEvent) -> Place | FieldError:
        """Find the place of an event, or tell why it has none."""
        owner = self.owners.get(event.subject)
        if owner is None:
            return self._find_contract(event.subject, event) or no_subject(event)
        named = owner.contract_id or event.data.contract_id
        if named is not None:
            place = self._find_contract(named, event)
            fits = place is not None and place.terms.customer_id == owner.customer_id
            found = [place.terms] if place is not None and fits else []
        else:
            found = _choose_in_force(self._list_of(owner.customer_id), event)
        if len(found) == 1:
            return Place(found[0], owner.project_id, owner.job_id, owner.labels)
        return _no_contract(found, named)

    def _find_contract(self, contract_id: str, event: MeasuredEvent) -> Place | None:
        terms = self.contracts.get(contract_id)
        agrees = event.data.contract_id in {None, contract_id}
        return Place(terms) if terms is not None and agrees else None

    def _list_of(self, customer_id: str) -> Sequence[ContractTerms]:
        return [terms for terms in self.contracts.values() if terms.customer_id == customer_id]


def _choose_in_force(candidates: Sequence[ContractTerms], event: MeasuredEvent) -> list[ContractTerms]:
    """Choose the contracts in force from an event's beginning to its end; where none was, those in force at its end.

    What ends just where a contract does is of that one, and not of the next, which begins there.
    """
    whole = [each for each in candidates if each.covers(event.started_at) and not each.ends_before(event.time)]
    return whole or [each for each in candidates if each.covers(event.time)]


def no_subject(event: MeasuredEvent) -> FieldError:
    """Tell that an event's subject leads nowhere, or nowhere that its source may lead."""
    return FieldError("subject", f"there is no contract, project or job {event.subject}")


def _no_contract(found: Sequence[ContractTerms], named: str | None) -> FieldError:
    if named is not None:
        return FieldError("data.contract_id", f"there is no contract {named} of the subject's customer")
    if found:
        ids = ", ".join(sorted(terms.id for terms in found))
        return FieldError("data.contract_id", f"several contracts were in force then ({ids}); name one")
    return FieldError("time", "no contract of the subject's customer was in force then")


async def read_places(work: Work, events: Iterable[MeasuredEvent]) -> Places:
    """Read what the subjects of events can mean, each once."""
    events = list(events)
    subjects = {event.subject for event in events}
    owners = await _find_owners(work, subjects)
    wanted = {subject for subject in subjects if subject.startswith("con_")}
    wanted |= {event.data.contract_id for event in events if event.data.contract_id is not None}
    wanted |= {owner.contract_id for owner in owners.values() if owner.contract_id is not None}
    known = await contracts.load_terms(work, wanted) if wanted else {}
    for customer_id in sorted({owner.customer_id for owner in owners.values() if owner.contract_id is None}):
        rows = (await work.session.scalars(contracts.select_contracts(customer_id=customer_id))).all()
        known |= {terms.id: terms for terms in await contracts.load_rows(work, rows)}
    return Places(known, owners)


async def _find_owners(work: Work, subjects: Collection[str]) -> dict[str, Owner]:
    """Find whose the projects and jobs among the subjects are, each kind at once."""
    project_ids, job_ids = ({each for each in subjects if each.startswith(kind)} for kind in ("prj_", "job_"))
    projects = await load_projects(work, project_ids) if project_ids else []
    jobs = await load_jobs(work, job_ids) if job_ids else []
    owners = {project.id: Owner(project.customer_id, project.id) for project in projects}
    own = {job.id: Owner(job.customer_id, job.project_id, job.id, job.contract_id, job.labels) for job in jobs}
    return owners | own
