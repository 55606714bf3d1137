"""`broker ledger reconcile`: nothing differs where the books are right, whatever was taken back of closed months."""

import pytest

from broker.reports.reconciliation import reconcile_books
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api
from tests.broker.ledger.correcting.test_closed_months import take_back, use_and_close


@pytest.mark.parametrize("left", [0, 100])
async def test_what_a_later_month_takes_back_of_a_closed_one_is_no_difference(
    api: Api, system: System, clock: ManualClock, left: int
) -> None:
    """The sums by price keep what a closed month billed; the link took what came back since for missing."""
    _customer, job = await use_and_close(api, system, clock)
    await take_back(api, clock, job, used=left)
    async with system.work() as work:
        links = await reconcile_books(work)
    assert [link.name for link in links if link.differences] == []
    (sums,) = [link.totals["gpu_seconds"] for link in links if "rate segments" in link.name]
    assert sums == (left * 3600, left * 3600)
