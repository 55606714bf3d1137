"""The local engine against real processes: small Python scripts stand in for the trainer, subprocesses for brokers."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from broker.execution.engine import Capacity, LaunchError, LaunchSpec, RunObservation, RunState
from broker.execution.local import LocalEngine

DEADLINE_SECONDS = 30
SLEEP = "import time; time.sleep(120)"
IGNORE_SIGTERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
# Each start leaves one line in the run's own folder, so that a second start cannot hide.
COUNT_START = "import os; open(os.environ['LORA_WORK_DIR'] + '/starts', 'a').write(f'{os.getpid()}\\n'); "

BROKER = """
import asyncio, os, signal, sys
from pathlib import Path
from broker.execution import local
from broker.execution.engine import LaunchSpec
runs_dir, script = sys.argv[1:3]
engine = local.LocalEngine(Path(runs_dir), slots=1, command=(sys.executable, "-c", script))
spec = LaunchSpec("run_1", "job_1", 3, "secret", 1, "http://broker")
def launch(): asyncio.run(engine.launch(spec))
def die(): os.kill(os.getpid(), signal.SIGKILL)
"""


def make_spec(run_id="run_1", **fields) -> LaunchSpec:
    defaults = {"job_id": "job_1", "fence_token": 3, "run_token": "s3cret", "gpus": 1, "broker_url": "http://broker"}
    return LaunchSpec(run_id=run_id, **(defaults | fields))


@pytest.fixture
async def make_engine(tmp_path):
    """Engines on one runs_dir; what still runs at the end is killed and reaped."""
    engines: list[LocalEngine] = []

    def make(script=SLEEP, *, command=None) -> LocalEngine:
        engine = LocalEngine(tmp_path / "runs", slots=2, command=command or (sys.executable, "-c", script))
        engines.append(engine)
        return engine

    yield make
    run_ids = [run_dir.name for run_dir in (tmp_path / "runs").glob("run_*")]
    for run_id in run_ids:
        await engines[0].stop(run_id, grace_seconds=0)
    for engine in engines:
        await engine.reconcile(run_ids)


@pytest.fixture
def start_broker(tmp_path):
    """Return what starts a broker in a process of its own, which runs BROKER and then `code`."""
    brokers: list[subprocess.Popen[str]] = []

    def start(code: str, script: str = SLEEP) -> subprocess.Popen[str]:
        broker = subprocess.Popen(
            (sys.executable, "-c", BROKER + code, str(tmp_path / "runs"), script),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        brokers.append(broker)
        return broker

    yield start
    for broker in brokers:
        broker.kill()
        broker.communicate()


async def observe_until(engine: LocalEngine, state: RunState, run_id="run_1") -> RunObservation:
    deadline = time.monotonic() + DEADLINE_SECONDS
    seen: list[RunObservation] = []
    while time.monotonic() < deadline:
        seen = await engine.reconcile([run_id])
        if seen[0].state == state:
            return seen[0]
        await asyncio.sleep(0.02)
    pytest.fail(f"{run_id} never became {state}; last seen: {seen}")


async def wait_for_text(path: Path) -> list[str]:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if found := read_lines(path):
            return found
        await asyncio.sleep(0.02)
    pytest.fail(f"{path} stayed empty")


def read_lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def record_of(tmp_path: Path, run_id="run_1") -> dict:
    return json.loads((tmp_path / "runs" / run_id / "run.json").read_text())


def starts_of(tmp_path: Path, run_id="run_1") -> Path:
    return tmp_path / "runs" / run_id / "work" / "starts"


async def test_capacity_is_all_the_slots_also_while_some_are_busy(make_engine):
    engine = make_engine()
    await engine.launch(make_spec())
    assert await engine.capacity() == Capacity("cpu", 2)


async def test_launched_run_is_alive_in_a_session_of_its_own(make_engine, tmp_path):
    engine = make_engine()
    handle = await engine.launch(make_spec())
    assert handle == str(tmp_path / "runs" / "run_1")
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    record = record_of(tmp_path)
    assert os.getsid(record["pid"]) == record["pid"]
    assert record["fence_token"] == 3


async def test_environment_is_handed_over_without_the_brokers_secrets_and_token_is_not_in_argv(
    make_engine, tmp_path, monkeypatch
):
    monkeypatch.setenv("BROKER_DATABASE_URL", "postgresql://broker:password@db/broker")
    monkeypatch.setenv("KEPT", "yes")
    dump = "import json, os; print(json.dumps(dict(os.environ)), flush=True); "
    engine = make_engine(dump + SLEEP)
    await engine.launch(make_spec())
    run_dir = tmp_path / "runs" / "run_1"
    environment = json.loads((await wait_for_text(run_dir / "trainer.log"))[0])
    assert {name: value for name, value in environment.items() if name.startswith("LORA_")} == {
        "LORA_BROKER_URL": "http://broker",
        "LORA_RUN_ID": "run_1",
        "LORA_RUN_TOKEN": "s3cret",
        "LORA_FENCE_TOKEN": "3",
        "LORA_WORK_DIR": str(run_dir / "work"),
    }
    assert environment["KEPT"] == "yes"
    assert "BROKER_DATABASE_URL" not in environment
    assert "s3cret" not in " ".join(psutil.Process(record_of(tmp_path)["pid"]).cmdline())
    assert "s3cret" not in repr(make_spec())


async def test_output_and_errors_go_to_the_log(make_engine, tmp_path):
    engine = make_engine("import sys; print('out', flush=True); print('err', file=sys.stderr)")
    await engine.launch(make_spec())
    await observe_until(engine, RunState.EXITED)
    assert (tmp_path / "runs" / "run_1" / "trainer.log").read_text().splitlines() == ["out", "err"]


@pytest.mark.parametrize("exit_code", [0, 1, 75])
async def test_exit_code_is_told_ever_after_by_any_engine_of_the_machine(make_engine, exit_code):
    engine = make_engine(f"raise SystemExit({exit_code})")
    await engine.launch(make_spec())
    exited = RunObservation("run_1", RunState.EXITED, exit_code)
    assert await observe_until(engine, RunState.EXITED) == exited
    assert await engine.reconcile(["run_1"]) == [exited]
    assert await make_engine().reconcile(["run_1"]) == [exited]


async def test_ended_child_is_reaped(make_engine, tmp_path):
    engine = make_engine("pass")
    await engine.launch(make_spec())
    await observe_until(engine, RunState.EXITED)
    assert not psutil.pid_exists(record_of(tmp_path)["pid"])


async def test_kill_minus_nine_of_the_run_is_told_as_its_signal(make_engine, tmp_path):
    engine = make_engine()
    await engine.launch(make_spec())
    os.kill(record_of(tmp_path)["pid"], signal.SIGKILL)
    assert (await observe_until(engine, RunState.EXITED)).exit_code == -signal.SIGKILL


async def test_processes_that_a_killed_run_leaves_behind_are_killed_with_it(make_engine, tmp_path):
    child = "import subprocess, sys, time; "
    child += f"print(subprocess.Popen([sys.executable, '-c', {SLEEP!r}]).pid, flush=True); time.sleep(120)"
    engine = make_engine(child)
    await engine.launch(make_spec())
    left_behind = psutil.Process(int((await wait_for_text(tmp_path / "runs" / "run_1" / "trainer.log"))[0]))
    os.kill(record_of(tmp_path)["pid"], signal.SIGKILL)
    await observe_until(engine, RunState.EXITED)
    assert_ends(left_behind)


def assert_ends(process: psutil.Process) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{process} still runs"
        time.sleep(0.02)


async def test_relaunch_starts_nothing_while_the_run_lives(make_engine, tmp_path):
    engine = make_engine(COUNT_START + SLEEP)
    handle = await engine.launch(make_spec())
    await wait_for_text(starts_of(tmp_path))
    assert await engine.launch(make_spec()) == handle
    assert await make_engine(COUNT_START + SLEEP).launch(make_spec()) == handle
    await engine.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert len(starts_of(tmp_path).read_text().splitlines()) == 1


async def test_relaunch_starts_nothing_after_the_run_ended(make_engine, tmp_path):
    engine = make_engine(COUNT_START)
    await engine.launch(make_spec())
    await observe_until(engine, RunState.EXITED)
    await engine.launch(make_spec())
    assert (await observe_until(engine, RunState.EXITED)).exit_code == 0
    assert len(starts_of(tmp_path).read_text().splitlines()) == 1


async def test_concurrent_launches_of_one_run_start_one_process(make_engine, tmp_path):
    engines = [make_engine(COUNT_START + SLEEP) for _ in range(4)]
    await asyncio.gather(*(engine.launch(make_spec()) for engine in engines for _ in range(4)))
    for engine in engines:
        assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    await wait_for_text(starts_of(tmp_path))
    await engines[0].stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert starts_of(tmp_path).read_text().splitlines() == [str(record_of(tmp_path)["pid"])]


async def test_launch_returns_only_when_a_launch_under_way_elsewhere_has_recorded_its_process(
    make_engine, tmp_path, monkeypatch
):
    slow, engine = make_engine(), make_engine()
    spawn = slow._spawn
    monkeypatch.setattr(slow, "_spawn", lambda *args: time.sleep(0.5) or spawn(*args))
    launching = asyncio.create_task(slow.launch(make_spec()))
    await wait_for_text(tmp_path / "runs" / "run_1" / "run.json")
    await engine.launch(make_spec())
    assert record_of(tmp_path)["pid"] is not None
    await launching


async def test_brokers_that_launch_one_run_at_the_same_time_start_one_process(make_engine, start_broker, tmp_path):
    code = "print('ready', flush=True); sys.stdin.readline(); launch(); print('launched', flush=True); die()"
    brokers = [start_broker(code, COUNT_START + SLEEP) for _ in range(3)]
    assert [broker.stdout.readline() for broker in brokers] == ["ready\n"] * 3
    for broker in brokers:
        broker.stdin.write("go\n")
        broker.stdin.flush()
    assert [broker.stdout.readline() for broker in brokers] == ["launched\n"] * 3
    engine = make_engine()
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    await wait_for_text(starts_of(tmp_path))
    await engine.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert starts_of(tmp_path).read_text().splitlines() == [str(record_of(tmp_path)["pid"])]


async def test_different_runs_are_told_apart(make_engine):
    engine = make_engine("import os, sys; sys.exit(int(os.environ['LORA_FENCE_TOKEN']))")
    await asyncio.gather(*(engine.launch(make_spec(f"run_{n}", fence_token=n)) for n in (1, 2)))
    deadline = time.monotonic() + DEADLINE_SECONDS
    codes: dict[str, int | None] = {}
    while len(codes) < 2 and time.monotonic() < deadline:
        codes |= {
            seen.run_id: seen.exit_code
            for seen in await engine.reconcile(["run_1", "run_2"])
            if seen.state is RunState.EXITED
        }
    assert codes == {"run_1": 1, "run_2": 2}


async def test_failed_start_leaves_nothing_and_may_be_repeated(make_engine, tmp_path):
    with pytest.raises(LaunchError, match="run_1 could not be started"):
        await make_engine(command=("/no/such/trainer",)).launch(make_spec())
    engine = make_engine()
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.GONE)]
    await engine.launch(make_spec())
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]


async def test_unknown_run_is_gone_and_stopping_it_does_nothing(make_engine):
    engine = make_engine()
    assert await engine.reconcile(["run_9", "run_8"]) == [
        RunObservation("run_9", RunState.GONE),
        RunObservation("run_8", RunState.GONE),
    ]
    await engine.stop("run_9", grace_seconds=0)
    assert await engine.reconcile(["run_9"]) == [RunObservation("run_9", RunState.GONE)]


@pytest.mark.parametrize("run_id", ["", ".", "..", "../run_1", "a/b", "/etc", "run_1\n", "run\0", "-r", "r" * 129])
async def test_run_id_that_is_no_plain_name_is_refused(make_engine, tmp_path, run_id):
    engine = make_engine()
    with pytest.raises(ValueError, match="not a run id"):
        await engine.launch(make_spec(run_id))
    with pytest.raises(ValueError, match="not a run id"):
        await engine.stop(run_id, grace_seconds=0)
    with pytest.raises(ValueError, match="not a run id"):
        await engine.reconcile([run_id])
    assert list(tmp_path.iterdir()) == []


async def test_run_survives_kill_minus_nine_of_its_broker_and_is_adopted(make_engine, start_broker, tmp_path):
    broker = start_broker("launch(); die()")
    assert broker.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    engine = make_engine()
    assert await engine.reconcile(["run_1", "run_2"]) == [
        RunObservation("run_1", RunState.ALIVE),
        RunObservation("run_2", RunState.GONE),
    ]
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    os.kill(record_of(tmp_path)["pid"], signal.SIGKILL)
    assert await observe_until(engine, RunState.GONE) == RunObservation("run_1", RunState.GONE)


async def test_second_engine_object_adopts_and_stops_a_run(make_engine):
    first, second = make_engine(), make_engine()
    await first.launch(make_spec())
    assert await second.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    await second.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert await observe_until(second, RunState.GONE) == RunObservation("run_1", RunState.GONE)
    assert (await observe_until(first, RunState.EXITED)).exit_code == -signal.SIGTERM


async def test_run_of_another_living_broker_stays_alive_until_that_broker_knows_the_exit_code(
    make_engine, start_broker, tmp_path
):
    code = "launch(); print('launched', flush=True); sys.stdin.readline(); asyncio.run(engine.reconcile(['run_1'])); "
    code += "print('observed', flush=True); sys.stdin.readline()"
    broker = start_broker(code, "raise SystemExit(7)")
    assert broker.stdout.readline() == "launched\n"
    process = psutil.Process(record_of(tmp_path)["pid"])
    assert_ends(process)
    engine = make_engine()
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    broker.stdin.write("observe\n")
    broker.stdin.flush()
    assert broker.stdout.readline() == "observed\n"
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.EXITED, 7)]


# The broker dies at a chosen write of the record: before it (nothing recorded), or after it.
DIE_AT_WRITE = """
write_record, writes = local._write_record, []
def write(run_dir, record):
    writes.append(record)
    if len(writes) == {number} and not {after}: die()
    write_record(run_dir, record)
    if len(writes) == {number} and {after}: die()
