"""A balance is read anew where its rows or the time have changed, and recalled where neither has."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from broker.contracts.terms.changes import TermsChange
from broker.contracts.terms.model import NO_ROLLOVER, GrantStatus, GrantTerms
from broker.ledger.reading.balance import find_next_change
from pricing.grants import ALL_GPU_SECONDS, GrantKind
from tests.broker.conftest import ManualClock
from tests.broker.contract_terms import make_terms
from tests.broker.factories import Api, customer_api, make_customer, sign_contract

NOW = datetime(2026, 11, 10, 4, tzinfo=UTC)
MONTH_END = datetime(2026, 11, 30, 16, tzinfo=UTC)  # midnight in Shanghai
GRANT = GrantTerms(
    id="gra_1",
    contract_id="con_1",
    customer_id="cus_1",
    kind=GrantKind.BOUGHT,
    scope=ALL_GPU_SECONDS,
    quantity=3600,
    unit_price=Decimal("5.2"),
    priority=0,
    advance=True,
    invoice_id="inv_1",
    status=GrantStatus.ACTIVE,
    credited=True,
    reason=None,
    rollover=NO_ROLLOVER,
    effective_at=NOW,
    expires_at=None,
    created_at=NOW,
)


@pytest.mark.parametrize(
    ("begins_in", "ends_in", "changes_in", "expected"),
    [
        (-9, None, None, MONTH_END),
        (1, None, None, NOW + timedelta(days=1)),
        (-9, 2, None, NOW + timedelta(days=2)),
        (-9, 0, None, MONTH_END),
        (3, 4, 2, NOW + timedelta(days=2)),
        (-9, 40, -1, MONTH_END),
    ],
)
def test_balance_changes_by_itself_when_a_month_a_grant_or_the_terms_do(
    begins_in: int, ends_in: int | None, changes_in: int | None, expected: datetime
) -> None:
    ends = None if ends_in is None else NOW + timedelta(days=ends_in)
    grant = replace(GRANT, effective_at=NOW + timedelta(days=begins_in), expires_at=ends)
    changes = () if changes_in is None else (TermsChange(NOW + timedelta(days=changes_in), {}),)
    assert find_next_change(make_terms(changes=changes), [grant], NOW) == expected


async def test_balance_that_was_recalled_changes_with_the_time_alone(api: Api, clock: ManualClock) -> None:
    customer = await make_customer(api)
    contract = await sign_contract(api, customer["id"], monthly_budget="100.00")
    ends = (clock.now + timedelta(hours=2)).isoformat()
    gift = {"contract_id": contract["id"], "kind": "promotional", "gpu_hours": "2", "expires_at": ends}
    await api.post("/grants", gift | {"reason": "welcome"}, expect=201)
    async with customer_api(api, customer["id"]) as own:
        seen = []
        for hours in (0, 1, 1, 24 * 30):
            clock.advance(hours=hours)
            seen.append(await own.get(f"/contracts/{contract['id']}/balance"))
    assert [each["available_gpu_seconds"] for each in seen] == [7200, 7200, 0, 0]
    assert [each["month"] for each in seen] == ["2026-11"] * 3 + ["2026-12"]
    assert len({each["as_of"] for each in seen}) == 4
