"""Why a month costs more than the one before: steps that add up to the change, whatever the months are."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from broker.reports.costs.changes import Cell, explain_change, split_change
from broker.reports.costs.costs import Costs, Fact, Place
from pricing.money import Money

FEN = 10_000


def make_fact(contract: str = "con_a", gpu_type: str | None = None, **costs: int) -> Fact:
    return Fact(Place("cus_a", contract, "HT-1", "on_demand", None, gpu_type), Costs(**costs), final=True)


def test_more_hours_at_the_same_price_are_volume() -> None:
    old, new = make_fact(gpu_seconds=3600, gpu_cost=6_800_000), make_fact(gpu_seconds=7200, gpu_cost=13_600_000)
    change = explain_change([old], [new])
    assert (change.volume, change.price, change.mix) == (Money(6_800_000), Money(0), Money(0))


def test_the_same_hours_at_another_price_are_price() -> None:
    change = explain_change(
        [make_fact(gpu_seconds=3600, gpu_cost=6_800_000)], [make_fact(gpu_seconds=3600, gpu_cost=5_200_000)]
    )
    assert (change.volume, change.price, change.mix) == (Money(0), Money(-1_600_000), Money(0))


def test_hours_that_move_to_a_dearer_type_are_mix() -> None:
    old = [make_fact("con_a", "cheap", gpu_seconds=7200, gpu_cost=10 * 10**6)]
    old += [make_fact("con_a", "dear", gpu_seconds=7200, gpu_cost=20 * 10**6)]
    new = [make_fact("con_a", "cheap", gpu_seconds=3600, gpu_cost=5 * 10**6)]
    new += [make_fact("con_a", "dear", gpu_seconds=10800, gpu_cost=30 * 10**6)]
    change = explain_change(old, new)
    assert (change.volume, change.price, change.mix) == (Money(0), Money(0), Money(5 * 10**6))


def test_a_first_month_is_volume_alone() -> None:
    change = explain_change([], [make_fact(gpu_seconds=3600, gpu_cost=6_800_000, tokens=5, token_cost=10_000)])
    assert change.steps["volume"] == Money(6_810_000) == change.after
    assert change.unexplained == Money.zero()


def test_what_grants_paid_and_credit_notes_took_back_are_steps_of_their_own() -> None:
    old = make_fact(gpu_cost=10 * 10**6, gpu_seconds=3600, advance=2 * 10**6, tax=480_000)
    new = make_fact(
        gpu_cost=10 * 10**6, gpu_seconds=3600, advance=5 * 10**6, tax=300_000, true_up=10**6, credited=500_000
    )
    change = explain_change([old], [new])
    assert change.steps | {"volume": Money(0)} == {
        "volume": Money(0),
        "price": Money(0),
        "mix": Money(0),
        "grants": Money(-3 * 10**6),
        "parts": Money(10**6),
        "tax": Money(-180_000),
        "credits": Money(-500_000),
    }
    assert change.unexplained == Money.zero()


FACTS = st.lists(
    st.builds(
        make_fact,
        contract=st.sampled_from(["con_a", "con_b"]),
        gpu_type=st.sampled_from([None, "a", "b"]),
        gpu_seconds=st.integers(0, 10**6),
        gpu_cost=st.integers(0, 10**5).map(lambda fen: fen * FEN),
        tokens=st.integers(0, 10**6),
        token_cost=st.integers(0, 10**5).map(lambda fen: fen * FEN),
        advance=st.integers(0, 10**5).map(lambda fen: fen * FEN),
        tier_settlement=st.integers(-(10**5), 0).map(lambda fen: fen * FEN),
        credited=st.integers(0, 10**5).map(lambda fen: fen * FEN),
    ),
    max_size=6,
)


@given(before=FACTS, after=FACTS)
def test_nothing_of_a_change_is_unexplained_and_every_step_is_whole_fen(before: list[Fact], after: list[Fact]) -> None:
    change = explain_change(before, after)
    assert change.unexplained == Money.zero()
    assert all(step.micros % FEN == 0 for step in change.steps.values())


CELLS = st.dictionaries(
    st.sampled_from("abc"), st.builds(Cell, quantity=st.integers(0, 1000), micros=st.integers(0, 1000)), max_size=3
)


@given(old=CELLS, new=CELLS)
def test_volume_price_and_mix_add_up_exactly(old: dict[str, Cell], new: dict[str, Cell]) -> None:
    change = sum(each.micros for each in new.values()) - sum(each.micros for each in old.values())
    assert sum(split_change(old, new), Fraction(0)) == change


@given(old=CELLS, factor=st.integers(1, 9))
def test_a_month_that_only_grows_is_volume_alone(old: dict[str, Cell], factor: int) -> None:
    old = {place: each for place, each in old.items() if each.quantity}
    new = {place: Cell(each.quantity * factor, each.micros * factor) for place, each in old.items()}
    _volume, price, mix = split_change(old, new)
    assert (price, mix) == (0, 0)
