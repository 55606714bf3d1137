"""What `make bench-estimator` compares with the bars that the requirement names."""

from collections.abc import Sequence

from benchmarks.estimator.fit import PreparedRow
from benchmarks.estimator.held_out import Error, HeldOut, summarize, summarize_programs
from benchmarks.estimator.report import (
    measure_coverage_of_programs,
    measure_peers,
    measure_share_within_p50,
    on_rows_of,
)
from benchmarks.row import Row
from pricing.resources.shipped_constants import Measured

TIME_BAR, PICTURES_BAR, MEMORY_BAR, CALIBRATED_BAR = 0.20, 0.30, 0.10, 0.10
LEAST_COVERED, MOST_COVERED = 0.85, 0.93
LEAST_WITHIN_P50, MOST_WITHIN_P50 = 0.45, 0.55
# A third less error than the simplest rule, and less than each peer.
RULE_BAR, PEER_BAR = 2 / 3, 1.0


def judge_held_out(rows: Sequence[PreparedRow], found: HeldOut, calibrated: Sequence[Error]) -> list[Row]:
    """Judge the errors of held-out programs; a bar stands as the peer of the error that it bounds."""
    five = Row("time after five rows of the program", "share", summarize(calibrated), "the bar", CALIBRATED_BAR, 1.0)
    return [*_judge("held out", rows, found), five]


def judge_apart(rows: Sequence[PreparedRow], found: HeldOut) -> list[Row]:
    """Judge medians by the rows whose sources state all that a request must say, coverage by all rows.

    The medians over all rows stand beside. Source: decision 0125.
    """
    stated = HeldOut(_pick_stated(found.time, "time"), _pick_stated(found.memory, "memory"), found.wrong)
    judged = _judge("kept apart", rows, stated, covered=found)
    if len(stated.time) == len(found.time) and len(stated.memory) == len(found.memory):
        return judged
    text, pictures = _part(found.time)
    return [
        *judged,
        *_bound("time of text, kept apart, all rows", text, TIME_BAR),
        *_bound("time of pictures, kept apart, all rows", pictures, PICTURES_BAR),
        *_bound("memory, kept apart, all rows", found.memory, MEMORY_BAR),
    ]


def _pick_stated(errors: Sequence[Error], measured: Measured) -> list[Error]:
    return [error for error in errors if error.row.row.leaves_open not in {measured, "both"}]


def _part(errors: Sequence[Error]) -> tuple[list[Error], list[Error]]:
    """Part the errors of text from those of pictures."""
    text = [error for error in errors if error.row.row.kind != "pictures"]
    return text, [error for error in errors if error.row.row.kind == "pictures"]


def _judge(name: str, rows: Sequence[PreparedRow], found: HeldOut, *, covered: HeldOut | None = None) -> list[Row]:
    """Judge medians by `found`, coverage and what was said not to fit by `covered`, where that is more."""
    everything = covered or found
    text, pictures = _part(found.time)
    of_rule, of_kavier, of_fitcheck = measure_peers(rows)
    return [
        *_bound(f"time of text, {name}", text, TIME_BAR),
        *_bound(f"time of pictures, {name}", pictures, PICTURES_BAR),
        *_bound(f"memory, {name}", found.memory, MEMORY_BAR),
        *_center(f"time of text, {name}", _part(everything.time)[0]),
        *_center(f"time of pictures, {name}", _part(everything.time)[1]),
        *_center(f"memory, {name}", everything.memory),
        *_cover(f"time, {name}", everything.time),
        *_cover(f"memory, {name}", everything.memory),
        Row(
            f"ran, said not to fit, {name}", "rows", len(everything.wrong), "rows that ran", len(everything.memory), 0.0
        ),
        *_beat(f"time of text, {name}", text, "the rule", of_rule, RULE_BAR),
        *_beat(f"time, {name}", text, "kavier", of_kavier, PEER_BAR),
        *_beat(f"memory, {name}", found.memory, "fitcheck-llm", of_fitcheck, PEER_BAR),
    ]


def _bound(name: str, errors: Sequence[Error], bar: float) -> list[Row]:
    """Compare the median over rows with the bar, and beside it that over programs, which a stranger's is like."""
    if not errors:
        return []
    return [
        Row(f"{name}: median error", "share", summarize(errors), "the bar", bar, 1.0),
        Row(f"{name}: median error of programs", "share", summarize_programs(errors), "the bar", bar, 1.0),
    ]


def _center(name: str, errors: Sequence[Error]) -> list[Row]:
    """Compare the share of what was published at or below p50 with its band, every program as one."""
    if not errors:
        return []
    share = measure_share_within_p50(errors)
    return [
        Row(f"{name}: at or below p50, at least", "share", share, "the band", LEAST_WITHIN_P50, 1.0, better="higher"),
        Row(f"{name}: at or below p50, at most", "share", share, "the band", MOST_WITHIN_P50, 1.0),
    ]


def _cover(name: str, errors: Sequence[Error]) -> list[Row]:
    """Compare coverage with its band; a program counts as its rows, four at most, as where its width was learnt.

    The rows of the sets that judge are those that tell: by what was estimated before anybody had seen them.
    """
    if not errors:
        return []
    share = measure_coverage_of_programs([error for error in errors if error.is_judge] or errors)
    return [
        Row(f"{name}: below p90, at least", "share", share, "the band", LEAST_COVERED, 1.0, better="higher"),
        Row(f"{name}: below p90, at most", "share", share, "the band", MOST_COVERED, 1.0),
    ]


def _beat(name: str, ours: Sequence[Error], peer: str, errors: Sequence[Error], bar: float) -> list[Row]:
    same = on_rows_of(ours, errors)
    if not same:
        return []
    theirs = on_rows_of(errors, same)
    return [Row(f"{name}: median error", "share", summarize(same), peer, summarize(theirs), bar)]
