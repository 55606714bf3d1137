"""`trainer run`: claim the run, keep the heart beating, train, hand in the result. torch comes after the first beat."""

import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pricing.training.check_config import is_check_config
from pricing.training.config_parsing import ConfigInvalid
from pricing.training.label_config import is_label_config
from trainer.errors import BrokerAway, BrokerRefused, ExitCode, FencedOff, TrainerError
from trainer.log import strike, striking, telling, write_line
from trainer.machine.collecting import collecting_nothing
from trainer.protocol.checkpoint_uploads import CheckpointUploads
from trainer.protocol.client import (
    BrokerClient,
    Outcome,
    ResultName,
    RunAssignment,
    RunEnvironment,
    read_run_environment,
)
from trainer.protocol.heartbeat import Heartbeat
from trainer.protocol.log_lines import LogLines
from trainer.protocol.meter import Meter
from trainer.protocol.retry import keep_trying
from trainer.protocol.traces import flush, span, tracing_run
from trainer.protocol.usage_spool import UsageSpool
from trainer.stop import StopFlag, StopReason, stopping_on_signals

LONGEST_MESSAGE = 2000
BY_SIGNAL = frozenset({StopReason.PREEMPTED, StopReason.INTERRUPTED})


@dataclass(frozen=True)
class Result:
    """What the run has made: an adapter, captions, or a report."""

    name: ResultName
    file: Path


@dataclass(frozen=True)
class Ending:
    """How the run ends, for the broker and for whoever started the process."""

    outcome: Outcome
    exit_code: ExitCode
    error: dict[str, str] | None = None
    result: Result | None = None


@dataclass(frozen=True)
class Reporting:
    """What tells the broker of the run while it trains."""

    meter: Meter
    heartbeat: Heartbeat
    uploads: CheckpointUploads


def run_worker() -> ExitCode:
    """Work on one run from claim to finish; never raises for what the protocol foresees."""
    stop = StopFlag()
    try:
        with stopping_on_signals(stop), tracing_run():
            return claim_and_work(stop)
    except FencedOff as error:
        write_line(f"fenced off, stopping: {error}")
        return ExitCode.FENCED_OFF
    except BrokerAway as error:
        write_line(f"giving up: {error}")
        return ExitCode.PREEMPTED if stop.reason in BY_SIGNAL else ExitCode.FAILED
    except TrainerError as error:
        write_line(str(error))
        return error.exit_code


def claim_and_work(stop: StopFlag) -> ExitCode:
    environment = read_run_environment()
    client = BrokerClient(environment)
    assignment = keep_trying(client.claim, wanted=lambda: stop.reason is None)
    return work_on(client, assignment, environment, stop)


def work_on(client: BrokerClient, assignment: RunAssignment, environment: RunEnvironment, stop: StopFlag) -> ExitCode:
    """Train what was claimed, and hand in how it ended. Raises: FencedOff, BrokerAway, BrokerRefused."""
    meter = Meter(assignment.gpus, started_at=assignment.now)
    spool = UsageSpool(environment.work_dir / "spool", environment.run_id, assignment.next_sequence)
    heartbeat = Heartbeat(client, meter, spool, stop, interval_seconds=assignment.heartbeat_seconds)
    heartbeat.start()
    uploads = CheckpointUploads(client, environment.work_dir / "uploads")
    reporting = Reporting(meter, heartbeat, uploads)
    tracker = assignment.tracker
    with striking(None if tracker is None else tracker.key), telling_log(client, assignment):
        write_line(f"run {assignment.run_id} of {assignment.job_id}, attempt {assignment.attempt}")
        ending = train_and_judge(client, assignment, environment.work_dir, reporting, stop)
        meter.close()
        ending = hand_in(client, ending, uploads)
        write_line(f"{ending.outcome}: {meter.total_gpu_seconds} GPU-seconds, {meter.total_tokens} tokens")
    heartbeat.close()
    rest = heartbeat.deliver_rest()
    observations = heartbeat.observations.list_pending()
    keep_trying(
        lambda: client.finish(
            ending.outcome, error=ending.error, progress=heartbeat.progress, usage=rest, observations=observations
        )
    )
    spool.forget_all()
    if assignment.gpus > 1:
        from trainer.several_devices.processes import end_at_once  # noqa: PLC0415 - brings torch

        flush()
        end_at_once(ending.exit_code)
    return ending.exit_code


@contextmanager
def telling_log(client: BrokerClient, assignment: RunAssignment) -> Iterator[None]:
    """Tell the broker what is written meanwhile, as often as a heartbeat; what is left is sent before the run ends."""
    lines = LogLines(
        client, first_number=assignment.next_log_number, interval_seconds=max(1.0, assignment.heartbeat_seconds)
    )
    lines.start()
    try:
        with telling(lines.add):
            yield
    finally:
        lines.close()


