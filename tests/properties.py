"""How many examples a property is tried on: all in a full run, a quarter in `make test-fast`."""

from hypothesis import settings

FULL_EXAMPLES, FAST_EXAMPLES = 100, 25


def choose_profile(*, fast: bool) -> None:
    """Choose how many examples properties are tried on that say nothing; none has a deadline: machines are shared."""
    settings.register_profile("tests", deadline=None, max_examples=FAST_EXAMPLES if fast else FULL_EXAMPLES)
    settings.load_profile("tests")


def examples(count: int) -> settings:
    """Try a property on `count` examples in a full run, and on as large a share of them as the run takes."""
    return settings(max_examples=scale(count))


def scale(count: int) -> int:
    """Scale a number of examples of a full run to the run that this is."""
    return max(1, count * settings.default.max_examples // FULL_EXAMPLES)