local._write_record = write
launch()
"""


async def test_broker_killed_between_start_and_record_leaves_one_run_that_is_adopted_and_stopped(
    make_engine, start_broker, tmp_path
):
    broker = start_broker(DIE_AT_WRITE.format(number=2, after=False), COUNT_START + SLEEP)
    assert broker.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    assert record_of(tmp_path)["pid"] is None
    pid = int((await wait_for_text(starts_of(tmp_path)))[0])
    engine = make_engine(COUNT_START + SLEEP)
    await engine.launch(make_spec())
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    await engine.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert await observe_until(engine, RunState.GONE) == RunObservation("run_1", RunState.GONE)
    assert starts_of(tmp_path).read_text().splitlines() == [str(pid)]


async def test_broker_killed_between_intent_and_start_costs_the_run_and_starts_nothing(
    make_engine, start_broker, tmp_path
):
    broker = start_broker(DIE_AT_WRITE.format(number=1, after=True), COUNT_START + SLEEP)
    assert broker.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    engine = make_engine(COUNT_START + SLEEP)
    await engine.launch(make_spec())
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.GONE)]
    assert not starts_of(tmp_path).exists()


async def test_broker_killed_before_the_intent_lets_the_next_one_start_the_run(make_engine, start_broker):
    broker = start_broker(DIE_AT_WRITE.format(number=1, after=False))
    assert broker.wait(DEADLINE_SECONDS) == -signal.SIGKILL
    engine = make_engine()
    await engine.launch(make_spec())
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]


async def test_torn_record_starts_nothing_and_is_gone(make_engine, tmp_path):
    engine = make_engine(COUNT_START)
    await engine.launch(make_spec())
    await observe_until(engine, RunState.EXITED)
    (tmp_path / "runs" / "run_1" / "run.json").write_text('{"run_id": "ru')
    second = make_engine(COUNT_START)
    await second.launch(make_spec())
    assert await second.reconcile(["run_1"]) == [RunObservation("run_1", RunState.GONE)]
    assert len(starts_of(tmp_path).read_text().splitlines()) == 1


async def test_removed_record_of_a_living_run_starts_no_second_process(make_engine, tmp_path):
    engine = make_engine(COUNT_START + SLEEP)
    await engine.launch(make_spec())
    await wait_for_text(starts_of(tmp_path))
    (tmp_path / "runs" / "run_1" / "run.json").unlink()
    second = make_engine(COUNT_START + SLEEP)
    await second.launch(make_spec())
    assert await second.reconcile(["run_1"]) == [RunObservation("run_1", RunState.ALIVE)]
    await second.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert len(starts_of(tmp_path).read_text().splitlines()) == 1


@pytest.fixture
def bystander():
    process = subprocess.Popen((sys.executable, "-c", SLEEP), start_new_session=True)
    yield process
    process.kill()
    process.wait()


async def test_process_that_got_the_pid_of_an_ended_run_is_neither_adopted_nor_killed(make_engine, bystander, tmp_path):
    await make_engine().launch(make_spec())
    engine = make_engine()
    await engine.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    ended = record_of(tmp_path)
    reused = ended | {"pid": bystander.pid, "create_time": ended["create_time"] - 60}
    (tmp_path / "runs" / "run_1" / "run.json").write_text(json.dumps(reused))
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.GONE)]
    await engine.stop("run_1", grace_seconds=0)
    assert bystander.poll() is None


async def test_stop_lets_the_run_end_by_itself_within_its_grace(make_engine, tmp_path):
    script = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(75)); print('ready', flush=True); "
    engine = make_engine(script + SLEEP)
    await engine.launch(make_spec())
    await wait_for_text(tmp_path / "runs" / "run_1" / "trainer.log")
    await engine.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.EXITED, 75)]


async def test_stop_kills_a_run_that_ignores_sigterm(make_engine, tmp_path):
    engine = make_engine(IGNORE_SIGTERM)
    await engine.launch(make_spec())
    await wait_for_text(tmp_path / "runs" / "run_1" / "trainer.log")
    await engine.stop("run_1", grace_seconds=0.2)
    assert await engine.reconcile(["run_1"]) == [RunObservation("run_1", RunState.EXITED, -signal.SIGKILL)]


async def test_stop_kills_a_child_that_outlives_its_leader(make_engine, tmp_path):
    script = (
        f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {IGNORE_SIGTERM!r}]); time.sleep(120)"
    )
    engine = make_engine(script)
    await engine.launch(make_spec())
    await wait_for_text(tmp_path / "runs" / "run_1" / "trainer.log")
    (child,) = psutil.Process(record_of(tmp_path)["pid"]).children()
    await engine.stop("run_1", grace_seconds=DEADLINE_SECONDS)
    assert_ends(child)


async def test_event_loop_goes_on_while_a_stop_waits(make_engine, tmp_path):
    engine = make_engine(IGNORE_SIGTERM)
    await engine.launch(make_spec())
    await wait_for_text(tmp_path / "runs" / "run_1" / "trainer.log")
    stopping = asyncio.create_task(engine.stop("run_1", grace_seconds=0.5))
    seen = await engine.reconcile(["run_1"])
    assert not stopping.done()
    assert seen == [RunObservation("run_1", RunState.ALIVE)]
    await stopping
    assert (await observe_until(engine, RunState.EXITED)).exit_code == -signal.SIGKILL
