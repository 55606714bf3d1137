"""What sacct tells from a real accounting database of jobs that the controller has forgotten."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from broker.execution.engine import RunState
from broker.execution.slurm.answers import JobSeen
from broker.execution.slurm.commands import SlurmCommands
from broker.execution.slurm.engine import SlurmEngine
from tests.engines.benches import Bench, SlurmBench
from tests.engines.conftest import enter_or_skip
from tests.engines.slurm_accounts import PROGRAMS, start_accounts
from tests.engines.slurm_cluster import PROGRAMS as CLUSTER_PROGRAMS
from tests.engines.slurm_cluster import SlurmCluster, list_missing, slurm_cluster, wait_until
from tests.engines.test_conformance import await_starts, observe_until
from tests.engines.trainer_scripts import RUN_ON, end_with


class ForgetfulController(SlurmCommands):
    """The commands, once the controller has forgotten every job."""

    def list_jobs(self) -> list[JobSeen]:
        return []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    if missing := list_missing((*CLUSTER_PROGRAMS, *PROGRAMS)):
        pytest.skip(
            f"Slurm's accounting is not installed ({', '.join(missing)}): apt-get install slurmdbd mariadb-server"
        )
    with ExitStack() as closing:
        folder = tmp_path_factory.mktemp("accounts")
        yield enter_or_skip(closing, slurm_cluster(folder, start_accounts), "Slurm with an accounting database")


@pytest.fixture
def bench(cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    return SlurmBench(tmp_path, cluster=cluster)


def forget(bench: Bench) -> SlurmEngine:
    """Lose the run's own word of its end, and what the controller knows of it; returns an engine of this state."""
    (bench.runs_dir / bench.name() / "exit").unlink(missing_ok=True)
    engine = SlurmEngine(bench.runs_dir, sku="cpu", command=("true",), commands=ForgetfulController())
    bench.engines.append(engine)
    return engine


def find_job(bench: Bench) -> str:
    return (bench.runs_dir / bench.name() / "started").read_text().strip()


def await_account(job: str, *states: str) -> None:
    """Wait until the controller has told the database; it does so in its own time."""

    def is_told() -> bool:
        seen = SlurmCommands().find_accounted(job)
        return seen is not None and bool(seen.states & set(states))

    wait_until(is_told, f"job {job} is in the accounts as {states}")


@pytest.mark.parametrize("code", [0, 75])
async def test_exit_code_of_a_forgotten_job_is_found_in_the_accounts(bench: Bench, code: int) -> None:
    await bench.make(end_with(code)).launch(bench.spec())
    await observe_until(bench, RunState.EXITED)
    await_account(find_job(bench), "COMPLETED", "FAILED")
    forget(bench)
    assert (await observe_until(bench, RunState.EXITED, RunState.GONE)).exit_code == code


async def test_forgotten_job_that_others_cancelled_is_gone_in_the_words_of_the_accounts(bench: Bench) -> None:
    await bench.make(RUN_ON).launch(bench.spec())
    await await_starts(bench)
    job = find_job(bench)
    bench.cluster.ask("scancel", job)
    await_account(job, "CANCELLED")
    forget(bench)
    seen = await observe_until(bench, RunState.EXITED, RunState.GONE)
    assert (seen.state, seen.exit_code) == (RunState.GONE, None)
    assert seen.detail.startswith(f"Slurm job {job} on n1: CANCELLED")


async def test_job_that_the_accounts_have_running_runs_though_the_controller_does_not_tell_of_it(bench: Bench) -> None:
    await bench.make(RUN_ON).launch(bench.spec())
    await await_starts(bench)
    await_account(find_job(bench), "RUNNING")
    forget(bench)
    assert (await observe_until(bench, RunState.ALIVE, RunState.GONE)).state is RunState.ALIVE
    bench.cluster.ask("scancel", find_job(bench))


def test_job_that_was_never_submitted_is_in_no_account(bench: Bench) -> None:
    assert SlurmCommands().find_accounted("4711") is None
