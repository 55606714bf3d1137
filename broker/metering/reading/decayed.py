"""What each contract used lately: older usage counts less, by half after each half-life."""

from datetime import timedelta

from sqlalchemy import Double, cast, func, select

from broker.metering.tables import UsageRollup
from broker.work import Work

# What is older counts less than a thousandth.
HALF_LIVES = 10
MICROSECONDS = 10**6


async def add_up_decayed(work: Work, half_life: timedelta) -> dict[str, int]:
    """Add up the GPU-seconds of each contract, from the sums by the hour. Units: GPU-microseconds.

    They are added up anew each time, and rounded once: however little is used at a time, all of it counts.
    """
    age = func.extract("epoch", work.now - UsageRollup.hour)
    weight = func.power(cast(0.5, Double), cast(age, Double) / half_life.total_seconds())
    used = func.sum(cast(UsageRollup.gpu_seconds, Double) * weight) * MICROSECONDS
    query = (
        select(UsageRollup.contract_id, used)
        .where(UsageRollup.hour > work.now - HALF_LIVES * half_life)
        .group_by(UsageRollup.contract_id)
    )
    return {contract_id: max(0, round(micros)) for contract_id, micros in await work.session.execute(query)}
