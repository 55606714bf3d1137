"""How torch's threads wait for each other on a CPU, which they do a thousand times a step.

To sleep each time costs a fifth of a step; to spin on and on, their default, steals the cores from whatever else runs:
on 2 cores shared with a test run a step took 11 s so, and 6 s sleeping. So they spin for a moment, then sleep.
"""

from collections.abc import MutableMapping

SPINS_BEFORE_SLEEP = "10000"  # about 0.2 ms


def set_waiting(environment: MutableMapping[str, str]) -> None:
    """Set how long to spin unless the user has. OpenMP reads it when torch is loaded, so this must come before."""
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", SPINS_BEFORE_SLEEP)
