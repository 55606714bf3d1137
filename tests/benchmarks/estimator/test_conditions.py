from benchmarks.estimator.conditions import find_conditions, load_conditions


def test_litgpt_and_lightning_are_one_program():
    assert find_conditions("litgpt tutorials/x").program == find_conditions("lightning.ai LoRA insights").program


def test_a_program_serves_to_fit_or_to_judge_and_never_both():
    serves = {}
    for found in load_conditions():
        assert serves.setdefault(found.program, found.serves) == found.serves


def test_no_source_begins_like_another():
    names = [found.source for found in load_conditions()]
    assert not [(one, other) for one in names for other in names if one != other and other.startswith(one)]
