"""The ends of runs as the processes of a broker take them that answer workers: together with what comes meanwhile.

`python -m benchmarks.dispatch.ends DATABASE_URL DATA_DIR` is a process that does nothing else: each line of its input
is a run that was launched, each of its output the id of one that has ended.
"""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from zlib import crc32

from uvicorn.loops.auto import auto_loop_factory

from broker.capacity.readiness import command_good_starts
from broker.config import Settings
from broker.execution.engine import LaunchSpec
from broker.identity.model import read_run_token
from broker.jobs.events import collect_events, command_events
from broker.jobs.rules.model import RunStatus
from broker.jobs.running.locked_run import lock_runs, read_locked_runs
from broker.jobs.running.runs import claim_run
from broker.metering.events.model import UsageCloudEvent
from broker.persistence.batches import Batches
from broker.processes.http_server import spare_what_stays
from broker.system import System, open_system
from broker.workers.finishing import Finish, take_ends
from broker.workers.joint_reports import GROUPS
from broker.workers.model import Report, RunEnd
from tests.broker.factories import usage_event

# The end of a run without an adapter: its customer's data were no good, so its usage is charged all the same.
OUTCOME, ERROR = RunStatus.FAILED, {"code": "bad_input", "message": "it ends at once"}
# Within what its hold has: a run that trains what was counted is the usual one.
TOKENS = 100
PATIENCE_SECONDS = 600.0


@dataclass
class Ends:
    """Has runs claimed and ended, each with an interval of usage, in one process of a broker."""

    system: System

    async def end(self, spec: LaunchSpec) -> None:
        """End a run together with others of its group of customers, as the reports of workers are taken."""
        bearer = read_run_token(self.system.services.secret, spec.run_token)
        assert bearer is not None
        await self._finishes.ask(crc32(bearer.customer_id.encode()) % GROUPS, spec)

    @cached_property
    def _finishes(self) -> Batches[int, LaunchSpec, RunEnd]:
        return Batches(self._finish, PATIENCE_SECONDS)

    async def _finish(self, _group: int, specs: Sequence[LaunchSpec]) -> Sequence[RunEnd | Exception]:
        """Claim runs and end them, as workers' requests that come together are taken: it is one moment of each."""
        run_ids = [spec.run_id for spec in specs]
        async with self.system.work() as work:
            runs = read_locked_runs(await work.run_together(lock_runs(run_ids, seen_by=None)))
            with collect_events([work]) as claims:
                pools = {locked.run.pool for locked in runs.by_id.values() if claim_run(work, locked)}
            ends = await take_ends(runs, [(work, write_finish(spec, work.now)) for spec in specs])
            await work.run_together([*command_events(claims), *command_good_starts(pools)])
            return ends


def write_finish(spec: LaunchSpec, moment: datetime) -> Finish:
    """Write the end of a run, with its only interval: a GPU-second and some tokens."""
    told = usage_event(spec.run_id, gpu_seconds=1, tokens=TOKENS, started_at=moment, ended_at=moment)
    return Finish(spec.run_id, spec.fence_token, OUTCOME, Report(usage=[UsageCloudEvent.model_validate(told)]), ERROR)


@dataclass
class SecondProcess:
    """A process that takes ends on the broker's database, asked by its pipes."""

    process: asyncio.subprocess.Process
    waiting: dict[str, asyncio.Future[None]] = field(default_factory=dict)

    async def end(self, spec: LaunchSpec) -> None:
        """Have the process end a run."""
        assert self.process.stdin is not None
        ended = self.waiting[spec.run_id] = asyncio.get_running_loop().create_future()
        self.process.stdin.write(json.dumps(asdict(spec)).encode() + b"\n")
        await ended

    async def listen(self) -> None:
        """Hear of the runs that have ended. Raises: RuntimeError, where the process ends before it is told to."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.waiting.pop(line.decode().strip()).set_result(None)
        for waiting in self.waiting.values():
            waiting.set_exception(RuntimeError("the process that takes ends has ended"))


@asynccontextmanager
async def second_process(system: System) -> AsyncIterator[SecondProcess]:
    """Start a second process on the broker's database, which ends with the block."""
    command = ("-m", "benchmarks.dispatch.ends", system.database.url, str(system.services.settings.data_dir))
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    await process.stdout.readline()
    second = SecondProcess(process)
    listening = asyncio.create_task(second.listen())
    try:
        yield second
    finally:
        process.stdin.close()
        await listening
        await process.wait()


async def take_ends_of(system: System, lines: asyncio.StreamReader, tell: Callable[[str], object]) -> None:
    """End the runs that lines tell of until there are no more."""
    ends = Ends(system)

    async def end(spec: LaunchSpec) -> None:
        await ends.end(spec)
        tell(f"{spec.run_id}\n")

    async with asyncio.TaskGroup() as ending:
        while line := await lines.readline():
            ending.create_task(end(LaunchSpec(**json.loads(line))))
    await system.database.close()


async def main(database_url: str, data_dir: str) -> None:
    system = open_system(Settings(_env_file=None, data_dir=Path(data_dir), local_slots=0), database_url)
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)

    def tell(line: str) -> None:
        sys.stdout.write(line)
        sys.stdout.flush()

    spare_what_stays()
    tell("ready\n")
    await take_ends_of(system, lines, tell)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=auto_loop_factory()) as runner:
        runner.run(main(*sys.argv[1:]))
