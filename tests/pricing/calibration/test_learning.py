import json
import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing.calibration.calibration import Calibration, RunKind, get_published_width
from pricing.calibration.learning import FinishedRun, learn_calibration
from pricing.catalog import get_gpu, load_gpus
from pricing.resources.run_work import RunWork, compute_run_seconds
from pricing.resources.shipped_constants import load_device_constants, load_log_spread
from pricing.resources.step_work import StepWork
from tests.properties import examples

GPU = get_gpu("rtx-3090")
KIND = RunKind("rtx-3090", "causal_lm", "bf16", checkpointing=False, trainer_version="1")


def work_of(micro_batches, teraflops=1.0):
    micro_batch = StepWork(
        launches=4000,
        recomputed_launches=0,
        adapter_launches=0,
        matmul_flops=teraflops * 1e12,
        attention_flops=0.0,
        traffic_bytes=teraflops * 1e9,
    )
    return RunWork(micro_batch, micro_batches, "bf16", loaded_bytes=1e9)


def run_of(ratio, micro_batches=1000, *, kind=KIND, teraflops=1.0):
    """Make a run that took `ratio` times what the shipped constants say."""
    work = work_of(micro_batches, teraflops)
    seconds = compute_run_seconds(work, get_gpu(kind.sku), load_device_constants())
    return FinishedRun(kind, work, seconds * ratio)


def learn(runs):
    return learn_calibration(runs, load_gpus(), version="1")


def various(count, noise, *, ratio=1.0, seed=1, kind=KIND):
    drawn = random.Random(seed)
    runs = []
    for _ in range(count):
        micro_batches, teraflops = drawn.randint(200, 5000), drawn.uniform(0.2, 20)
        runs.append(run_of(ratio * math.exp(drawn.gauss(0, noise)), micro_batches, teraflops=teraflops, kind=kind))
    return runs


def test_it_learns_how_much_slower_this_installation_is():
    calibration = learn(various(40, 0.02, ratio=1.5))
    seen = run_of(1.5, 2000, teraflops=5.0)
    assert calibration.estimate(KIND, seen.work, GPU).p50 == pytest.approx(seen.seconds, rel=0.05)


def test_it_tells_a_slow_start_from_slow_steps():
    """Learn from runs that each take a minute longer: short ones are far off, long ones hardly."""
    runs = [FinishedRun(run.kind, run.work, run.seconds + 60) for run in various(40, 0.01)]
    calibration = learn(runs)
    for micro_batches in (100, 20_000):
        plain = run_of(1.0, micro_batches)
        assert calibration.estimate(KIND, plain.work, GPU).p50 == pytest.approx(plain.seconds + 60, rel=0.1)


def test_p90_is_above_nine_of_ten_runs_it_has_not_seen():
    calibration = learn(various(100, 0.2, seed=2))
    unseen = various(500, 0.2, seed=3)
    below = sum(run.seconds <= calibration.estimate(run.kind, run.work, GPU).p90 for run in unseen)
    assert 0.85 <= below / len(unseen) <= 0.95


def test_with_fewer_than_nine_runs_the_interval_stays_wide():
    calibration = learn(various(8, 0.01))
    interval = calibration.estimate(KIND, work_of(1000), GPU)
    assert interval.runs == 8
    assert interval.p90 / interval.p50 == pytest.approx(math.exp(1.2816 * load_log_spread(KIND.family)))


def test_runs_that_miss_their_p90_widen_it_and_runs_that_keep_it_narrow_it():
    runs = various(30, 0.2, seed=2)
    missed, unsaid, kept = (
        learn([replace(run, kept_p90=is_kept) for run in runs]).estimate(KIND, work_of(1000), GPU)
        for is_kept in (False, None, True)
    )
    assert missed.p50 == unsaid.p50 == kept.p50
    assert missed.p90 > unsaid.p90 > kept.p90 > kept.p50


