"""What contracts used lately, as the planner weighs it: read now and then, since it moves slowly."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.metering.reading.decayed import add_up_decayed
from broker.work import Work

READ_EVERY = timedelta(minutes=1)


@dataclass
class UsageReading:
    """The last reading, by contract. Units: decayed GPU-microseconds."""

    read_at: datetime | None = None
    used: dict[str, int] = field(default_factory=dict)

    async def read(self, work: Work) -> dict[str, int]:
        """Read the usage of all contracts, or tell the last reading while it is young."""
        if self.read_at is None or not timedelta() <= work.now - self.read_at < READ_EVERY:
            half_life = timedelta(days=work.settings.fair_share_half_life_days)
            self.used, self.read_at = await add_up_decayed(work, half_life), work.now
        return self.used
