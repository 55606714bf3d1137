"""What a customer reads of an eviction: for whom, both prices, what was lost, who pays; nobody is named."""

import pytest

from broker.jobs.rules.eviction_words import explain_eviction, name_evictor
from broker.jobs.rules.model import EvictionReason
from pricing.money import Money
from pricing.usage import Usage


@pytest.mark.parametrize(
    ("lost", "told"),
    [
        (None, "It saves; what it has not saved is on us."),
        (Usage(), "Nothing was lost."),
        (Usage(2, 0), "2 GPU-seconds after its last checkpoint were lost; they are on us."),
        (Usage(1200, 5), "1,200 GPU-seconds and 5 tokens after its last checkpoint were lost; they are on us."),
    ],
)
def test_eviction_tells_both_prices_what_was_lost_and_who_pays(lost: Usage | None, told: str) -> None:
    english, chinese = explain_eviction(EvictionReason.GUARANTEE, Money(6_800_000), Money(4_000_000), lost)
    prices = "which pays 4.00 yuan a GPU-hour (this job: 6.80)"
    assert english == f"It made room for a guaranteed contract, {prices}. {told}"
    assert "一个有保障的合同" in chinese
    assert "4.00 元（本作业 6.80 元）" in chinese


def test_lowered_quota_names_operations_and_no_other_price() -> None:
    english, chinese = explain_eviction(EvictionReason.QUOTA, Money(6_800_000), None, Usage())
    assert (
        english == "It made way for a lowered limit of its queue or contract, which operations set. Nothing was lost."
    )
    assert "运维下调" in chinese


def test_every_reason_has_a_name_for_who_needed_the_room() -> None:
    assert len({name_evictor(reason) for reason in EvictionReason}) == len(EvictionReason)
