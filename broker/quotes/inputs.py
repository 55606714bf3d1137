"""What every quote on one data set is made from, read in one statement."""

from dataclasses import dataclass

from sqlalchemy import Date, String, bindparam

from broker import errors
from broker.base_models import service as base_models
from broker.calibrations import service as calibrations
from broker.capacity import service as capacity
from broker.contracts import service as contracts
from broker.datasets import service as datasets
from broker.datasets.service import Dataset
from broker.persistence.driver import Statement, fetch_row
from broker.work import Work
from pricing.calibration.calibration import Calibration
from pricing.catalog import get_gpu
from pricing.catalog.gpu import GpuProfile
from pricing.catalog.offered import OfferedModels
from pricing.rate_card import NoPriceInForce, RateCard

INPUTS = Statement(
    datasets.select_dataset(bindparam("dataset_id", type_=String), bindparam("customer_id", type_=String)).add_columns(
        contracts.select_card_version(bindparam("today", type_=Date)),
        capacity.select_first_sku(),
        calibrations.select_newest_version(),
        base_models.select_offer_version(),
    )
)


@dataclass(frozen=True)
class QuoteInputs:
    """`gpu` is the type that is quoted for: that of the first open pool, else the broker's own setting."""

    dataset: Dataset
    card: RateCard
    gpu: GpuProfile
    calibration: Calibration
    offered: OfferedModels


async def read_inputs(work: Work, dataset_id: str) -> QuoteInputs:
    """Read the data set, and the newest of everything else. Raises: NotFound; pricing.rate_card.NoPriceInForce."""
    today = work.now.date()
    asked = {"dataset_id": dataset_id, "customer_id": work.confined_to, "today": today}
    found = await fetch_row(work.connection, INPUTS, asked)
    if found is None:
        raise errors.NotFound("dataset", dataset_id)
    *dataset, card_version, sku, calibration_version, offer_version = found
    if card_version is None:
        raise NoPriceInForce(today)
    return QuoteInputs(
        dataset=datasets.read_dataset(dataset),
        card=await contracts.get_rate_card(work, card_version),
        gpu=get_gpu(sku or work.settings.local_sku),
        calibration=await calibrations.get_calibration(work, calibration_version),
        offered=await base_models.read_offer_of(work, offer_version),
    )
