"""The engines against real servers: `make test-engines` runs these, `make test` leaves them out.

What is not installed is skipped, and said in the last lines.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest

from broker.execution.engine import Engine, EngineUnreachable
from tests.broker.conftest import server
from tests.broker.places import buyer, client, place
from tests.engines.benches import Bench, ClusterBench, LocalBench, RayBench, SlurmBench
from tests.engines.ray_cluster import RayCluster, ray_cluster
from tests.engines.slurm_cluster import SlurmCluster, list_missing, slurm_cluster

__all__ = ["buyer", "client", "place", "server"]  # those of the broker's own tests

Cluster = TypeVar("Cluster")

# How long servers stay away in the tests: `BROKER_TEST_AWAY_SECONDS=120 make test-engines` for two minutes.
AWAY_SECONDS = float(os.environ.get("BROKER_TEST_AWAY_SECONDS", "5"))
MOST_STOPS = 5
WANTED, RAY_PROGRAM = "BROKER_TEST_ENGINES", "BROKER_TEST_RAY"
collect_ignore_glob = [] if os.environ.get(WANTED) else ["test_*.py"]


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let one process have Ray, which is slow, and the other the rest: each cluster is started once."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.xdist_group("ray" if "[ray" in item.name else "slurm"))


@pytest.fixture
def away_seconds() -> float:
    return AWAY_SECONDS


def enter_or_skip(closing: ExitStack, cluster: AbstractContextManager[Cluster], name: str) -> Cluster:
    """Start a cluster; one that does not start here is left out, and said so in the last lines."""
    try:
        return closing.enter_context(cluster)
    except (OSError, psutil.Error) as error:  # a TimeoutError is one, too
        pytest.skip(f"{name} could not be started here: {error}")


@pytest.fixture(scope="session")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    if missing := list_missing():
        pytest.skip(f"Slurm is not installed ({', '.join(missing)}): apt-get install slurm-wlm munge")
    with ExitStack() as closing:
        cluster = enter_or_skip(closing, slurm_cluster(tmp_path_factory.mktemp("slurm")), "Slurm")
        before = os.environ.get("SLURM_CONF")
        os.environ["SLURM_CONF"] = str(cluster.conf)
        yield cluster
        os.environ.pop("SLURM_CONF") if before is None else os.environ.update(SLURM_CONF=before)


@pytest.fixture(scope="session")
def ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    program = os.environ.get(RAY_PROGRAM, "")
    if not Path(program).is_file():
        pytest.skip(f"Ray is not installed: {RAY_PROGRAM} names no program `ray`")
    with ExitStack() as closing:
        cluster = enter_or_skip(closing, ray_cluster(Path(program), tmp_path_factory.mktemp("ray")), "Ray")
        yield cluster


@pytest.fixture(params=["local", "slurm", "ray"])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    """Each engine in its turn; what still runs at the end is killed."""
    made = _make_bench(request, tmp_path / "it's a folder")
    yield made
    if isinstance(made, ClusterBench):
        made.bring_server_back()
    run_ids = [folder.name for folder in made.runs_dir.glob("run_*")]
    engine = made.make("pass")
    await asyncio.gather(*(stop_patiently(engine, run_id) for run_id in run_ids))
    for own in made.engines:
        await own.reconcile(run_ids)
        await own.close()


async def stop_patiently(engine: Engine, run_id: str) -> None:
    """Stop a run; a server that a loaded machine keeps from answering is asked again, as the broker does."""
    asked = 0
    while asked < MOST_STOPS:
        asked += 1
        with suppress(*([EngineUnreachable] if asked < MOST_STOPS else [])):
            await engine.stop(run_id, grace_seconds=0)
            return


@pytest.fixture
def cluster_bench(bench: Bench) -> ClusterBench:
    """Each engine that asks a server for nodes."""
    if not isinstance(bench, ClusterBench):
        pytest.skip("a machine is one node without a server")
    return bench


def _make_bench(request: pytest.FixtureRequest, runs_dir: Path) -> Bench:
    if request.param == "slurm":
        return SlurmBench(runs_dir, cluster=request.getfixturevalue("slurm"))
    if request.param == "ray":
        return RayBench(runs_dir, cluster=request.getfixturevalue("ray"))
    return LocalBench(runs_dir)


@pytest.fixture
def start_broker(bench: Bench) -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """Return what starts a broker in a process of its own, which has `engine` and then runs `code`."""
    brokers: list[subprocess.Popen[str]] = []

    def start(code: str, program: str) -> subprocess.Popen[str]:
        arguments = (sys.executable, "-c", f"{bench.broker}\n{code}", str(bench.runs_dir), program, bench.name())
        brokers.append(subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()
        broker.communicate()
