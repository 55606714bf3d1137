"""The frame of `make bench-gpu`: the order of worth, the time boxes, and what is said of rows that say nothing."""

import json
import os
import select
import signal
import sys
from importlib.metadata import PackageNotFoundError

import pytest
import torch

from benchmarks.estimator.fit import fit_time, prepare
from benchmarks.estimator.gpu_runs import read_gpu_runs
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import command as bench
from benchmarks.gpu import graphs, picture_speed, text_speed
from benchmarks.gpu.boxes import (
    Outcome,
    RowFailed,
    RowLeftOut,
    RowTooLong,
    describe_end,
    run_boxed,
    run_in_process,
    run_rows,
)
from benchmarks.gpu.figures import Figure, RowResult, Side, try_peer
from benchmarks.gpu.picture_models import PictureJob
from benchmarks.gpu.rows import ROWS, BenchRow, find_row
from benchmarks.gpu.text_models import LLAMA_1B, TextJob
from benchmarks.gpu.where import Place
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion

FOUR = [BenchRow(name, "floor", 60) for name in ("first", "slow", "broken", "last")]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_rows_run_in_their_order_and_each_that_says_nothing_is_named() -> None:
    clock, boxes = Clock(), {}

    def run(row, box):
        boxes[row.name] = box
        clock.now += 40
        if row.name == "slow":
            raise RowTooLong(f"{box:.0f} s")
        if row.name == "broken":
            raise RowFailed("no kernel image")
        return {"row": row.name}

    told = []
    outcome = run_rows(FOUR, run, seconds=125, clock=clock, tell=told.append)
    assert told[:2] == ["first: measured in 40 s", "slow: took longer than its 60 s"]
    assert [result["row"] for result in outcome.results] == ["first"]
    assert outcome.left_out == {
        "slow": "took longer than its 60 s",
        "broken": "failed: no kernel image",
        "last": "the 125 s were over",
    }
    assert boxes == {"first": 60, "slow": 60, "broken": 45}


def test_after_every_row_there_is_a_file_and_an_early_end_loses_one_row() -> None:
    kept = []

    def run(row, _box):
        if row.name == "slow":
            raise KeyboardInterrupt
        return {"row": row.name}

    outcome = run_rows(FOUR, run, seconds=125, clock=Clock(), keep=lambda so_far: kept.append(len(so_far.results)))
    assert kept == [1, 1]
    assert outcome.left_out == {
        "slow": "ended in the midst of it",
        "broken": "ended before it",
        "last": "ended before it",
    }
    assert not outcome.has_failed


def test_a_row_that_lacks_memory_or_a_library_has_not_failed(monkeypatch, tmp_path) -> None:
    def run(row, _box):
        raise RowLeftOut("diffusers is not installed") if row.name == "first" else RowFailed("no kernel image")

    assert not run_rows(FOUR[:1], run, seconds=125, clock=Clock()).has_failed
    assert run_rows(FOUR, run, seconds=125, clock=Clock()).has_failed
    answer = tmp_path / "row.json"
    for error, said in (
        (ModuleNotFoundError("No module", name="diffusers.utils"), "diffusers is not installed"),
        (
            PackageNotFoundError("The 'requests' distribution was not found"),
            "The 'requests' distribution was not found",
        ),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "out of memory: CUDA out of memory"),
    ):
        monkeypatch.setattr(BenchRow, "measure", Raiser(error))
        assert bench.measure_row("machine", answer, rehearses=True) == 0
        assert json.loads(answer.read_text()) == {"lacks": said}
    monkeypatch.setattr(BenchRow, "measure", Raiser(ModuleNotFoundError("No module", name="trainer.gone")))
    with pytest.raises(ModuleNotFoundError):
        bench.measure_row("machine", answer, rehearses=True)


class Raiser:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object) -> RowResult:
        raise self.error


HELPER = "import sys, time; file = open(sys.argv[1], 'wb', 0); file.write(b'1'); print(1, flush=True); time.sleep(99)"
LEADER = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', *sys.argv[1:]], stdout=-1).stdout.readline()"


