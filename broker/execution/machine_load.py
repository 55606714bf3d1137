"""How busy the machine of an agent is: a run beside others takes longer than its estimate."""

import os


def read_machine_load() -> float:
    """Read the load of the last minute for each core. What runs of the broker take is counted, too."""
    return round(os.getloadavg()[0] / (os.cpu_count() or 1), 2)
