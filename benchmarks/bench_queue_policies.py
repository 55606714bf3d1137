"""How well our disciplines serve those who wait, on public traces, beside first come, EASY and EASY++ in the same run.

The traces stand outside of the repository: in `../shared/data/traces`, or where BENCH_TRACES says; without
them these rows are left out. What judges is named by each row. Published figures were reached by other simulators:
`docs/simulation.md` tells how near ours comes to them.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from benchmarks.row import Row
from broker.cli.local.trace_files import load_trace
from broker.scheduling.planning.values.pools import Discipline
from broker.scheduling.simulation.csv_trace import CsvColumns, TimeColumn, TimeUnit, read_csv
from broker.scheduling.simulation.measures import EndedJob, Measures, measure_run
from broker.scheduling.simulation.policy import Backfill, Deadlines, PolicySettings
from broker.scheduling.simulation.simulate import EstimateKind, Setup, simulate
from broker.scheduling.simulation.swf import read_swf
from broker.scheduling.simulation.trace import TraceJob

FOLDER = Path(os.environ.get("BENCH_TRACES", Path(__file__).parents[2] / "shared/data/traces"))
DAY = 86_400.0
FIRST_COME = PolicySettings(Discipline.FIRST_COME, Backfill.NONE)
EASY = PolicySettings(Discipline.FIRST_COME, Backfill.FIRST_COME)
SHORTEST_BACKFILLED = PolicySettings(Discipline.FIRST_COME, Backfill.SHORTEST_FIRST)  # EASY++, once runs are predicted
FAIR = PolicySettings()
# By the planner that plans live, as FAIR is.
SHORTEST = PolicySettings(Discipline.SHORTEST_REMAINING, max_wait_seconds=3 * DAY)
SHORTEST_PREEMPTIVE = PolicySettings(Discipline.SHORTEST_REMAINING, preempt=True)
ATTAINED = PolicySettings(Discipline.LEAST_ATTAINED, preempt=True, aging_slowdown=100.0)
PROMISING = PolicySettings(Discipline.SHORTEST_REMAINING, preempt=True, deadlines=Deadlines.PROMISE)


@dataclass(frozen=True)
class Run:
    """A trace under a policy."""

    ended: Sequence[EndedJob]
    total_gpus: int

    @cached_property
    def measures(self) -> Measures:
        return measure_run(self.ended, self.total_gpus)

    @property
    def longest_wait_seconds(self) -> float:
        return max(job.wait_seconds for job in self.ended)


@dataclass(frozen=True)
class Stage:
    """A trace and the GPUs that it is replayed on."""

    jobs: Sequence[TraceJob]
    total_gpus: int
    node_size: int

    def run(self, policy: PolicySettings, estimates: EstimateKind) -> Run:
        return Run(
            simulate(self.jobs, Setup(self.total_gpus, self.node_size, policy, estimates)).ended, self.total_gpus
        )


def measure() -> list[Row]:
    if not FOLDER.is_dir():
        return []
    return [*measure_kth(), *measure_muri(), *measure_philly()]


def measure_kth() -> list[Row]:
    """Measure on KTH-SP2, whose jobs cannot be preempted."""
    stage = Stage(load_trace(FOLDER / "kth-sp2.swf.gz", read_swf).jobs, 100, 1)
    easy = stage.run(EASY, EstimateKind.USER)
    easy_plus = stage.run(SHORTEST_BACKFILLED, EstimateKind.PREDICTED)
    clairvoyant = stage.run(SHORTEST_BACKFILLED, EstimateKind.PERFECT)
    first_come = stage.run(FIRST_COME, EstimateKind.USER)
    fair = stage.run(FAIR, EstimateKind.USER)
    ours = {kind: stage.run(SHORTEST, kind) for kind in EstimateKind}

    def compare(name: str, run: Run, peer_name: str, peer: float, bar: float) -> Row:
        return Row(f"KTH-SP2, average bounded slowdown, {name}", "times", _slowdown(run), peer_name, peer, bar)

    return [
        compare("EASY in our simulator", easy, "as published", 92.6, 1.05),
        compare("EASY++ in our simulator", easy_plus, "as published", 69.4, 1.05),
        compare("EASY++ that knows run times", clairvoyant, "as published", 49.8, 1.05),
        compare("fair, users' estimates", fair, "EASY", _slowdown(easy), 1),
        compare("shortest service, users' estimates", ours[EstimateKind.USER], "EASY++", _slowdown(easy_plus), 1),
        compare("shortest service, learned ones", ours[EstimateKind.PREDICTED], "EASY++", _slowdown(easy_plus), 0.85),
        compare(
            "shortest service, true ones",
            ours[EstimateKind.PERFECT],
            "EASY++ that knows them",
            _slowdown(clairvoyant),
            1,
        ),
        Row(
            "KTH-SP2, longest wait, shortest service, users' estimates",
            "days",
            ours[EstimateKind.USER].longest_wait_seconds / DAY,
            "first come",
            first_come.longest_wait_seconds / DAY,
            1,
        ),
    ]


def _slowdown(run: Run) -> float:
    return run.measures.avg_bounded_slowdown


def measure_muri() -> list[Row]:
    """Measure on Muri's third trace: 64 GPUs as 8 x 8, 30 s of restart for each preemption."""
    milliseconds = TimeUnit.MILLISECONDS
    columns = CsvColumns(TimeColumn("submit_time", milliseconds), TimeColumn("duration", milliseconds))
    stage = Stage(load_trace(FOLDER / "muri_trace3.csv", lambda lines: read_csv(lines, columns)).jobs, 64, 8)
    first_come, easy = stage.run(FIRST_COME, EstimateKind.PERFECT), stage.run(EASY, EstimateKind.PERFECT)
    shortest = stage.run(SHORTEST_PREEMPTIVE, EstimateKind.PERFECT)
    attained = stage.run(ATTAINED, EstimateKind.USER)
    return [
        _compare_completion("shortest remaining service", shortest, "SRSF as published", 185_022.0, 1),
        _compare_completion("shortest remaining service", shortest, "EASY", easy.measures.avg_jct_s, 1),
        _compare_completion("shortest remaining service", shortest, "first come", first_come.measures.avg_jct_s, 1),
        _compare_completion("least attained service", attained, "Tiresias as published", 347_213.0, 1),
        _compare_completion("least attained service", attained, "first come", first_come.measures.avg_jct_s, 1),
        _compare_worst("shortest remaining service", shortest, first_come),
        _compare_worst("least attained service", attained, first_come),
    ]


