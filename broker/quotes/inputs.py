"""What every quote on one data set stands on, asked in one statement."""

from dataclasses import dataclass

from sqlalchemy import Date, String, bindparam

from broker import errors
from broker.capacity import service as scheduling
from broker.contracts import service as contracts
from broker.datasets import service as datasets
from broker.datasets.tables import Dataset
from broker.estimator import service as estimator
from broker.persistence.driver import Statement, fetch_row
from broker.work import Work
from pricing.calibration.calibration import Calibration
from pricing.rate_card import NoPriceInForce, RateCard

GROUND = Statement(
    datasets.select_dataset(bindparam("dataset_id", type_=String), bindparam("customer_id", type_=String)).add_columns(
        contracts.select_card_version(bindparam("today", type_=Date)),
        scheduling.select_first_sku(),
        estimator.select_newest_version(),
    )
)


@dataclass(frozen=True)
class Ground:
    """`sku` is the device type that is quoted for: that of the first open pool, else the broker's own setting."""

    dataset: Dataset
    card: RateCard
    sku: str
    calibration: Calibration


async def look_up(work: Work, dataset_id: str) -> Ground:
    """The data set, and the newest of all else. Raises: NotFound; pricing.rate_card.NoPriceInForce."""
    today = work.now.date()
    asked = {"dataset_id": dataset_id, "customer_id": work.confined_to, "today": today}
    found = await fetch_row(work.connection, GROUND, asked)
    if found is None:
        raise errors.NotFound("dataset", dataset_id)
    *dataset, card_version, sku, calibration_version = found
    if card_version is None:
        raise NoPriceInForce(today)
    return Ground(
        dataset=datasets.read_dataset(dataset),
        card=await contracts.get_rate_card(work, card_version),
        sku=sku or work.settings.local_sku,
        calibration=await estimator.get_calibration(work, calibration_version),
    )
