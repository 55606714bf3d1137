"""The engine of one machine: every run is a detached process, which outlives the broker that started it.

A run's folder, `runs_dir/<run_id>/`, is all that brokers share:

    launch.lock   flock of a broker while it launches the run: one launcher at a time
    run.lock      flock handed down to the run's process: held from before its start until its last process ends
    run.json      the record: an intent (pid null) before the process is started, its pid and create time after
    trainer.log   standard output and error
    work/         LORA_WORK_DIR

Beside `runs_dir`, `devices.json` says which devices each run sees (`devices.py`).

Where a record exists, a launch starts nothing. A broker killed between starting the process and recording its pid
leaves an intent: while run.lock is held the run lives (its process is then found by its environment), once it is free
the run is gone. So a run id is started at most once; a crash in that window can cost an attempt, never add a second
trainer. The locks need a file system on which flock is inherited: a local disk, not NFS.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import BinaryIO

import psutil

from broker.execution.devices import VISIBLE_DEVICES, DevicesBusy, DeviceSlots, list_devices
from broker.execution.engine import Capacity, LaunchError, LaunchSpec, RunObservation, RunState, check_run_id
from broker.execution.files import is_held, locked, try_lock
from broker.private_file import write_private_file

# The broker's own secrets are none of the trainer's business; a trace of the broker's own start is another one.
WITHHELD_PREFIXES = ("BROKER_", "STRIPE_", "PG", "TRACEPARENT")
STOP_POLL_SECONDS = 0.05
KILL_WAIT_SECONDS = 10.0
DEVICE_WAIT_SECONDS = 2.0  # a run that has reported its end is a moment from letting go of its devices
# The kernel's boot time, on which create times rest, wavers by a second when the clock is adjusted.
CREATE_TIME_TOLERANCE_SECONDS = 2.0


@dataclass(frozen=True)
class RunRecord:
    """What run.json holds. `launcher_pid` is the broker that will reap the process, while it lives."""

    run_id: str
    fence_token: int | None = None
    launcher_pid: int | None = None
    pid: int | None = None
    create_time: float | None = None
    exit_code: int | None = None


class LocalEngine:
    """An Engine of `slots` slots on this machine; `environ` names the devices that they are."""

    def __init__(
        self,
        runs_dir: Path,
        *,
        slots: int,
        sku: str = "cpu",
        command: Sequence[str] = (sys.executable, "-m", "trainer", "run"),
        base_models_dir: Path | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._runs_dir = runs_dir.resolve()
        self._capacity = Capacity(sku, slots)
        self._devices = DeviceSlots(self._runs_dir.parent / "devices.json", list_devices(slots, environ))
        self._command = tuple(command)
        self._further = {} if base_models_dir is None else {"LORA_BASE_MODELS_DIR": str(base_models_dir.resolve())}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._observing = threading.Lock()

    async def capacity(self) -> Capacity:
        return self._capacity

    async def launch(self, spec: LaunchSpec) -> str:
        return await asyncio.to_thread(self._launch, spec)

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        return await asyncio.to_thread(lambda ids: [self._observe(run_id) for run_id in ids], list(run_ids))

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        pid = await asyncio.to_thread(self._signal_group, run_id, signal.SIGTERM)
        if pid is None:
            return
        if not await self._ends_within(run_id, grace_seconds):
            await asyncio.to_thread(self._signal_group, run_id, signal.SIGKILL)
            await self._ends_within(run_id, KILL_WAIT_SECONDS)
        _kill_group(pid)  # what the leader left behind; nobody else has got its pid in this moment

    async def close(self) -> None:
        """Do nothing: there is no connection."""

    async def _ends_within(self, run_id: str, seconds: float) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while await asyncio.to_thread(self._find_process, run_id) is not None:
            if loop.time() >= deadline:
                return False
            await asyncio.sleep(STOP_POLL_SECONDS)
        return True

    def _run_dir(self, run_id: str) -> Path:
        return self._runs_dir / check_run_id(run_id)

    def _launch(self, spec: LaunchSpec) -> str:
        run_dir = self._run_dir(spec.run_id)
        run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (run_dir / "work").mkdir(exist_ok=True)
        with locked(run_dir / "launch.lock"):
            if _read_record(run_dir) is None:
                self._start(spec, run_dir)
        return str(run_dir)

    def _start(self, spec: LaunchSpec, run_dir: Path) -> None:
        intent = RunRecord(spec.run_id, spec.fence_token, os.getpid())
        with (run_dir / "run.lock").open("ab") as run_lock:
            if not try_lock(run_lock, fcntl.LOCK_EX):  # it runs, and somebody removed its record
                _write_record(run_dir, intent)
                return
            visible = self._take_devices(spec)
            _write_record(run_dir, intent)
            try:
                process = self._spawn(spec, run_dir, run_lock, visible)
            except (OSError, ValueError) as error:
                (run_dir / "run.json").unlink()
                raise LaunchError(spec.run_id, str(error)) from error
            try:
                _write_record(run_dir, replace(intent, pid=process.pid, create_time=_create_time(process.pid)))
            finally:  # only now, or an observer beside us could record an exit code that this record would wipe out
                self._children[spec.run_id] = process

    def _take_devices(self, spec: LaunchSpec) -> str:
        """Take the run's devices, waiting a moment for those that another lets go just now. Raises: DevicesBusy."""
        deadline = time.monotonic() + DEVICE_WAIT_SECONDS
        while True:
            try:
                return self._devices.take(
                    spec.run_id, spec.gpus, is_held=lambda run_id: is_held(self._run_dir(run_id) / "run.lock")
                )
            except DevicesBusy:
                if time.monotonic() >= deadline:
                    raise
            time.sleep(STOP_POLL_SECONDS)

    def _spawn(self, spec: LaunchSpec, run_dir: Path, run_lock: BinaryIO, visible: str) -> subprocess.Popen[bytes]:
        # The folder stays the broker's: `python -m` imports from the current one, and `work` holds a customer's files.
        with (run_dir / "trainer.log").open("ab") as log:
            return subprocess.Popen(
                self._command,
                env=_build_environment(spec, run_dir / "work") | self._further | {VISIBLE_DEVICES: visible},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(run_lock.fileno(),),
            )

    def _observe(self, run_id: str) -> RunObservation:
        run_dir = self._run_dir(run_id)
        with self._observing:
            self._reap(run_id, run_dir)
            alive = run_id in self._children or self._is_alive(run_id)
        record = _read_record(run_dir)  # after looking for the process: an exit code is recorded before it is reaped
        if record is not None and record.exit_code is not None:
            return RunObservation(run_id, RunState.EXITED, record.exit_code)
        return RunObservation(run_id, RunState.ALIVE if alive else RunState.GONE)

    def _reap(self, run_id: str, run_dir: Path) -> None:
        """If the run is our child and has ended: record its exit code, end what it left behind, then let it go.

        In this order, so that a crash or another broker in between never sees it gone without its code, and so that
        its pid is still its own when its process group is killed.
        """
        child = self._children.get(run_id)
        if child is None:
            return
        try:
            exit_code = _peek_exit_code(child.pid)
        except ChildProcessError:  # somebody else waited for it (SIGCHLD ignored): its exit code is lost
            exit_code = None
        else:
            if exit_code is None:
                return
            record = _read_record(run_dir) or RunRecord(run_id)
            _write_record(run_dir, replace(record, exit_code=exit_code))
            _kill_group(child.pid)
        child.wait()
        del self._children[run_id]

    def _is_alive(self, run_id: str) -> bool:
        run_dir = self._run_dir(run_id)
        record = _read_record(run_dir)
        if record is None:
            return False
        if record.pid is None:
            return is_held(run_dir / "run.lock")
        return _find_recorded(record) is not None or _awaits_other_broker(record)

    def _find_process(self, run_id: str) -> psutil.Process | None:
        run_dir = self._run_dir(run_id)
        record = _read_record(run_dir)
        if record is None:
            return None
        if record.pid is not None:
            return _find_recorded(record)
        return _find_by_environment(run_dir) if is_held(run_dir / "run.lock") else None

    def _signal_group(self, run_id: str, number: signal.Signals) -> int | None:
        process = self._find_process(run_id)
        if process is None:
            return None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        return process.pid


