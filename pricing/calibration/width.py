"""How wide an interval is where no run of this installation says it: by the errors of published programs. Pure."""

import math

Z_90 = 1.2816


def combine_spreads(*spreads: float) -> float:
    """Combine the standard deviations of errors that do not depend on each other."""
    return math.hypot(*spreads)
