"""What a cluster's job says of the run that it is, where the run's own files say nothing. Pure."""

from typing import Protocol

from broker.execution.engine import RunObservation, RunState

NEVER_STARTED = "its trainer was never started; do the nodes see BROKER_RUNS_DIR at the same path?"


class ClusterJob(Protocol):
    """A job as its cluster tells it now. `detail`: in the cluster's words, how it ended and where."""

    @property
    def run_state(self) -> RunState: ...

    @property
    def exit_code(self) -> int | None: ...

    @property
    def detail(self) -> str: ...


def judge_job(run_id: str, job: ClusterJob, *, has_started: bool) -> RunObservation:
    """Judge a run by its job. One that ended and has not started a trainer tells nothing by its exit code."""
    state = job.run_state
    if state is RunState.EXITED and has_started:
        return RunObservation(run_id, state, job.exit_code, job.detail)
    if state is RunState.EXITED:
        return RunObservation(run_id, RunState.GONE, detail=f"{job.detail}: {NEVER_STARTED}")
    return RunObservation(run_id, state, detail=job.detail if state is RunState.GONE else "")
