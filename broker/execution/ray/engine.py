"""The engine that hands runs to a Ray cluster, and asks it what became of them.

A run's id is its submission id, so Ray itself refuses a second one; after a restart of its head it knows none, and then
`started` in the run's folder tells that there was one (`run_script`). A job that waits for GPUs cannot be taken back
from Ray: it is marked in its folder as taken back, and ends at once when its turn comes.
"""

import asyncio
import shlex
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from broker.execution.cluster_job import judge_job
from broker.execution.engine import Capacity, LaunchError, LaunchSpec, RunObservation, RunState
from broker.execution.files import is_held, locked
from broker.execution.ray.answers import JobSeen, count_nodes
from broker.execution.ray.jobs_api import JobsApi, SubmissionRefused
from broker.execution.run_script import TAKEN_BACK, JobRecord, RunFiles
from broker.execution.threads import EngineThreads

STOP_POLL_SECONDS = 0.5
KILL_WAIT_SECONDS = 10.0
FORGOTTEN = "the Ray cluster knows it no more: its head was restarted"
AT_ONCE = 16  # requests that the head answers at one time
OWN_RESOURCES = {"GPU": "entrypoint_num_gpus", "CPU": "entrypoint_num_cpus"}
# Ray would kill what it has asked to end after three seconds; when, is ours to say (`RunFiles.kill`).
NEVER_KILLED_BY_RAY = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "31536000"}}


class RayEngine:
    """An Engine of the nodes of one Ray cluster. `runs_dir` is one folder to all of them and to us.

    `resource`: what a GPU is called there: GPU, CPU, or a resource of the cluster's own.
    """

    def __init__(
        self,
        runs_dir: Path,
        *,
        api: JobsApi,
        sku: str,
        command: Sequence[str],
        resource: str = "GPU",
        base_models_dir: Path | None = None,
        fresh_seconds: float = 2.0,
    ) -> None:
        self._runs_dir = runs_dir.resolve()
        self._api = api
        self._sku = sku
        self._command = tuple(command)
        self._resource = resource
        self._further = {} if base_models_dir is None else {"LORA_BASE_MODELS_DIR": str(base_models_dir.resolve())}
        self._fresh_seconds = fresh_seconds
        self._seen: dict[str, tuple[float, JobSeen]] = {}
        self._asking = asyncio.Semaphore(AT_ONCE)
        self._threads = EngineThreads()  # a shared folder may hang

    async def capacity(self) -> Capacity:
        return Capacity.of_nodes(self._sku, count_nodes(await self._api.list_nodes(), self._resource))

    async def launch(self, spec: LaunchSpec) -> str:
        files = RunFiles.of(self._runs_dir, spec.run_id)
        if not await self._threads.run(lambda: files.is_launched):
            options = await self._list_options(spec)
            await self._threads.run(self._write, files, spec)
            await self._submit(files, spec, options)
        return str(files.folder)

    async def reconcile(self, run_ids: Iterable[str]) -> list[RunObservation]:
        looks = [asyncio.ensure_future(self._observe(run_id)) for run_id in run_ids]
        try:
            return list(await asyncio.gather(*looks))
        finally:  # where one had no answer, the others would go on asking
            for look in looks:
                look.cancel()

    async def stop(self, run_id: str, *, grace_seconds: float) -> None:
        files = RunFiles.of(self._runs_dir, run_id)
        if not await self._threads.run(files.may_run) or await self._threads.run(files.take_back):
            return
        await self._api.stop_job(run_id)
        self._seen.pop(run_id, None)
        if await self._ends_within(run_id, grace_seconds):
            return
        await self._threads.run(files.kill)
        await self._ends_within(run_id, KILL_WAIT_SECONDS)

    async def close(self) -> None:
        await self._api.close()
        self._threads.close()

    async def _list_options(self, spec: LaunchSpec) -> dict[str, Any]:
        """List what the submission says of the place: all GPUs on one node, the wanted one. Raises: LaunchError."""
        name = OWN_RESOURCES.get(self._resource)
        needs = {"entrypoint_resources": {self._resource: spec.gpus}} if name is None else {name: spec.gpus}
        options = {"runtime_env": NEVER_KILLED_BY_RAY, "metadata": {"job": spec.job_id}, **needs}
        if spec.node is None:
            return options
        found = [node.id for node in await self._api.list_nodes() if node.is_alive and node.name == spec.node]
        if not found:
            raise LaunchError(spec.run_id, f"node {spec.node} is not in the Ray cluster any more")
        return options | {"entrypoint_label_selector": {"ray.io/node-id": found[0]}}

    def _write(self, files: RunFiles, spec: LaunchSpec) -> None:
        files.make_folder()
        with locked(files.launch_lock):
            if files.read_record() is None:
                files.write_start(spec, self._command, self._further, job=spec.run_id, signals_all=True)
                files.write_record(JobRecord(spec.run_id, spec.fence_token))

    async def _submit(self, files: RunFiles, spec: LaunchSpec, options: dict[str, Any]) -> None:
        try:
            async with self._asking:
                await self._api.submit(spec.run_id, f"exec sh {shlex.quote(str(files.script))}", options)
        except SubmissionRefused as refusal:
            await self._threads.run(files.forget)
            raise LaunchError(spec.run_id, str(refusal)) from refusal
        await self._threads.run(files.write_record, JobRecord(spec.run_id, spec.fence_token, job=spec.run_id))

    async def _observe(self, run_id: str) -> RunObservation:
        files = RunFiles.of(self._runs_dir, run_id)
        seen = await self._threads.run(self._observe_files, files, run_id)
        if seen is not None:
            return seen
        job = await self._find_job(run_id)
        return await self._threads.run(self._judge, files, run_id, job)

    def _judge(self, files: RunFiles, run_id: str, job: JobSeen | None) -> RunObservation:
        seen = self._observe_files(files, run_id)  # after Ray: it may have ended between our two looks
        if seen is not None:
            return seen
        if job is not None:
            return judge_job(run_id, job, has_started=files.has_started)
        if is_held(files.launch_lock):
            return RunObservation(run_id, RunState.ALIVE)
        return RunObservation(run_id, RunState.GONE, detail=FORGOTTEN if files.has_started else "")

    def _observe_files(self, files: RunFiles, run_id: str) -> RunObservation | None:
        """Observe what the run's own files say of its end; None where they say nothing, and Ray is to be asked."""
        if files.read_record() is None and not is_held(files.launch_lock):
            return RunObservation(run_id, RunState.GONE, detail=FORGOTTEN if files.has_started else "")
        if files.is_taken_back:
            return RunObservation(run_id, RunState.GONE, detail=TAKEN_BACK)
        code = files.find_exit_code()
        return None if code is None else RunObservation(run_id, RunState.EXITED, code)

    async def _find_job(self, run_id: str) -> JobSeen | None:
        now = time.monotonic()
        asked_at, job = self._seen.get(run_id, (float("-inf"), None))
        if now - asked_at < self._fresh_seconds:
            return job
        async with self._asking:
            job = await self._api.find_job(run_id)
        if job is not None and not job.run_state.is_over:
            self._seen[run_id] = now, job
        else:
            self._seen.pop(run_id, None)
        return job

    async def _ends_within(self, run_id: str, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (await self._observe(run_id)).is_over:
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(STOP_POLL_SECONDS)
        return True