def _compare_completion(name: str, run: Run, peer_name: str, peer: float, bar: float) -> Row:
    return Row(f"Muri trace 3, mean completion, {name}", "s", run.measures.avg_jct_s, peer_name, peer, bar)


def _compare_worst(name: str, run: Run, peer: Run) -> Row:
    title = f"Muri trace 3, largest slowdown, {name}"
    return Row(title, "times", run.measures.max_slowdown, "first come", peer.measures.max_slowdown, 1)


def measure_philly() -> list[Row]:
    """Measure on philly_103959 with 24 GPUs, of whose 876 deadlines 410 could be met on an idle cluster."""
    columns = CsvColumns(deadline=TimeColumn("ddl"))
    stage = Stage(load_trace(FOLDER / "philly_103959.csv", lambda lines: read_csv(lines, columns)).jobs, 24, 8)
    first_come = stage.run(FIRST_COME, EstimateKind.PERFECT)
    promising = stage.run(PROMISING, EstimateKind.PERFECT)
    promised = [job for job in promising.ended if job.promised]
    kept = sum(job.met_deadline for job in promised)
    met = promising.measures.deadline_met_ratio or 0.0
    title = "philly_103959 on 24 GPUs, deadlines"
    return [
        Row(f"{title} met, promised at the door", "share", met, "a limit", 0.42, 1, better="higher"),
        Row(
            f"{title} met, promised at the door",
            "share",
            met,
            "first come",
            first_come.measures.deadline_met_ratio or 0.0,
            1,
            better="higher",
        ),
        Row(f"{title} kept of those promised", "jobs", kept, "promised", len(promised), 1, better="higher"),
    ]
