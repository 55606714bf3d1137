from benchmarks.estimator.public_runs import read_public_runs
from benchmarks.estimator.shares import count_shares
from pricing.resources.shipped_constants import load_shipped

ROWS = [run.to_published() for run in read_public_runs()]


def test_each_program_counts_as_one_and_nobody_is_sure():
    shares = count_shares([row for row in ROWS if row.program in {"axolotl", "peft-method-comparison"}])
    assert shares["grouped"] == (1 + 1) / (1 + 2)
    assert shares["wide"] == (0 + 1) / (2 + 2)
    assert all(0 < share < 1 for share in shares.values())


def test_without_rows_it_may_be_either_way():
    assert set(count_shares([]).values()) == {0.5}


def test_every_share_is_shipped_and_leaves_the_usual_way_the_likeliest():
    shares = load_shipped().shares
    assert shares.keys() == count_shares(ROWS).keys()
    assert shares["half"] + shares["chunked"] < 0.5
    assert max(shares["eager"], shares["narrow"], shares["wide"], shares["retained"]) < 0.5