def test_the_misses_of_one_gpu_type_do_not_widen_another():
    other = KIND._replace(sku="h100-80g")
    missed = [replace(run, kept_p90=False) for run in various(20, 0.2, kind=other, seed=4)]
    calibration, alone = learn([*various(20, 0.2), *missed]), learn(various(20, 0.2))
    assert calibration.estimate(KIND, work_of(1000), GPU).p90 == pytest.approx(
        alone.estimate(KIND, work_of(1000), GPU).p90, rel=0.1
    )
    assert set(calibration.levels) == {"h100-80g"}


def test_a_kind_that_is_always_slower_is_told_apart():
    slow = RunKind("rtx-3090", "stable_diffusion", "bf16", checkpointing=False, trainer_version="1")
    calibration = learn(various(30, 0.02) + various(30, 0.02, ratio=1.4, kind=slow, seed=5))
    usual, slower = (calibration.estimate(kind, work_of(1000), GPU).p50 for kind in (KIND, slow))
    assert slower / usual == pytest.approx(1.4, rel=0.08)


def test_a_new_kind_takes_the_ratio_of_the_next_wider_one():
    calibration = learn(various(40, 0.02, ratio=1.5))
    new = RunKind("rtx-3090", "causal_lm", "bf16", checkpointing=False, trainer_version="2")
    assert calibration.get_ratio(new) == calibration.ratios[KIND.list_keys()[-2]]


def test_runs_of_one_gpu_type_say_nothing_of_the_constants_of_another():
    calibration = learn(various(40, 0.02, ratio=1.5))
    assert calibration.get_constants("h100-80g") == load_device_constants()


def test_it_comes_back_from_json_as_it_was():
    calibration = learn([replace(run, kept_p90=True) for run in various(20, 0.1)])
    assert calibration.levels
    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


def test_only_the_last_runs_of_a_gpu_type_count():
    assert learn(various(250, 0.02)).runs == 200


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_seconds_that_are_not_positive_are_refused(seconds):
    with pytest.raises(ValueError, match="positive seconds"):
        learn([FinishedRun(KIND, work_of(10), seconds)])


# Times the published p90 over p50, which is what a single run may move at most; a little for what it shifts besides.
ONE_RUN = 1.2 * math.exp(get_published_width(KIND.family))
PROBE = run_of(1.0, 2000, teraflops=5.0)


def p90_after(runs):
    return learn(runs).estimate(KIND, PROBE.work, GPU).p90


@pytest.mark.parametrize("ratio", [3600 / 47, 47 / 3600, 3.0, 1e12, 1e-12])
def test_one_straggler_on_a_fresh_installation_leaves_the_price_of_others_nearly_as_it_was(ratio):
    """Guards a past fault: one job of 3,600 s instead of 47 lifted another customer's p90 from 0.81 to 13.01."""
    published = Calibration().estimate(KIND, PROBE.work, GPU)
    learnt = learn([run_of(ratio)]).estimate(KIND, PROBE.work, GPU)
    assert 1 / ONE_RUN < learnt.p50 / published.p50 < ONE_RUN
    assert learnt.p90 / learnt.p50 == pytest.approx(published.p90 / published.p50)


@examples(20)
@given(runs=st.integers(1, 22), ratio=st.floats(1e-9, 1e9), place=st.floats(0, 1), seed=st.integers(0, 10**6))
def test_one_run_moves_a_price_by_no_more_than_the_published_width(runs, ratio, place, seed):
    """Guards a past fault: after ten normal runs one straggler lifted p90 from 0.75 to 10.70."""
    history = various(runs, 0.05, seed=seed)
    odd = [*history[: int(place * runs)], run_of(ratio), *history[int(place * runs) :]]
    before, after = p90_after(history), p90_after(odd)
    assert after < ONE_RUN * max(before, PROBE.seconds)
    assert after > min(before, PROBE.seconds) / ONE_RUN


def test_a_slower_machine_is_believed_once_a_few_runs_agree():
    slow = [run_of(3.0, 1000 + 100 * number) for number in range(5)]
    ratios = [learn(slow[:count]).estimate(KIND, PROBE.work, GPU).p50 / PROBE.seconds for count in range(1, 6)]
    assert ratios[0] < ratios[1] < 1.5
    assert all(1.7 < ratio < 3.1 for ratio in ratios[2:])


