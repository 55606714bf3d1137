"""The frame of `make bench-gpu`: the order of worth, the time boxes, and what is said of rows that say nothing."""

import json
import subprocess

import pytest
import torch

from benchmarks.estimator.fit import prepare
from benchmarks.estimator.gpu_runs import read_gpu_runs
from benchmarks.gpu import __main__ as bench
from benchmarks.gpu.boxes import Outcome, RowFailed, run_in_process, run_rows
from benchmarks.gpu.figures import Figure, RowResult
from benchmarks.gpu.rows import ROWS, BenchRow, find_row
from benchmarks.gpu.text_models import LLAMA_1B, TextJob
from benchmarks.gpu.text_speed import describe
from benchmarks.gpu.where import Place

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
            raise subprocess.TimeoutExpired("row", box)
        if row.name == "broken":
            raise RowFailed("no kernel image")
        return {"row": row.name}

    outcome = run_rows(FOUR, run, seconds=125, clock=clock)
    assert [result["row"] for result in outcome.results] == ["first"]
    assert outcome.left_out == {
        "slow": "took longer than its 60 s",
        "broken": "failed: no kernel image",
        "last": "the 125 s were over",
    }
    assert boxes == {"first": 60, "slow": 60, "broken": 45}


def test_all_boxes_together_are_eight_minutes_at_most() -> None:
    assert sum(row.box for row in ROWS) <= 60 * bench.MINUTES
    assert [row.name for row in ROWS[:3]] == ["machine", "correct-text", "correct-pictures"]
    with pytest.raises(LookupError, match="no row named speed; there are: machine"):
        find_row("speed")


def test_a_row_is_rehearsed_in_a_process_of_its_own() -> None:
    """Takes the import of torch: the very command that a GPU machine runs."""
    result = run_in_process(find_row("machine"), 120, rehearses=True)
    assert [figure["unit"] for figure in result["figures"]] == ["TFLOP/s", "GB/s"]
    assert all(figure["value"] > 0 for figure in result["figures"])


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


def test_the_file_is_a_source_of_the_estimator(tmp_path) -> None:
    place = MadeUp(torch.device("cpu"), is_rehearsal=False)
    job = TextJob("made up", "llama-3.2-1b", LLAMA_1B, (1024,) * 8)
    result = describe(place, job, (0.2, 20.0), (0.4, 30.0), 0.15, mixed=False)
    file = bench.write_outcome(Outcome([result.to_json()]), place.name, tmp_path)
    assert file.name == "gpu-nvidia-h200.json"
    assert json.loads(file.read_text())["machine"] == "NVIDIA H200"
    ours, peer = (prepare(run.to_published()) for run in read_gpu_runs(tmp_path))
    assert (ours.seconds, ours.memory_gib, ours.row.program) == (0.2, 20.0, "lora-broker trainer")
    assert (peer.seconds, peer.row.request.gpu) == (0.4, "h200")
    speed, over_floor, memory = result.figures
    assert (speed.value, speed.bar) == (2.0, 1.3)
    assert over_floor.value == pytest.approx(0.2 / 0.15)
    assert memory.holds


def test_near_the_floor_a_fixed_length_needs_no_peer_to_beat() -> None:
    place = MadeUp(torch.device("cpu"), is_rehearsal=False)
    job = TextJob("made up", "llama-3.2-1b", LLAMA_1B, (1024,) * 8)
    speed = describe(place, job, (0.2, 20.0), (0.21, 30.0), 0.17, mixed=False).figures[0]
    assert speed.holds is None


def test_no_results_are_no_source(tmp_path) -> None:
    assert read_gpu_runs(tmp_path) == []
