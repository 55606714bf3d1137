"""How much a contract has committed to by a moment of its term: a line from its beginning to its end. Pure.

An amendment of hours or of the end begins another line where the old one has come to, so that what was committed to
before stays as it was; a new plan begins a commitment of its own, at nothing (decision 0045). Units: GPU-seconds.
"""

from datetime import datetime, timedelta
from fractions import Fraction

from broker.contracts.terms.changes import CommitmentPoint, TermsChange
from broker.contracts.terms.model import ContractTerms

SECONDS_PER_HOUR = 3600
MICROSECOND = timedelta(microseconds=1)

Point = tuple[datetime, CommitmentPoint]


def commits_anew(terms: ContractTerms) -> bool:
    """Tell whether a contract commits to its hours anew each year: it has no end, or had none until it was ended."""
    points = (change.commitment for change in terms.changes)
    return terms.ends_at is None or any(point is not None and point.former is None for point in points)


def count_committed(terms: ContractTerms, moment: datetime) -> int:
    """Count what a contract commits to in the whole of its term, by what is agreed at a moment."""
    return _find_point(list_points(terms), moment)[1].total


def count_reached(terms: ContractTerms, moment: datetime) -> Fraction:
    """Compute what of its commitment belongs to the time up to a moment, exactly; all of it at the contract's end."""
    return _reach(list_points(terms), terms.ends_at, moment)


def list_points(terms: ContractTerms) -> list[Point]:
    """List from when on a contract commits to how much, as signed first, planned changes among them."""
    signed = terms.changes[0].values["committed_gpu_hours"] if terms.changes else terms.committed_gpu_hours
    points = [(terms.starts_at, CommitmentPoint(Fraction(0), Fraction(0), signed * SECONDS_PER_HOUR))]
    for change in terms.changes[1:]:
        point = change.commitment or _make_point(points, terms.ends_at, change)
        if point is not None:
            points.append((change.effective_at, point))
    return points


def _make_point(points: list[Point], ends_at: datetime | None, change: TermsChange) -> CommitmentPoint | None:
    """Make the point of a change from before there were any: its hours counted in full, whenever it came."""
    if "committed_gpu_hours" not in change.values:
        return None
    former = _reach(points, ends_at, change.effective_at)
    reached = Fraction(0) if "plan" in change.values else former
    return CommitmentPoint(former, reached, change.values["committed_gpu_hours"] * SECONDS_PER_HOUR)


def _find_point(points: list[Point], moment: datetime) -> Point:
    return next((each for each in reversed(points) if each[0] <= moment), points[0])


def _reach(points: list[Point], ends_at: datetime | None, moment: datetime) -> Fraction:
    """Compute where the line through the points is at a moment; the last one leads to the end."""
    begins_at, begun = _find_point(points, moment)
    if ends_at is None or moment <= begins_at:
        return begun.reached
    following = next((each for each in points if each[0] > moment), None)
    until, goal = (ends_at, Fraction(begun.total))
    if following is not None:
        until, goal = following[0], following[1].former or Fraction(0)
    if moment >= until:
        return goal
    share = Fraction((moment - begins_at) // MICROSECOND, (until - begins_at) // MICROSECOND)
    return begun.reached + (goal - begun.reached) * share


def find_commitment_start(terms: ContractTerms, moment: datetime) -> datetime:
    """Find when the contract came to the plan that it is on at a moment."""
    begins, plan = terms.starts_at, terms.at(terms.starts_at).plan
    for change in terms.changes:
        own = change.values.get("plan", plan)
        if change.effective_at <= moment and own != plan:
            begins, plan = change.effective_at, own
    return begins
