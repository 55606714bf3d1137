"""When machines fail below the sum of guarantees, each contract has its share, is told so, and when all is back."""

from datetime import UTC, datetime, timedelta
from typing import Any

from broker.contracts.keeping.events import ContractEventKind
from broker.contracts.terms.agreed import GuaranteedGpus
from broker.contracts.terms.model import ContractTerms
from broker.scheduling.cycle.guarantees import describe_guarantees
from broker.scheduling.cycle.metrics import QueueReading
from broker.scheduling.planning.values.pools import Node, NodeState, PoolState
from broker.scheduling.planning.values.queues import Guarantee
from broker.scheduling.shortfalls import Notice, ShortfallWatch, tell_shortfalls
from broker.system import System
from pricing.plans import PlanName
from tests.broker.conftest import ManualClock
from tests.broker.contract_terms import make_terms
from tests.broker.factories import Api, make_customer, sign_contract
from tests.broker.pools import register_pool

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def pool(*states: NodeState, is_open: bool = True) -> PoolState:
    nodes = tuple(Node(f"n{number}", 4, state=state) for number, state in enumerate(states))
    return PoolState("one", "a100", 4 * len(nodes), 0, is_open, nodes=nodes)


def test_guarantees_are_shared_out_where_nodes_are_down() -> None:
    def signed(name: str, gpus: int, **fields: Any) -> ContractTerms:
        own = (GuaranteedGpus("a100", gpus, 0),)
        return make_terms(id=name, plan=PlanName.LONG_TERM, guaranteed_gpus=own, **fields)

    terms = [signed("con_a", 6), signed("con_b", 2), signed("con_over", 9, ends_at=NOW), signed("con_no_queue", 9)]
    lent = {"con_a": None, "con_b": 1, "con_over": None}
    described = describe_guarantees(terms, [pool(NodeState.OPEN, NodeState.DOWN)], lent, NOW)
    assert described == {"con_a": (Guarantee("a100", 3, None, 6),), "con_b": (Guarantee("a100", 1, 1, 2),)}
    whole = describe_guarantees(terms[:2], [pool(NodeState.OPEN, NodeState.OPEN)], lent, NOW)
    assert whole["con_a"] == (Guarantee("a100", 6, None, 6),)
    closed = describe_guarantees(terms[:1], [pool(NodeState.OPEN, is_open=False)], lent, NOW)
    assert closed["con_a"] == (Guarantee("a100", 0, None, 6),)


def test_shortfall_is_told_once_it_has_lasted_and_again_when_it_changes_or_is_over() -> None:
    watch, told = ShortfallWatch(), dict[tuple[str, str], int]()

    def look(available: int, after: int) -> list[tuple[ContractEventKind, int]]:
        own = {"con_a": (Guarantee("a100", available, None, 6),)}
        notices = watch.find_notices(own, told, NOW + after * MINUTE)
        told.update({(each.contract_id, each.gpu_type): each.available for each in notices})
        return [(each.kind, each.available) for each in notices]

    assert look(6, 0) == []
    assert (look(3, 1), look(3, 1)) == ([], []), "an agent that starts anew is no failure"
    assert (look(3, 2), look(3, 9)) == ([(ContractEventKind.GUARANTEE_SHORT, 3)], [])
    assert (look(2, 10), look(4, 11), look(4, 12)) == ([], [], [(ContractEventKind.GUARANTEE_SHORT, 4)])
    assert (look(6, 13), look(6, 14)) == ([], [(ContractEventKind.GUARANTEE_RESTORED, 6)])


async def test_contract_reads_what_is_there_of_its_guarantee(api: Api, system: System, clock: ManualClock) -> None:
    async with system.work() as work:
        await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=4)
    customer = await make_customer(api)
    wanted = [{"gpu_type": "cpu", "gpus": 4, "monthly_price": "1.00"}]
    plan = {"plan": "long_term", "committed_gpu_hours": 2000, "guaranteed_gpus": wanted}
    signed = await sign_contract(api, customer["id"], **plan)
    watch = ShortfallWatch()

    async def look(gpus: int) -> list[Notice]:
        clock.advance(seconds=61)
        async with system.work() as work:
            await register_pool(work, name="test", sku="cpu", engine="local", total_gpus=gpus)
            return await tell_shortfalls(work, watch)

    assert [len(await look(gpus)) for gpus in (4, 1, 1, 1)] == [0, 0, 1, 0]
    reading = QueueReading()
    await reading.refresh(system)
    assert reading.guaranteed == {"cpu": (4, 1)}
    assert [len(await look(gpus)) for gpus in (4, 4, 4)] == [0, 1, 0]
    events = (await api.get(f"/contracts/{signed['id']}/events"))["data"]
    assert [(event["kind"], event["data"]) for event in events[:2]] == [
        ("guarantee_restored", {"gpu_type": "cpu", "guaranteed": 4, "available": 4}),
        ("guarantee_short", {"gpu_type": "cpu", "guaranteed": 4, "available": 1}),
    ]
