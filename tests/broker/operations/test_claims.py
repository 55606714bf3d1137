"""Claims of contracts on GPU types, from what is read; pure."""

from datetime import UTC, datetime

from broker.capacity.tables import Queue
from broker.jobs.reading.queueing import DeviceHolder
from broker.jobs.reading.waiting_sums import WaitingSum
from broker.operations.claims import Facts, list_claims, list_heads
from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, ORDINARY
from broker.scheduling.planning.values.pools import PoolState

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
OWN = "dedicated:con_a"
QUEUES = {
    "standard": Queue(name="standard", priority=100, weight=200, state="open", max_wait_seconds=None),
    OWN: Queue(name=OWN, priority=300, weight=100, state="open", max_wait_seconds=None, contract_id="con_a"),
}


def wait(contract: str, queue: str, *, sku: str | None = "a100", expedited: bool = False) -> WaitingSum:
    return WaitingSum("cus", contract, queue, None, expedited, sku, "waiting_for_gpus", 1, 2, NOW)


def hold(contract: str, queue: str, gpus: int) -> DeviceHolder:
    return DeviceHolder("job", contract, "lab", None, gpus, NOW, 60, queue)


def test_guarantee_covers_the_own_queue_alone_and_weights_of_contract_and_queue_count_both() -> None:
    facts = Facts(
        NOW,
        [PoolState("lab", "a100", 8, 0), PoolState("shut", "h100", 4, 4, open=False)],
        QUEUES,
        [hold("con_a", OWN, 1), hold("con_a", "standard", 3), hold("con_b", "standard", 4)],
        [wait("con_a", OWN), wait("con_b", "standard", sku=None), wait("con_c", "standard", expedited=True)],
        {("con_a", "a100"): 4},
        weights={"con_b": 300},
    )
    claims = list_claims(facts)
    assert claims["h100"] == []
    told = {claim.contract_id: claim for claim in claims["a100"]}
    assert (told["con_a"].held, told["con_a"].held_within, told["con_a"].waiting) == (4, 1, 2)
    assert {name: claim.weight for name, claim in told.items()} == {"con_a": 200, "con_b": 600, "con_c": 200}
    heads = list_heads(facts, claims)["a100"]
    tiers = {name: head.tier for name, head in heads.items()}
    assert tiers == {"con_a": GUARANTEED, "con_b": ORDINARY, "con_c": EXPEDITED}