def train_and_judge(
    client: BrokerClient, assignment: RunAssignment, work_dir: Path, reporting: Reporting, stop: StopFlag
) -> Ending:
    """Train; whatever goes wrong becomes an ending with its error. Raises: FencedOff."""
    shutil.rmtree(work_dir / "output", ignore_errors=True)  # an earlier process of this run; the broker knows the truth
    try:
        if is_label_config(assignment.config):
            return label_and_judge(client, assignment, work_dir, reporting, stop)
        if is_check_config(assignment.config):
            return check_and_judge(client, assignment, work_dir, reporting)
        with collecting_nothing():  # both bring torch
            from trainer.protocol.assigned_training import WorkerObserver, train_assignment  # noqa: PLC0415
            from trainer.training.console import showing_progress  # noqa: PLC0415
        with showing_progress(lambda: reporting.heartbeat.cost_so_far) as shown:
            observer = WorkerObserver(
                reporting.meter, reporting.heartbeat, reporting.uploads, shown, work_dir / "output" / "samples"
            )
            with span("train", **name_run(assignment)):
                finished = train_assignment(client, assignment, work_dir, observer, stop)
            adapter = None if finished.adapter is None else Result("adapter", finished.adapter)
            return judge(adapter, finished.result.stopped)
    except FencedOff:
        raise
    except ConfigInvalid as error:
        return fail("bad_config", str(error), ExitCode.BAD_INPUT)
    except TrainerError as error:
        return fail(error.code, str(error), error.exit_code)
    except Exception as error:  # noqa: BLE001 - the broker is told of every failure, and the log has the traceback
        write_line(traceback.format_exc())
        return fail("internal_error", f"{type(error).__name__}: {error}", ExitCode.FAILED)


def name_run(assignment: RunAssignment) -> dict[str, str | int]:
    """Name a run as its spans are told apart by."""
    return {"job_id": assignment.job_id, "run_id": assignment.run_id, "attempt": assignment.attempt}


def label_and_judge(
    client: BrokerClient, assignment: RunAssignment, work_dir: Path, reporting: Reporting, stop: StopFlag
) -> Ending:
    """Label the pictures. Raises: FencedOff, TrainerError, ConfigInvalid."""
    from trainer.protocol.assigned_labelling import LabelObserver, label_assignment  # noqa: PLC0415 - brings torch

    folder = work_dir / "output" / "checkpoints"
    observer = LabelObserver(reporting.meter, reporting.heartbeat, reporting.uploads, folder)
    with span("label", **name_run(assignment)):
        file = label_assignment(client, assignment, work_dir, observer, stop)
    return judge(None if file is None else Result("captions", file), stop.reason)


def check_and_judge(client: BrokerClient, assignment: RunAssignment, work_dir: Path, reporting: Reporting) -> Ending:
    """Check the data set; it is short, and never stopped on the way. Raises: FencedOff, TrainerError, ConfigInvalid."""
    from trainer.protocol.assigned_checking import check_assignment  # noqa: PLC0415 - brings numpy and scipy

    with span("check", **name_run(assignment)):
        file = check_assignment(client, assignment, work_dir, reporting.heartbeat)
    return judge(Result("report", file), None)


def judge(result: Result | None, stopped: StopReason | None) -> Ending:
    """Tell which ending a run that did not fail comes to."""
    if result is not None:
        return Ending("succeeded", ExitCode.SUCCEEDED, result=result)
    if stopped in BY_SIGNAL:
        return Ending("preempted", ExitCode.PREEMPTED)
    return Ending("stopped", ExitCode.STOPPED)


def fail(code: str, message: str, exit_code: ExitCode) -> Ending:
    write_line(f"failed: {message}")
    return Ending("failed", exit_code, {"code": code, "message": strike(message)[:LONGEST_MESSAGE]})


def hand_in(client: BrokerClient, ending: Ending, uploads: CheckpointUploads) -> Ending:
    """Upload the result, or the last checkpoint if there is none; a result that is refused is a failure.

    Raises: FencedOff, BrokerAway.
    """
    result = ending.result
    try:
        if result is not None:
            keep_trying(lambda: client.upload_result(result.name, result.file))
        elif not uploads.drain():
            write_line("the last checkpoint did not reach the broker")
    except BrokerRefused as error:
        return fail(error.code, str(error), ExitCode.FAILED)
    finally:
        uploads.close()
    return ending
