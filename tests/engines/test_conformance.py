"""The promises of `execution.engine`, asked of every engine in the same words."""

import asyncio
import signal
import time
from dataclasses import replace

import psutil
import pytest

from broker.execution.engine import EngineUnreachable, RunObservation, RunState
from tests.engines.benches import Bench
from tests.engines.trainer_scripts import COUNT_START, IGNORE_SIGTERM, RUN_ON, SAVE_AND_END, SLEEP, end_with

DEADLINE_SECONDS = 300


async def observe_until(bench: Bench, *states: RunState, number: int = 1) -> RunObservation:
    engine, run_id, deadline = bench.engines[-1], bench.name(number), time.monotonic() + DEADLINE_SECONDS
    seen = None
    while time.monotonic() < deadline:
        [seen] = await engine.reconcile([run_id])
        if seen.state in states:
            return seen
        await asyncio.sleep(0.1)
    pytest.fail(f"{run_id} never became {states}; last seen: {seen}")


async def await_starts(bench: Bench, number: int = 1) -> list[dict]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if starts := bench.starts_of(number):
            return starts
        await asyncio.sleep(0.1)
    pytest.fail(f"{bench.name(number)} never started")


async def await_end_of(start: dict) -> None:
    """Wait until a process is dead; whether somebody has reaped it is not ours."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while psutil.pid_exists(start["pid"]) and psutil.Process(start["pid"]).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {start['pid']} still runs"
        await asyncio.sleep(0.1)


async def test_capacity_is_all_gpus_of_all_nodes(bench):
    capacity = await bench.make(SLEEP).capacity()
    assert capacity.gpus == bench.gpus
    assert sum(node.gpus for node in capacity.nodes) in {0, bench.gpus}


async def test_run_gets_the_protocols_environment_and_devices_of_its_own(bench, monkeypatch):
    monkeypatch.setenv("BROKER_DATABASE_URL", "postgresql://broker:password@db/broker")
    engine = bench.make(RUN_ON)
    await asyncio.gather(engine.launch(bench.spec(1, gpus=2)), engine.launch(bench.spec(2, gpus=2)))
    (first,), (second,) = await await_starts(bench, 1), await await_starts(bench, 2)
    assert {name: first[name] for name in first if name.startswith("LORA_")} == {
        "LORA_BROKER_URL": "http://broker",
        "LORA_RUN_ID": bench.name(1),
        "LORA_RUN_TOKEN": "s3cret",
        "LORA_FENCE_TOKEN": "3",
        "LORA_WORK_DIR": str(bench.runs_dir / bench.name(1) / "work"),
    }
    assert not [name for name in first if name.startswith("BROKER_")]
    places = [(run.get("SLURMD_NODENAME"), device) for run in (first, second) for device in devices_of(run)]
    assert len(set(places)) == 4


def devices_of(run: dict) -> list[str]:
    return run["CUDA_VISIBLE_DEVICES"].split(",")


async def test_run_token_is_read_by_nobody_else(bench):
    engine = bench.make(RUN_ON)
    await engine.launch(bench.spec())
    await await_starts(bench)
    shown = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in shown if "s3cret" in line]
    holding = [path for path in bench.runs_dir.rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    assert {path.stat().st_mode & 0o077 for path in holding if path.name != "starts"} <= {0}
    assert (bench.runs_dir / bench.name(1)).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("code", [0, 1, 75, 137, 255])  # 137 is no SIGKILL
async def test_exit_code_is_told_ever_after_by_any_engine(bench, code):
    engine = bench.make(end_with(code))
    await engine.launch(bench.spec())
    seen = await observe_until(bench, RunState.EXITED)
    assert seen.exit_code == code
    assert (await bench.make(SLEEP).reconcile([bench.name(1)]))[0].exit_code == code


async def test_launched_twice_it_is_one_process_with_one_handle(bench):
    engines = [bench.make(RUN_ON) for _ in range(3)]
    handles = await asyncio.gather(*(engine.launch(bench.spec()) for engine in engines for _ in range(3)))
    await await_starts(bench)
    assert {await bench.make(RUN_ON).launch(bench.spec())} == set(handles)
    await asyncio.sleep(1)
    assert len(bench.starts_of()) == 1


async def test_launched_after_its_end_it_stays_ended(bench):
    engine = bench.make(end_with(7))
    await engine.launch(bench.spec())
    await observe_until(bench, RunState.EXITED)
    await engine.launch(bench.spec())
    await asyncio.sleep(1)
    assert (await engine.reconcile([bench.name(1)]))[0].exit_code == 7
    assert len(bench.starts_of()) == 1


async def test_run_that_is_stopped_writes_its_checkpoint(bench):
    engine = bench.make(SAVE_AND_END)
    await engine.launch(bench.spec())
    await await_starts(bench)
    await engine.stop(bench.name(1), grace_seconds=bench.grace_seconds)
    assert (await observe_until(bench, RunState.EXITED)).exit_code == 75
    assert (bench.runs_dir / bench.name(1) / "work" / "checkpoint").exists()


async def test_run_that_does_not_end_is_killed_after_its_grace(bench):
    engine = bench.make(IGNORE_SIGTERM)
    await engine.launch(bench.spec())
    [start] = await await_starts(bench)
    await engine.stop(bench.name(1), grace_seconds=1)
    seen = await observe_until(bench, RunState.EXITED, RunState.GONE)
    assert seen.exit_code in {-signal.SIGKILL, None}
    await await_end_of(start)


async def test_unknown_run_is_gone_and_stopping_it_does_nothing(bench):
    engine = bench.make(SLEEP)
    await engine.stop(bench.name(9), grace_seconds=0)
    assert await engine.reconcile([bench.name(9)]) == [RunObservation(bench.name(9), RunState.GONE)]


@pytest.mark.parametrize("run_id", ["", "..", "a/b", "run_1\n", "-r", "r" * 129])
async def test_run_id_that_is_no_plain_name_is_refused(bench, run_id):
    engine = bench.make(SLEEP)
    for call in (
        engine.launch(replace(bench.spec(), run_id=run_id)),
        engine.stop(run_id, grace_seconds=0),
        engine.reconcile([run_id]),
    ):
        with pytest.raises(ValueError, match="not a run id"):
            await call


async def test_run_survives_kill_minus_nine_of_its_broker_and_is_adopted_and_stopped_by_the_next(bench, start_broker):
    broker = start_broker("launch(); die()", SAVE_AND_END)
    assert broker.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    await await_starts(bench)
    engine = bench.make(SLEEP)
    assert [seen.state for seen in await engine.reconcile([bench.name(1)])] == [RunState.ALIVE]
    await engine.launch(bench.spec())
    await engine.stop(bench.name(1), grace_seconds=bench.grace_seconds)
    assert (await observe_until(bench, RunState.EXITED, RunState.GONE)).exit_code in {75, None}
    assert (bench.runs_dir / bench.name(1) / "work" / "checkpoint").exists()
    assert len(bench.starts_of()) == 1


async def test_broker_killed_before_it_could_start_the_run_costs_at_most_an_attempt(bench, start_broker):
    broker = start_broker(f"{bench.launch_dies_at}; launch()", RUN_ON)
    assert broker.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    engine = bench.make(RUN_ON)
    await engine.launch(bench.spec())
    await observe_until(bench, RunState.ALIVE, RunState.GONE)
    await asyncio.sleep(1)
    assert len(bench.starts_of()) <= 1


async def test_run_is_stopped_while_it_starts(bench):
    engine = bench.make(RUN_ON)
    await engine.launch(bench.spec())
    await engine.stop(bench.name(1), grace_seconds=2)
    assert (await observe_until(bench, RunState.EXITED, RunState.GONE)).is_over
    for start in bench.starts_of():
        await await_end_of(start)


async def test_run_that_waits_for_devices_waits_and_is_taken_back(cluster_bench):
    """A machine has no line of its own: it refuses a run that finds no device, and is asked again."""
    bench = cluster_bench
    engine = bench.make(RUN_ON)
    for number in range(bench.gpus // bench.gpus_of_node):
        await engine.launch(bench.spec(number, gpus=bench.gpus_of_node))
        await await_starts(bench, number)
    await engine.launch(bench.spec(9))
    await observe_until(bench, RunState.WAITING, number=9)
    await engine.stop(bench.name(9), grace_seconds=30)
    assert (await observe_until(bench, RunState.GONE, number=9)).exit_code is None
    assert bench.starts_of(9) == []


async def test_while_the_server_is_away_nothing_is_called_gone_and_afterwards_the_run_is_found(
    cluster_bench, away_seconds
):
    bench = cluster_bench
    for number in (1, 3):
        await bench.make(RUN_ON).launch(bench.spec(number))
    [start], _ = await await_starts(bench, 1), await await_starts(bench, 3)
    bench.take_server_away()
    impatient = bench.make(RUN_ON, timeout_seconds=5)
    with pytest.raises(EngineUnreachable, match="does not answer"):
        await impatient.reconcile([bench.name(1)])
    with pytest.raises(EngineUnreachable):
        await impatient.launch(bench.spec(2))
    with pytest.raises(EngineUnreachable):
        await impatient.stop(bench.name(3), grace_seconds=0)  # what was asked may be done once it is back
    with pytest.raises(EngineUnreachable):
        await impatient.capacity()
    await asyncio.sleep(away_seconds)
    bench.bring_server_back()
    engine = bench.make(RUN_ON)
    assert psutil.pid_exists(start["pid"])
    assert (await observe_until(bench, RunState.ALIVE)).state is RunState.ALIVE
    await engine.launch(bench.spec(2))
    await await_starts(bench, 2)
    assert len(bench.starts_of(1)) == len(bench.starts_of(2)) == 1


async def test_processes_that_a_run_leaves_behind_end_with_it(bench):
    child = COUNT_START + f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {RUN_ON!r}]); "
    engine = bench.make(child + SLEEP)
    await engine.launch(bench.spec())
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(bench.starts_of()) < 2:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)
    await engine.stop(bench.name(1), grace_seconds=5)
    for start in bench.starts_of():
        await await_end_of(start)
