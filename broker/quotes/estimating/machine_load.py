"""How busy this machine is, where it is the one that runs: a run beside others takes longer than its estimate."""

import os

from broker.config import Settings


def read_machine_load(settings: Settings, sku: str) -> float | None:
    """Read the load of the last minute for each core; None for devices that this machine's own engine does not have.

    What the broker's other runs take here is counted, too.
    """
    if settings.local_slots == 0 or sku != settings.local_sku:
        return None
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
