"""100 changes of leader, while customers submit and trainers train: each job starts as often as it has attempts.

A leader is killed by `kill -9` and started again, or stands still for longer than its lead and goes on, sure that it
still leads: that is the worse case. Afterwards the soak's inspection looks at everything.
"""

import asyncio
import random
import sys
import time
from collections import Counter
from typing import Any

import psycopg

from tests.broker.served import ServedBroker
from tests.soak.inspection import inspect, keeping_logs
from tests.soak.town import Town, open_town
from tests.soak.traffic import Traffic, open_traffic

CHANGES, KILLED_SHARE = 100, 0.1
KILLED, STOOD_STILL = "killed", "stood still"
# Runs report to the first broker, which may stand still: none is lost for that.
SETTINGS = {"lease_seconds": "30"}
# One that stands still in the midst of a cycle has its turn until PostgreSQL ends its transaction: a minute by default.
SESSIONS = "-cidle_in_transaction_session_timeout=3000"
LONGEST_WITHOUT_SECONDS = 180
TOLD_EVERY = 10


def prove_leaders(seed: int, count: int | None = None) -> dict[str, Any]:
    """Change the leader so many times; returns the figures. Raises: AssertionError."""
    changes, rng, ways, seconds = count or CHANGES, random.Random(f"{seed} leaders"), Counter[str](), []
    with open_town(SESSIONS, **SETTINGS) as town, keeping_logs(town):
        traffic = open_traffic(town, seed, town.folder)
        traffic.start()
        wait_for_leader(town, None)
        for change in range(1, changes + 1):
            way = KILLED if rng.random() < KILLED_SHARE else STOOD_STILL
            seconds.append(change_leader(town, way))
            traffic.raise_errors()
            ways[way] += 1
            if change % TOLD_EVERY == 0:
                sys.stdout.write(f"{change} changes, {len(traffic.accepted)} jobs accepted\n")
                sys.stdout.flush()
        figures = finish(town, traffic)
    told = {"changes": changes, "ways": dict(ways), "seconds_p50": round(sorted(seconds)[len(seconds) // 2], 1)}
    return {**told, "seconds_max": round(max(seconds), 1), **figures}


def finish(town: Town, traffic: Traffic) -> dict[str, Any]:
    for broker in town.brokers:
        broker.wait_until_ready()
    traffic.stop()
    found = asyncio.run(inspect(town, traffic))
    wrong = [*found.wrong, *traffic.broken[:5]]
    assert not wrong, "\n".join(wrong)
    return found.figures


def change_leader(town: Town, way: str) -> float:
    """Have another broker lead; returns after how many seconds it did."""
    leader, known = town.find_leader(), read_leader(town)
    began = time.monotonic()
    if way == KILLED:
        leader.kill()
        wait_for_leader(town, known)
        took = time.monotonic() - began
        leader.start(wait=False)  # the next one to lead is stopped meanwhile
        return took
    leader.first_process().suspend()
    try:
        wait_for_leader(town, known)
        return time.monotonic() - began
    finally:
        resume(leader)


def resume(broker: ServedBroker) -> None:
    broker.first_process().resume()
    broker.wait_until_ready()


def read_leader(town: Town) -> str | None:
    with psycopg.connect(town.urls.owner or "") as connection:
        row = connection.execute("SELECT process_id FROM planning_leaders").fetchone()
        return None if row is None else str(row[0])


def wait_for_leader(town: Town, known: str | None) -> None:
    """Wait until another leads than the one that is known. Raises: TimeoutError."""
    deadline = time.monotonic() + LONGEST_WITHOUT_SECONDS
    while read_leader(town) in {known, None}:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody has taken over the lead")
        time.sleep(0.1)
