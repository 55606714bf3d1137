"""What is left of guarantees when there are fewer GPUs than were guaranteed: each contract has its share. Pure.

Source: the method of the largest remainder (Hamilton): shares in whole GPUs, none above what was guaranteed.
"""

from collections.abc import Mapping


def share_out(promised: Mapping[str, int], there: int) -> dict[str, int]:
    """Share the GPUs that are there among contracts by what each was promised; ties fall by name. Units: whole GPUs."""
    total = sum(promised.values())
    if total <= there:
        return dict(promised)
    shares = {name: gpus * there // total for name, gpus in promised.items()}
    by_remainder = sorted(promised, key=lambda name: (-(promised[name] * there % total), name))
    for name in by_remainder[: there - sum(shares.values())]:
        shares[name] += 1
    return shares
