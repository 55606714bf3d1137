"""What `make bench-estimator` compares with the bars that the requirement names."""

from collections.abc import Sequence

from benchmarks.estimator.fit import PreparedRow
from benchmarks.estimator.held_out import Error, HeldOut, summarize, summarize_programs
from benchmarks.estimator.report import measure_coverage_of_programs, measure_peers, on_rows_of
from benchmarks.row import Row

TIME_BAR, PICTURES_BAR, MEMORY_BAR, CALIBRATED_BAR = 0.20, 0.30, 0.10, 0.10
LEAST_COVERED, MOST_COVERED = 0.85, 0.93
# A third less error than the simplest rule, and less than each peer.
RULE_BAR, PEER_BAR = 2 / 3, 1.0


def judge_held_out(rows: Sequence[PreparedRow], found: HeldOut, calibrated: Sequence[Error]) -> list[Row]:
    """Judge the errors of held-out programs; a bar stands as the peer of the error that it bounds."""
    five = Row("time after five rows of the program", "share", summarize(calibrated), "the bar", CALIBRATED_BAR, 1.0)
    return [*_judge("held out", rows, found), five]


def judge_apart(rows: Sequence[PreparedRow], found: HeldOut) -> list[Row]:
    return _judge("kept apart", rows, found)


def _judge(name: str, rows: Sequence[PreparedRow], found: HeldOut) -> list[Row]:
    pictures = [error for error in found.time if error.row.row.kind == "pictures"]
    text = [error for error in found.time if error.row.row.kind != "pictures"]
    of_rule, of_kavier, of_fitcheck = measure_peers(rows)
    return [
        *_bound(f"time of text, {name}", text, TIME_BAR),
        *_bound(f"time of pictures, {name}", pictures, PICTURES_BAR),
        *_bound(f"memory, {name}", found.memory, MEMORY_BAR),
        *_cover(f"time, {name}", found.time),
        *_cover(f"memory, {name}", found.memory),
        Row(f"ran, said not to fit, {name}", "rows", len(found.wrong), "rows that ran", len(found.memory), 0.0),
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
    return [Row(f"{name}: median error", "share", summarize(same), peer, summarize(errors), bar)]