def test_stragglers_that_keep_coming_widen_the_interval_step_by_step():
    history = various(16, 0.03)
    widths = []
    for count in range(5):
        interval = learn([*history, *[run_of(20.0)] * count]).estimate(KIND, PROBE.work, GPU)
        widths.append(interval.p90 / interval.p50)
    assert widths == sorted(widths)
    assert widths[-1] > 5


def test_among_thirty_runs_one_that_took_eighty_times_as_long_moves_hardly_anything():
    usual = various(30, 0.05)
    odd = [*usual[:9], replace(usual[9], seconds=80 * usual[9].seconds), *usual[10:]]
    other_card = KIND._replace(sku="h100-80g")
    for kind in (KIND, KIND._replace(family="stable_diffusion"), other_card):
        before, after = (learn(runs).estimate(kind, PROBE.work, get_gpu(kind.sku)) for runs in (usual, odd))
        assert after.p50 == pytest.approx(before.p50, rel=0.02)
        assert after.p90 == pytest.approx(before.p90, rel=0.03)


OTHER = run_of(1.0, 2000, teraflops=5.0, kind=KIND._replace(sku="h100-80g"))


def times(factor, runs):
    return [replace(run, seconds=factor * run.seconds) for run in runs]


@pytest.mark.parametrize("factor", [2.0, 0.5])
def test_a_card_that_changes_widens_its_p90_at_once_and_is_followed_after_six_runs(factor):
    """Guards a past fault: p50 was 0.60 of the truth twenty runs after a new driver, and another card was moved."""
    now = factor * PROBE.seconds
    runs = [*various(20, 0.05), *times(factor, various(20, 0.05, seed=9))]
    three = learn(runs[:23])
    assert not three.changes
    assert three.estimate(KIND, PROBE.work, GPU).p90 > 0.95 * now
    for count, tolerated in ((6, 0.2), (10, 0.1), (20, 0.1)):
        learnt = learn(runs[: 20 + count])
        change = learnt.changes[KIND.sku]
        assert (change.runs, change.factor) == (count, pytest.approx(factor, rel=0.1))
        interval = learnt.estimate(KIND, PROBE.work, GPU)
        assert interval.p50 == pytest.approx(now, rel=tolerated)
        assert now < interval.p90 < 1.6 * now
        assert interval.runs == count, "what came before counts no more"
        assert learnt.estimate(OTHER.kind, OTHER.work, get_gpu("h100-80g")).p50 == pytest.approx(
            OTHER.seconds, rel=0.03
        )
    assert Calibration.from_json(json.loads(json.dumps(learnt.to_json()))) == learnt


def test_a_card_that_drifts_is_followed():
    runs = various(90, 0.05)
    drifted = [replace(run, seconds=run.seconds * 2 ** min(max(at - 20, 0) / 60, 1)) for at, run in enumerate(runs)]
    assert learn(drifted).estimate(KIND, PROBE.work, GPU).p50 == pytest.approx(2 * PROBE.seconds, rel=0.1)


def test_two_cards_are_told_apart_and_the_one_that_did_not_change_keeps_its_runs():
    steady = various(12, 0.05, kind=OTHER.kind, seed=4)
    changed = [*various(20, 0.05), *steady, *times(2.0, various(8, 0.05, seed=9))]
    learnt = learn(changed)
    assert set(learnt.changes) == {KIND.sku}
    assert learnt.runs == 8 + 12
    alone = learn(steady).estimate(OTHER.kind, OTHER.work, get_gpu("h100-80g"))
    assert learnt.estimate(OTHER.kind, OTHER.work, get_gpu("h100-80g")).p50 == pytest.approx(alone.p50, rel=0.03)