def _build_environment(spec: LaunchSpec, work_dir: Path) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(WITHHELD_PREFIXES)}
    return (
        inherited
        | spec.trace_environment
        | {
            "PYTHONUNBUFFERED": "1",  # or the last lines of a killed run would be missing from its log
            "LORA_BROKER_URL": spec.broker_url,
            "LORA_RUN_ID": spec.run_id,
            "LORA_RUN_TOKEN": spec.run_token,
            "LORA_FENCE_TOKEN": str(spec.fence_token),
            "LORA_WORK_DIR": str(work_dir),
        }
    )


def _find_recorded(record: RunRecord) -> psutil.Process | None:
    """Find the record's process; None where it is gone, is a zombie, or another process has its pid by now."""
    if record.pid is None or record.create_time is None:
        return None
    try:
        process = psutil.Process(record.pid)
        if abs(process.create_time() - record.create_time) > CREATE_TIME_TOLERANCE_SECONDS:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _awaits_other_broker(record: RunRecord) -> bool:
    """Tell whether it is a zombie whose launcher, another broker, still lives and is about to record its exit code."""
    if record.pid is None or record.launcher_pid == os.getpid():
        return False
    try:
        process = psutil.Process(record.pid)
        return process.status() == psutil.STATUS_ZOMBIE and process.ppid() == record.launcher_pid
    except psutil.NoSuchProcess:
        return False


def _find_by_environment(run_dir: Path) -> psutil.Process | None:
    """Find the session leader started for this folder: of a run whose launcher died before it could record the pid."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            started_here = process.environ().get("LORA_WORK_DIR") == str(run_dir / "work")
            if started_here and os.getsid(process.pid) == process.pid:
                return process
    return None


def _create_time(pid: int) -> float | None:
    try:
        return psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return None


def _peek_exit_code(pid: int) -> int | None:
    """Read the exit code of a child that has ended, and leave it a zombie; None while it runs."""
    status = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if status is None:
        return None
    return status.si_status if status.si_code == os.CLD_EXITED else -status.si_status


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _read_record(run_dir: Path) -> RunRecord | None:
    try:
        return RunRecord(**json.loads((run_dir / "run.json").read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):  # torn by a power cut: something was launched here once, and that is all we know
        return RunRecord(run_dir.name)


def _write_record(run_dir: Path, record: RunRecord) -> None:
    write_private_file(run_dir / "run.json", json.dumps(asdict(record)))