def test_helpers_that_a_row_left_are_ended_with_it(tmp_path) -> None:
    """Past fault: a compiler's helper held the pipe of a row that was gone, and the whole waited for it."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    run_boxed([sys.executable, "-c", LEADER, HELPER, str(fifo)], 60, tmp_path / "said.txt", {})
    hung_up = select.poll()
    hung_up.register(reader, 0)
    assert hung_up.poll(30_000), "the helper has not let go of its end"
    assert os.read(reader, 2) == b"1"
    os.close(reader)


def test_a_row_that_hangs_is_ended(tmp_path) -> None:
    with pytest.raises(RowTooLong):
        run_boxed([sys.executable, "-c", "import time; time.sleep(99)"], 0.2, tmp_path / "said.txt", {})


def test_a_row_that_crashes_names_its_signal(tmp_path) -> None:
    script = "import os, signal; print('so far', flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    status, said = run_boxed([sys.executable, "-c", script], 60, tmp_path / "said.txt", {})
    assert (status, said) == (-signal.SIGKILL, "so far")
    assert describe_end(status, said) == "so far\nended by SIGKILL, as where the machine's own memory is gone"
    assert describe_end(-signal.SIGSEGV, "") == "ended by SIGSEGV"
    assert describe_end(3, "") == "exit code 3"


def test_what_is_missing_is_said_before_anything_is_imported(monkeypatch, capsys) -> None:
    monkeypatch.setitem(command.NEEDED, "no_such_module", "no-such-package")
    assert command.main() == 2
    assert "not installed: no-such-package; docs/trainer.md says" in capsys.readouterr().err


def test_all_boxes_together_are_eight_minutes_at_most() -> None:
    assert sum(row.box for row in ROWS) <= 60 * bench.MINUTES
    assert [row.name for row in ROWS[:3]] == ["machine", "correct-text", "correct-pictures"]
    with pytest.raises(LookupError, match="no row named speed; there are: machine"):
        find_row("speed")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's, about its own compiler
def test_what_graphs_change_stands_beside_what_a_repetition_changes(monkeypatch) -> None:
    """The compiler is left out: to follow a UNet three times takes it half a minute, which a rehearsal has."""
    monkeypatch.setattr(StableDiffusion, "compile_blocks", lambda _, **__: None)
    torch.set_num_threads(1)  # tiny tensors; two workers of pytest-xdist share two cores
    monkeypatch.setattr(Place, "precision", "fp32")  # the first products in 16 bit take a CPU seconds
    speed, off = graphs.measure(Place(torch.device("cpu"), is_rehearsal=True), seconds=0).figures
    assert (speed.bar, speed.better) == (1.05, "higher")
    assert (off.value, off.holds) == (0, True)  # a CPU has no graphs, and adds in one order
    assert find_row("graphs") not in ROWS


@pytest.mark.slow  # its process imports torch
def test_a_row_is_rehearsed_in_a_process_of_its_own() -> None:
    """Takes the import of torch: the very command that a GPU machine runs."""
    result = run_in_process(find_row("machine"), 120, rehearses=True)
    assert [figure["unit"] for figure in result["figures"]] == ["TFLOP/s", "GB/s"]
    assert all(figure["value"] > 0 for figure in result["figures"])


@pytest.mark.slow  # its process imports torch
def test_a_row_that_fails_says_the_end_of_what_it_said() -> None:
    with pytest.raises(RowFailed, match="no row named nothing"):
        run_in_process(BenchRow("nothing", "floor", 60), 120, rehearses=True)


def test_the_table_shows_what_holds_and_what_was_left_out(capsys) -> None:
    figures = [Figure("speed", 1.6, "times", "160 against 100", 1.5, "higher"), Figure("off", 0.2, "", "", 0.1)]
    rows = [RowResult("text", figures).to_json(), RowResult("NF4", log=["bitsandbytes is not installed"]).to_json()]
    bench.report(Outcome(rows, {"sdxl": "took longer than its 55 s"}), "NVIDIA H200", 480)
    said = capsys.readouterr().out
    assert "≥ 1.5" in said
    assert "yes" in said
    assert "no" in said
    assert "bitsandbytes is not installed" in said
    assert "left out: sdxl: took longer than its 55 s" in said
    assert "2 rows in 480 s; 1 left out" in said


def test_without_a_gpu_the_cure_is_said(capsys) -> None:
    with pytest.raises(SystemExit):
        bench.main([])
    assert "ARGS=--rehearse" in capsys.readouterr().err


class MadeUp(Place):
    """A machine that there is not, for the form of its file alone."""

    name = "NVIDIA H200"
    precision = "bf16"
    gpu = "h200"


PLACE = MadeUp(torch.device("cpu"), is_rehearsal=False)
TEXT = TextJob("made up", "llama-3.2-1b", LLAMA_1B, (1024,) * 8)


def write(results: list[RowResult], folder, **keys):
    file = bench.name_file(PLACE.name, folder)
    outcome = Outcome([result.to_json() for result in results])
    bench.write_outcome(outcome, **{"name": PLACE.name, "file": file, "is_rehearsal": False} | keys)
    return file


def test_the_file_is_a_source_of_the_estimator(tmp_path) -> None:
    text = text_speed.describe(PLACE, TEXT, Side(0.2, 20.0), Side(0.4, 30.0), 0.15, mixed=False)
    pictures = [
        picture_speed.describe(PLACE, PictureJob(kind, side, 4), Side(0.5, 9.0), Side(1.0, 12.0), 0.3)
        for kind, side in picture_speed.SIDES.items()
    ]
    file = write([text, *pictures], tmp_path)
    assert file.name == "gpu-nvidia-h200.json"
    assert json.loads(file.read_text())["machine"] == "NVIDIA H200"
    runs, left_out = read_gpu_runs(tmp_path)
    rows = [prepare(run.to_published()) for run in runs]
    assert left_out == []
    assert [(row.row.program, row.seconds, row.memory_gib) for row in rows[:2]] == [
        ("lora-broker trainer", 0.2, 20.0),
        ("transformers.Trainer + peft", 0.4, 30.0),
    ]
    assert [row.row.request.base_model for row in rows[2:]] == ["sd-1.5", "sd-1.5", "sdxl-1.0", "sdxl-1.0"]
    assert [row.row.conditions.encodes for row in rows[2:]] == [False, True, False, True]
    for row in rows:
        assert row.estimate_seconds(fit_time(rows)).value == pytest.approx(row.seconds, rel=0.8)


def test_a_rehearsal_and_a_gpu_that_nobody_knows_teach_the_estimator_nothing(tmp_path) -> None:
    text = text_speed.describe(PLACE, TEXT, Side(0.2, 20.0), None, 0.15, mixed=False)
    write([text], tmp_path, is_rehearsal=True)
    assert read_gpu_runs(tmp_path) == ([], ["gpu-nvidia-h200.json left out: rehearsed on a CPU"])
    text.runs[0]["gpu"] = "NVIDIA B999"
    write([text], tmp_path)
    assert read_gpu_runs(tmp_path) == ([], ["gpu-nvidia-h200.json left out: the catalogue has no GPU NVIDIA B999"])


def test_a_fixed_length_is_judged_by_the_peer_and_by_the_floor() -> None:
    speed, memory, over_floor = text_speed.describe(
        PLACE, TEXT, Side(0.2, 20.0), Side(0.4, 30.0), 0.15, mixed=False
    ).figures
    assert (speed.value, speed.bar) == (2.0, 1.3)
    assert over_floor.value == pytest.approx(0.2 / 0.15)
    assert memory.holds
    near = text_speed.describe(PLACE, TEXT, Side(0.2, 20.0), Side(0.21, 30.0), 0.17, mixed=False)
    assert near.figures[0].holds is None, "near the floor there is no peer to beat"


def test_a_peer_without_room_leaves_our_figures() -> None:
    peer = try_peer(Raiser(torch.OutOfMemoryError("CUDA out of memory")))
    result = text_speed.describe(PLACE, TEXT, Side(0.2, 20.0), peer, 0.15, mixed=True)
    assert result.figures[0].beside == "transformers.Trainer + peft ran out of memory; ours took 20.0 GiB"
    assert result.figures[0].value == 8 * 1024 / 0.2
    assert [run["program"] for run in result.runs] == ["lora-broker trainer"]


def test_no_results_are_no_source(tmp_path) -> None:
    assert read_gpu_runs(tmp_path) == ([], [])
