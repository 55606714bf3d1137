"""The engine that hands runs to a Slurm cluster, and asks it what became of them.

Where a record exists, a launch submits nothing, with one exception: an intent without a job, of a broker that died (or
a Slurm that did not answer) while it submitted. Then the run's name is looked for, and where there is no such job the
run is submitted again. Should the first request arrive after all, the second job to start finds that the run has
started and ends at once (`run_script`), so a run id never has two trainers.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from broker.execution.cluster_job import judge_job
from broker.execution.engine import Capacity, LaunchError, LaunchSpec, RunObservation, RunState
from broker.execution.files import is_held, locked
from broker.execution.run_script import ASK_TO_END, KILL, TAKEN_BACK, JobRecord, RunFiles
from broker.execution.slurm.answers import JobSeen
from broker.execution.slurm.commands import SlurmCommands, SubmissionRefused
from broker.execution.slurm.jobs_view import JobsView
from broker.execution.threads import EngineThreads

STOP_POLL_SECONDS = 0.5
KILL_WAIT_SECONDS = 10.0
JOB_IN_SHELL = "$SLURM_JOB_ID"


@dataclass(frozen=True)
class SlurmPlace:
    """Where the runs of a pool go: its partition and account, and what a GPU is called there.

    `gres`: such as `gpu` or `gpu:a100`; None: runs get CPUs, one a slot. `options` are further ones of sbatch.
    """

    partition: str | None = None
    account: str | None = None
    gres: str | None = "gpu"
    options: tuple[str, ...] = ()

    def list_options(self, spec: LaunchSpec) -> list[str]:
        """List the options of sbatch for a run: all its GPUs on one node, never requeued, none of our environment."""
        placed = {"partition": self.partition, "account": self.account, "nodelist": spec.node}
        return [
            f"--job-name={spec.run_id}",
            f"--comment={spec.job_id}",
            "--no-requeue",
            "--nodes=1",
            "--ntasks=1",
            f"--cpus-per-task={spec.gpus}" if self.gres is None else f"--gres={self.gres}:{spec.gpus}",
            "--export=NIL",
            "--chdir=/",
            "--output=/dev/null",
            *(f"--{name}={value}" for name, value in placed.items() if value is not None),
            *self.options,
        ]


class SlurmEngine:
    """An Engine of the nodes of one Slurm partition. `runs_dir` is one folder to all of them and to us."""

    def __init__(
        self,
        runs_dir: Path,
        *,
        sku: str,
        command: Sequence[str],
        place: SlurmPlace | None = None,
        base_models_dir: Path | None = None,
        commands: SlurmCommands | None = None,
        fresh_seconds: float = 2.0,
    ) -> None:
        self._runs_dir = runs_dir.resolve()
        self._sku = sku
        self._command = tuple(command)
        self._place = place or SlurmPlace()
        self._further = {} if base_models_dir is None else {"LORA_BASE_MODELS_DIR": str(base_models_dir.resolve())}
        self._slurm = commands or SlurmCommands()
        self._view = JobsView(self._slurm.list_jobs, fresh_seconds)
        self._threads = EngineThreads()

    async def capacity(self) -> Capacity:
        nodes = await self._threads.run(self._slurm.list_nodes, partition=self._place.partition, gres=self._place.gres)
        return Capacity.of_nodes(self._sku, nodes)

    async def launch(self, spec: LaunchSpec) -> str:
        return await self._threads.run(self._launch, spec)

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        return await self._threads.run(lambda ids: [self._observe(run_id) for run_id in ids], list(run_ids))

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        files = RunFiles.of(self._runs_dir, run_id)
        if not await self._threads.run(files.may_run):
            return
        was_waiting = await self._threads.run(files.take_back)
        job = await self._threads.run(self._ask_to_end, files, was_waiting=was_waiting)
        if job is None or await self._ends_within(run_id, grace_seconds):
            return
        await self._threads.run(self._slurm.signal, job, KILL)
        if not await self._ends_within(run_id, KILL_WAIT_SECONDS):  # its node does not answer: Slurm lets go of it
            await self._threads.run(self._slurm.cancel, job)

    async def close(self) -> None:
        self._threads.close()

    def _launch(self, spec: LaunchSpec) -> str:
        files = RunFiles.of(self._runs_dir, spec.run_id)
        files.make_folder()
        with locked(files.launch_lock) as lock:
            record = files.read_record()
            if record is None:
                files.write_start(spec, self._command, self._further, job=JOB_IN_SHELL)
                record = JobRecord(spec.run_id, spec.fence_token)
                files.write_record(record)
                self._submit(spec, files, record, lock=lock)
            elif not files.is_launched and self._recover(files, record) is None:
                files.write_start(spec, self._command, self._further, job=JOB_IN_SHELL)
                self._submit(spec, files, record, lock=lock)
        return str(files.folder)

    def _submit(self, spec: LaunchSpec, files: RunFiles, record: JobRecord, *, lock: int) -> None:
        try:
            job = self._slurm.submit(files.script, self._place.list_options(spec), lock=lock)
        except SubmissionRefused as refusal:
            files.forget()
            raise LaunchError(spec.run_id, str(refusal)) from refusal
        files.write_record(replace(record, job=job))

    def _recover(self, files: RunFiles, record: JobRecord) -> str | None:
        """Recover the job of an intent whose launcher never learnt of it; None where Slurm has none."""
        seen = self._view.find(files)
        job = files.find_started() if seen is None else seen.job
        if job is not None:
            files.write_record(replace(record, job=job))
        return job

    def _observe(self, run_id: str) -> RunObservation:
        files = RunFiles.of(self._runs_dir, run_id)
        code, record = files.find_exit_code(), files.read_record()
        if code is not None:
            return RunObservation(run_id, RunState.EXITED, code)
        if record is None or files.is_taken_back:
            return RunObservation(run_id, RunState.GONE, detail="" if record is None else TAKEN_BACK)
        job = self._view.find(files) or self._find_forgotten(files)
        code = files.find_exit_code()  # after Slurm: it may have ended between our two looks
        if code is not None:
            return RunObservation(run_id, RunState.EXITED, code)
        if job is not None:
            return judge_job(run_id, job, has_started=files.has_started)
        return RunObservation(run_id, RunState.ALIVE if is_held(files.launch_lock) else RunState.GONE)

    def _find_forgotten(self, files: RunFiles) -> JobSeen | None:
        job = files.find_job()
        return None if job is None else self._slurm.find_accounted(job)

    def _ask_to_end(self, files: RunFiles, *, was_waiting: bool) -> str | None:
        """Ask the run's processes to end, or give up its place in the line; returns its job, None where it has none."""
        with locked(files.launch_lock):  # a submission that is under way ends first
            record = files.read_record()
            job = None if record is None else files.find_job() or self._recover(files, record)
        if job is not None and was_waiting:
            self._slurm.cancel(job)
        elif job is not None:
            self._slurm.signal(job, ASK_TO_END)
        self._view.forget()
        return job

    async def _ends_within(self, run_id: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (await self._threads.run(self._observe, run_id)).is_over:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(STOP_POLL_SECONDS)
        return True
