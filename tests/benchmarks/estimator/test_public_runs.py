from collections import Counter

import pytest
from pydantic import ValidationError

from benchmarks.estimator import judged_once
from benchmarks.estimator.conditions import load_conditions
from benchmarks.estimator.fit import prepare
from benchmarks.estimator.public_runs import FILE, PublicRun, read_public_runs
from pricing.catalog import get_base_model, get_gpu

RUNS = read_public_runs()
JUDGED_ONCE = read_public_runs(judged_once.FILE)
ALL_RUNS = [*RUNS, *JUDGED_ONCE]


def test_the_table_teaches_of_many_programs_with_pictures_among_them():
    assert {run.serves for run in RUNS} == {"fit"}
    assert len({run.program for run in RUNS}) >= 35
    assert len({run.program for run in RUNS if run.resolution is not None}) >= 8


@pytest.mark.skipif(not JUDGED_ONCE, reason="those that judged are in the other table, and no fresh ones are gathered")
def test_what_judges_once_is_kept_apart_and_much_of_it_is_of_a_program_in_no_other_table():
    assert len(JUDGED_ONCE) >= 20
    assert {run.serves for run in JUDGED_ONCE} == {"judge"}
    seen = {run.program for run in RUNS} | {each.program for each in load_conditions()}
    assert len([run for run in JUDGED_ONCE if run.program not in seen]) >= 10


def test_a_program_serves_to_fit_or_to_judge_in_all_tables():
    serves = {(run.program, run.serves) for run in RUNS} | {(each.program, each.serves) for each in load_conditions()}
    assert all(count == 1 for count in Counter(program for program, _ in serves).values())


def test_no_run_stands_twice():
    told = [tuple(sorted(run.model_dump(exclude={"note", "assumed", "source"}).items())) for run in ALL_RUNS]
    doubles = [each for each, count in Counter(map(str, told)).items() if count > 1]
    assert not doubles


def test_models_and_gpu_types_are_named_as_the_catalogue_names_them():
    for run in ALL_RUNS:
        assert get_base_model(run.model).name == run.model
        assert get_gpu(run.gpu).sku == run.gpu


def test_what_is_assumed_are_columns():
    for run in ALL_RUNS:
        assert {name.strip() for name in (run.assumed or "").split(";")} <= {"", *PublicRun.model_fields}


WITHOUT_A_COMMIT = (
    "/issues/",
    "/pull/",
    "https://huggingface.co/",
    "https://github.com/search?",
    "https://www.kaggle.com/",
)


def test_a_reference_names_a_thread_a_card_or_a_file_at_its_commit():
    for run in ALL_RUNS:
        is_open = any(part in run.reference for part in WITHOUT_A_COMMIT)
        assert is_open or len(run.reference.split("/")[6]) == 40


def test_every_run_can_be_estimated_and_none_is_above_the_cards_peak():
    for run in ALL_RUNS:
        row = prepare(run.to_published())
        assert (row.row.memory_gib or 0) <= row.run.gpu.memory_gib
        if row.row.seconds is not None:
            flops = run.micro_batch * run.accumulation * _count_flops(run)
            assert flops / row.row.seconds < row.run.gpu.peak_flops(run.precision)


def _count_flops(run):
    """Count the FLOPs of a sample, the least that they can be: forward, and the gradient of what flows back."""
    size = run.mean_tokens or (run.resolution / 8) ** 2
    costs = get_base_model(run.model).costs
    return costs.forward_flops.linear * size + costs.backward_flops.linear * size


def test_speeds_are_read_in_every_unit():
    run = RUNS[0].model_dump() | {"accumulation": 4, "micro_batch": 2, "mean_tokens": 100.0}
    units = {"s/step": 8.0, "s/micro-batch": 2.0, "tokens/s": 100.0}
    for unit, speed in units.items():
        assert PublicRun(**run | {"speed": speed, "speed_unit": unit}).optimizer_step_seconds == pytest.approx(8.0)
    for unit, speed in {"s/run": 80.0, "min/run": 80 / 60}.items():
        timed = PublicRun(**run | {"speed": speed, "speed_unit": unit, "run_steps": 10})
        assert timed.optimizer_step_seconds == pytest.approx(8.0)
        assert timed.to_published().is_whole_run


