"""When a run that has outlived its prediction is expected to end. Pure.

Source: Tsafrir, Etsion, Feitelson, "Backfilling Using System-Generated Predictions Rather than User Runtime Estimates"
(2007): a prediction that proved too short is lengthened by growing steps, so that a reservation is neither moved every
second nor kept at a moment that has passed.
"""

from bisect import bisect_right
from datetime import datetime, timedelta
from itertools import accumulate

STEPS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 15, 30, 60, 120, 300, 600, 1200, 3000, 6000))
REACHED = tuple(accumulate(STEPS))


def correct_end(predicted: datetime, now: datetime) -> datetime:
    """Correct the predicted end of a run that still runs: always later than now, whenever it is asked."""
    if predicted > now:
        return predicted
    step = bisect_right(REACHED, now - predicted)
    return predicted + REACHED[step] if step < len(REACHED) else now + STEPS[-1]
