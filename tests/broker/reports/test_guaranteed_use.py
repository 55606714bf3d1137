"""Guaranteed GPUs are used by their contracts, lent to others, or idle; what was lent is never more than was left."""

from collections import defaultdict
from datetime import date
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.reports.guaranteed_use import GuaranteedUse, TypeDay, add_days, share_day
from broker.system import System
from tests.broker.conftest import ManualClock
from tests.broker.factories import Api, make_ready_customer
from tests.broker.pools import register_pool
from tests.broker.running_jobs import HOUR, report_usage, start_job

DAY = 24 * HOUR
SECONDS = st.integers(0, 10 * DAY)


def make_day(capacity: int, guaranteed: dict[str, int], used: dict[str | None, int]) -> TypeDay:
    return TypeDay(capacity, defaultdict(int, guaranteed), defaultdict(int, used))


def test_what_others_use_beyond_what_is_nobodys_was_lent() -> None:
    """Four GPUs, two of them guaranteed to one, who uses one; others use two and a half: half a GPU was lent."""
    day = make_day(4 * DAY, {"con_1": 2 * DAY}, {"con_1": DAY, None: 2 * DAY, "con_2": DAY // 2})
    assert share_day("a100", day) == GuaranteedUse("a100", 2 * DAY, DAY, DAY // 2)


def test_what_a_contract_uses_beyond_its_guarantee_is_borrowed_as_others_do() -> None:
    day = make_day(2 * DAY, {"con_1": DAY, "con_2": DAY}, {"con_1": 2 * DAY})
    assert share_day("a100", day) == GuaranteedUse("a100", 2 * DAY, DAY, DAY)


def test_days_add_up_and_a_type_of_which_nothing_is_guaranteed_is_left_out() -> None:
    first, second = (make_day(2 * DAY, {"con_1": DAY}, {"con_1": used}) for used in (0, DAY))
    days = {
        ("a100", date(2026, 11, 1)): first,
        ("a100", date(2026, 11, 2)): second,
        ("h100", date(2026, 11, 1)): make_day(DAY, {}, {None: DAY}),
    }
    assert add_days(days) == [GuaranteedUse("a100", 2 * DAY, DAY, 0)]


@given(SECONDS, st.dictionaries(st.sampled_from(["a", "b"]), SECONDS, min_size=1), st.data())
def test_nothing_is_lent_or_used_twice(capacity: int, guaranteed: dict[str, int], data: Any) -> None:
    used = data.draw(st.dictionaries(st.sampled_from([None, "a", "b", "c"]), SECONDS))
    use = share_day("a100", make_day(capacity, guaranteed, used))
    assert 0 <= use.used <= use.guaranteed == sum(guaranteed.values())
    assert 0 <= use.lent <= use.left
    assert use.used + use.lent <= sum(used.values())


async def test_pool_margin_tells_what_became_of_guarantees(api: Api, system: System, clock: ManualClock) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=1)
    guarantee = [{"gpu_type": "cpu", "gpus": 1, "monthly_price": "900.00"}]
    holder = await make_ready_customer(
        api, plan="long_term", committed_gpu_hours=2000, overage="contract", guaranteed_gpus=guarantee
    )
    own = {"queue": f"dedicated:{holder.contract['id']}"}
    job = await start_job(system, holder, gpu_seconds=10 * HOUR, tokens=0, **own)
    clock.advance(hours=5)
    await report_usage(system, job, gpu_seconds=4 * HOUR, tokens=0)
    clock.advance(days=2)
    (told,) = (await api.get("/reports/pool-margin", month="2026-11"))["guarantees"]
    hours = [told[f"{each}_gpu_hours"] for each in ("guaranteed", "used", "left", "lent")]
    assert (told["gpu_type"], hours) == ("cpu", ["273.0000", "4.0000", "269.0000", "0.0000"])