def test_a_speed_in_any_unit_may_be_a_whole_run_s():
    run = RUNS[0].model_dump() | {"speed": 8.0, "speed_unit": "s/step", "run_steps": None}
    said = {whole: PublicRun(**run | {"whole_run": whole}).to_published().is_whole_run for whole in (True, False, None)}
    assert said == {True: True, False: False, None: False}


def test_a_text_run_without_a_mean_length_says_nothing_of_seconds_but_keeps_its_ratio_and_its_peak():
    run = next(run for run in RUNS if run.program == "litgpt")
    assert run.mean_tokens is None
    assert run.optimizer_step_seconds is not None
    assert run.to_published().seconds is None
    assert run.to_published().memory_gib is not None


def test_rows_of_different_lengths_are_doubtful_in_what_the_card_holds_and_not_in_what_torch_has_allocated():
    run = next(run for run in RUNS if run.memory_counts == "allocated" and run.mean_tokens is not None)
    varied = run.model_dump() | {"mean_tokens": 100.0, "sequence_length": 400}
    counted = {
        counts: prepare(PublicRun(**varied | {"memory_counts": counts}).to_published()).list_doubts("memory")
        for counts in ("allocated", "reserved", "driver")
    }
    assert counted["driver"] == counted["reserved"] == counted["allocated"] | {"varies": 1.0}
    assert "varies" not in counted["allocated"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"speed": None, "speed_unit": None, "memory": None, "memory_unit": None, "memory_counts": None}, "or a peak"),
        ({"speed_unit": None}, "has its unit"),
        ({"run_steps": 10}, "optimizer steps"),
        ({"memory_counts": None}, "says what it counts"),
        ({"encodes": "no"}, "of pictures"),
        ({"reference": "a blog"}, "reference"),
        ({"gpus": 0}, "gpus"),
    ],
)
def test_a_row_that_is_not_whole_is_refused(changed, message):
    with pytest.raises(ValidationError, match=message):
        PublicRun(**RUNS[0].model_dump() | changed)


def test_a_set_that_has_judged_is_not_asked_again(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(judged_once, "RESULTS", tmp_path / "judged.json")
    (tmp_path / "judged.json").touch()
    with pytest.raises(SystemExit):
        judged_once.main([])
    assert "has judged" in capsys.readouterr().err


def test_without_fresh_rows_nothing_is_judged(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(judged_once, "RESULTS", tmp_path / "none.json")
    monkeypatch.setattr(judged_once, "read_public_runs", lambda _: [])
    with pytest.raises(SystemExit):
        judged_once.main([])
    assert "has no rows" in capsys.readouterr().err


def test_a_program_that_teaches_does_not_judge(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(judged_once, "RESULTS", tmp_path / "none.json")
    monkeypatch.setattr(judged_once, "read_public_runs", lambda _: RUNS[:1])
    monkeypatch.setattr(judged_once, "read_tables", lambda *_: [prepare(RUNS[0].to_published())])
    with pytest.raises(SystemExit):
        judged_once.main([])
    assert f"{RUNS[0].program} taught the constants" in capsys.readouterr().err


def test_a_row_that_has_judged_keeps_what_was_estimated_before_anybody_had_seen_it():
    judged = [run for run in RUNS if run.judged_set is not None]
    assert {run.judged_set for run in judged} == {1, 2, 3, 4, 5, 6, 7, 8}
    assert all(run.judged_seconds or run.judged_gib for run in judged)
    assert not any(run.judged_seconds or run.judged_gib for run in RUNS if run.judged_set is None)


def test_the_file_is_part_of_the_repository():
    assert FILE.is_file()
