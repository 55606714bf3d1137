"""Queues, pools and contracts in tables, and sentences about them; pure."""

from datetime import UTC, datetime
from typing import Any, cast

from broker.cli.texts.operations import (
    describe_limits,
    describe_quota,
    describe_reclaim,
    make_contract_table,
    make_page,
    make_pool_table,
)
from broker.client.objects.operations import ContractStanding, Overview, PoolView, QueueView

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def queue(**fields: Any) -> QueueView:
    set_up = {"name": "standard", "state": "open", "priority": 100, "weight": 100, "contract_id": None}
    limits = dict.fromkeys(("max_jobs", "max_gpus", "max_wait_seconds", "allowed_pools", "oldest_waiting_at"))
    counts = {"waiting_jobs": 0, "waiting_gpus": 0, "running_jobs": 0, "held_gpus": 0}
    return cast("QueueView", {**set_up, **limits, **counts, **fields})


def standing(**fields: Any) -> ContractStanding:
    numbers = {"guaranteed_gpus": 0, "held_gpus": 4, "waiting_gpus": 1, "borrowed_gpus": 0, "reclaimed_gpus": 0}
    more = {"lent_gpus": 0, "idle_gpus": 0, "deserved_gpus": "3.00", "share_percent": 133, "why": None, "why_zh": None}
    whose = {"customer": "acme", "contract_id": "con_1", "sku": "a100"}
    return cast("ContractStanding", {**whose, **numbers, **more, **fields})


def overview(**fields: Any) -> Overview:
    pool = {"name": "lab", "sku": "a100", "state": "open", "state_reason": None, "total_gpus": 8, "held_gpus": 4}
    pool |= {"nodes": {"open": 2, "down": 1}, "next_maintenance_at": "2026-11-24T09:00:00Z"}
    told = {
        "as_of": "2026-11-24T09:59:59Z",
        "queues": [queue(waiting_jobs=1234, oldest_waiting_at="2026-11-24T08:15:00Z", held_gpus=4, running_jobs=2)],
        "pools": [pool],
        "waiting_by_reason": {"quota": 34, "waiting_for_gpus": 1200},
        "contracts": [standing()],
        "starved_and_borrowing": [{"sku": "a100", "starved": "beta", "borrowing": "acme", "gpus": "1.00"}],
        "idle_guaranteed_gpus": {"a100": 2, "h100": 0},
    }
    return cast("Overview", {**told, **fields})


def test_page_says_why_jobs_wait_who_starves_and_what_is_idle() -> None:
    lines = [line.plain for line in make_page(overview(), NOW, None)]
    assert lines[0].startswith("1,234 waiting, 2 running, 2026-11-24T09:59:59Z")
    assert "Waiting: waiting_for_gpus 1,200, quota 34" in lines
    assert any(line.split()[:6] == ["standard", "open", "100", "100", "1234", "2026-11-24"] for line in lines)
    assert any(line.split() == ["lab", "a100", "open", "4", "8", "1", "down,", "2", "open", "now"] for line in lines)
    assert "beta lacks what it is due of a100, acme holds more: 1.00 GPUs" in lines
    assert lines[-1] == "2 guaranteed GPUs of a100 are idle"
    assert len(make_page(overview(), NOW, 5)) == 5


def test_names_of_customers_and_pools_do_nothing_to_a_terminal() -> None:
    wild = "ac\x1b[2Jme\nx"
    assert "\x1b" not in make_contract_table([standing(customer=wild)])[1].plain
    pool = cast("PoolView", {**overview()["pools"][0], "name": wild})
    assert "\x1b" not in make_pool_table([pool], NOW)[1].plain


def test_limits_are_told_or_none() -> None:
    assert describe_limits(queue()) == "none"
    told = describe_limits(queue(max_jobs=1, max_gpus=8, allowed_pools=["a", "b"], max_wait_seconds=86400))
    assert told == "1 job; 8 GPUs; only a, b; first after 1 day"
    assert describe_limits(queue(lending_limit=0)) == "lends 0 GPUs of a type"


def test_what_may_be_taken_back_is_told_where_something_is_borrowed() -> None:
    assert describe_reclaim(standing(), chinese=False) == ""
    told = describe_reclaim(standing(borrowed_gpus=3, reclaimed_gpus=2), chinese=False)
    assert told == "a100: 3 of its GPUs are borrowed and may be taken back; their owners wait for 2 of them now."
    assert "借用 3 张" in describe_reclaim(standing(borrowed_gpus=3), chinese=True)


def test_limits_of_a_queue_tell_the_gpu_hours_of_its_window() -> None:
    assert describe_limits(queue(max_gpu_hours=500, window_hours=24)) == "500 GPU-hours within 24 hours"
    assert describe_limits(queue()) == "none"


def test_quota_tells_what_may_run_at_one_time() -> None:
    quota: Any = {"max_jobs": 1, "max_gpus": 8}
    assert describe_quota(quota) == "1 job, 8 GPUs"
    assert describe_quota({**quota, "max_jobs": None, "max_gpus": None}) == "no limit"
