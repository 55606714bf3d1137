"""What every quote on one data set is made from, read in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Date, DateTime, String, bindparam

from broker import errors
from broker.base_models import service as base_models
from broker.calibrations import service as calibrations
from broker.capacity import service as capacity
from broker.capacity.start_forecasts import (
    ExpectedStarts,
    QueueStarts,
    find_queue_starts,
    read_starts,
    select_starts,
)
from broker.clock import local_day
from broker.contracts import service as contracts
from broker.contracts.reading.grant_prices import GrantPrice, read_grant_prices, select_grant_prices
from broker.contracts.reading.prices import PriceList, make_price_list, prefer_contract, read_in_force, select_in_force
from broker.contracts.terms.model import ContractTerms
from broker.datasets import service as datasets
from broker.datasets.service import Dataset
from broker.identity.service import get_project
from broker.persistence.driver import Command, Row, Statement
from broker.quotes.costing.beyond_grants import QuotedUsage, add_prices_beyond
from broker.work import Services, Work
from pricing.calibration.calibration import Calibration
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.offered import OfferedModels
from pricing.rate_card import NoPriceInForce, RateCard

INPUTS = Statement(
    datasets.select_dataset(bindparam("dataset_id", type_=String), bindparam("customer_id", type_=String)).add_columns(
        contracts.select_card_version(bindparam("today", type_=Date)),
        select_in_force(Dataset.__table__.c.customer_id, bindparam("now", type_=DateTime(timezone=True))),
        capacity.select_pool_types(bindparam("seen_since", type_=DateTime(timezone=True))),
        select_starts(Dataset.__table__.c.customer_id),
        calibrations.select_newest_version(),
        base_models.select_offer_version(),
        select_grant_prices(Dataset.__table__.c.customer_id),
    )
)


@dataclass(frozen=True)
class TypeInputs:
    """A GPU type that an open pool has, else any pool; `prices` are the customer's on every plan there.

    `machine_load` is that of the machine behind the pool; None where its agent has not told within a lease. `largest`:
    so many GPUs of the type has the machine that has most; None where no pool is known.
    """

    gpu: GpuProfile
    prices: PriceList
    machine_load: float | None
    largest: int | None


@dataclass(frozen=True)
class QuoteInputs:
    """`types` are those that the job may run on, by the names of their pools; at least one.

    `starts`: when jobs that came now would start on each, in the queue that the job would enter.
    """

    dataset: Dataset
    card: RateCard
    types: Sequence[TypeInputs]
    starts: ExpectedStarts
    queue: str
    calibration: Calibration
    offered: OfferedModels

    def find_starts(self, gpus: int, now: datetime) -> QueueStarts | None:
        """Find when a job of so many GPUs would start on each type; None where no cycle has told."""
        return find_queue_starts(self.starts, self.queue, gpus, now)


def find_inputs(services: Services, dataset_id: str, *, seen_by: str | None) -> Command:
    """Make the command that finds the data set, its customer's contracts in force, and the newest of everything else.

    `seen_by`: the customer whose rows are the only ones seen; None for those who see every customer's.
    """
    now = services.clock()
    today = local_day(now, services.settings.time_zone)
    seen_since = now - timedelta(seconds=services.settings.lease_seconds)
    times = {"today": today, "now": now, "seen_since": seen_since}
    return Command(INPUTS, {"dataset_id": dataset_id, "customer_id": seen_by, **times})


async def fetch_inputs(work: Work, dataset_id: str) -> list[Row]:
    """Fetch what `find_inputs` finds, in a transaction that is open already."""
    (found,) = await work.run_together([find_inputs(work.services, dataset_id, seen_by=work.confined_to)])
    return found


async def read_inputs(
    work: Work,
    found: Sequence[Row],
    dataset_id: str,
    contract_id: str | None = None,
    project_id: str | None = None,
    *,
    closed_too: bool = False,
) -> QuoteInputs:
    """Read the inputs from what `find_inputs` found: the contracts in force, or the one named; for a project's job.

    `closed_too`: of all pools, whether they are open or not.

    Raises: NotFound; NoContractInForce, where the one named is not; pricing.rate_card.NoPriceInForce.
    """
    now = work.now
    if not found:
        raise errors.NotFound("dataset", dataset_id)
    *dataset_columns, card_version, in_force, pool_types, starts, calibration, offer_version, grant_prices = found[0]
    if card_version is None:
        raise NoPriceInForce(local_day(now, work.settings.time_zone))
    dataset = datasets.read_dataset(tuple(dataset_columns))
    if project_id is not None:
        await _require_project(work, dataset.customer_id, project_id)
    card = await contracts.get_rate_card(work, card_version)
    own = await read_in_force(work, in_force)
    terms = await prefer_contract(work, dataset.customer_id, own, contract_id)
    granted = read_grant_prices(grant_prices)
    types = capacity.read_pool_types(pool_types, work.settings.gpu_type)
    return QuoteInputs(
        dataset=dataset,
        card=card,
        types=[
            TypeInputs(
                of.gpu,
                await _list_prices(work, card, terms, granted, of.gpu, project_id),
                of.machine_load,
                of.largest,
            )
            for of in (capacity.list_pool_types(pool_types or ()) if closed_too else types)
        ],
        starts=read_starts(starts),
        queue=_choose_queue(terms, contract_id),
        calibration=await calibrations.get_calibration(work, calibration),
        offered=await base_models.read_offer_of(work, offer_version),
    )


def _choose_queue(terms: Sequence[ContractTerms], contract_id: str | None) -> str:
    """Choose the queue that the job would enter: that of the contract that would pay, where it is clear which."""
    is_clear = len(terms) == 1 or (terms and contract_id is not None)
    return terms[0].home_queue if is_clear else capacity.STANDARD_QUEUE


async def _list_prices(
    work: Work,
    card: RateCard,
    terms: Sequence[ContractTerms],
    granted: Mapping[str, Sequence[GrantPrice]],
    gpu: GpuProfile,
    project_id: str | None,
) -> PriceList:
    """List the prices of every plan on a GPU type, and of the contracts that charge them also those beyond grants."""
    prices = make_price_list(card, terms, work.now, gpu.sku)
    return await add_prices_beyond(work, prices, terms, granted, QuotedUsage(gpu.sku, project_id))


async def _require_project(work: Work, customer_id: str, project_id: str) -> None:
    """Refuse a project of somebody else. Raises: NotFound."""
    project = await get_project(work, project_id)
    if project.customer_id != customer_id:
        raise errors.NotFound("project", project_id)