def test_shorter_work_and_a_slower_family_are_no_change_of_their_card():
    """Every run takes a minute longer than is shipped, so that short ones are far off, and pictures twice as long."""
    slow_start = [replace(run, seconds=run.seconds + 60) for run in various(30, 0.02)]
    short = [run_of(1.0, 100 + 10 * number) for number in range(8)]
    pictures = times(2.0, various(8, 0.02, kind=KIND._replace(family="stable_diffusion"), seed=5))
    assert not learn([*slow_start, *[replace(run, seconds=run.seconds + 60) for run in short]]).changes
    assert not learn([*slow_start, *pictures]).changes


def test_labellings_before_a_change_of_theirs_count_no_more():
    labellings = [*various(20, 0.05, kind=LABELS), *times(2.0, various(8, 0.05, kind=LABELS, seed=9))]
    learnt = learn_calibration([], load_gpus(), version="1", apart=labellings)
    assert learnt.estimate(LABELS, PROBE.work, GPU).runs == 8
    assert learnt.estimate(LABELS, PROBE.work, GPU).p50 == pytest.approx(2 * PROBE.seconds, rel=0.3)


def test_five_misses_in_a_row_widen_it_to_the_worst_error_and_fifteen_kept_ones_narrow_it():
    runs = various(30, 0.05)
    widths = []
    for kept in ([True] * 10, [True] * 10 + [False] * 5, [True] * 10 + [False] * 5 + [True] * 15):
        flags = kept + [None] * (30 - len(kept))
        interval = learn([replace(run, kept_p90=flag) for run, flag in zip(runs, flags, strict=True)]).estimate(
            KIND, PROBE.work, GPU
        )
        widths.append(interval.p90 / interval.p50)
    assert widths[0] < widths[2] < widths[1] < math.exp(get_published_width(KIND.family))


def test_a_kind_that_alone_has_run_is_not_counted_once_for_each_of_its_keys():
    learnt = learn(various(2, 0.01, ratio=1.2))
    assert len({ratio.log for key, ratio in learnt.ratios.items() if key}) == 1


LABELS = KIND._replace(family="captioner", precision="fp32")
CHECKS = LABELS._replace(family="check")


def test_labellings_and_checks_learn_their_own_times_and_teach_trainings_nothing():
    """A past fault: what trainings taught of their card was applied to labellings, which taught nobody."""
    trainings = various(20, 0.02, ratio=1.5)
    alone = learn(trainings)
    work = work_of(1000)
    assert alone.estimate(LABELS, work, GPU).runs == 0
    labellings, checks = various(12, 0.05, ratio=3.0, kind=LABELS), various(2, 0.05, ratio=0.5, kind=CHECKS)
    both = learn_calibration(trainings, load_gpus(), version="1", apart=[*labellings, *checks])
    assert both.estimate(KIND, work, GPU) == alone.estimate(KIND, work, GPU)
    assert (both.constants, both.levels, both.runs) == (alone.constants, alone.levels, 20)
    known, few = both.estimate(LABELS, work, GPU), both.estimate(CHECKS, work, GPU)
    expected = compute_run_seconds(work, GPU, load_device_constants())
    assert known.p50 == pytest.approx(3 * expected, rel=0.15)
    assert (known.runs, known.has_learnt_width) == (12, True)
    assert known.p90 / known.p50 < alone.estimate(LABELS, work, GPU).p90 / alone.estimate(LABELS, work, GPU).p50
    assert (few.runs, few.has_learnt_width) == (2, False), "a quote says how few they were"
    assert Calibration.from_json(json.loads(json.dumps(both.to_json()))).estimate(LABELS, work, GPU) == known
    other_card = both.estimate(LABELS._replace(sku="rtx-4090"), work, get_gpu("rtx-4090"))
    assert other_card.runs == 0


def test_labellings_alone_are_learnt_by_the_shipped_constants():
    learnt = learn_calibration([], load_gpus(), version="1", apart=various(9, 0.02, ratio=2.0, kind=LABELS))
    seen = run_of(2.0, 2000, kind=LABELS)
    assert learnt.estimate(LABELS, seen.work, GPU).p50 == pytest.approx(seen.seconds, rel=0.2)
    assert learnt.estimate(KIND, seen.work, GPU).runs == 0
    assert learnt.constants == {}
