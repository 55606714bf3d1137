"""The broker of a history: all of its services in this process, on a virtual clock, and who speaks to them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

from broker.app import create_app
from broker.cli.demo.history.timeline import SeededIds, Timeline, VirtualClock
from broker.cli.demo.history.voices import Voice, connect
from broker.config import Settings
from broker.daemon.loops import Daemon
from broker.processes.boot import DatabaseUrls, prepare
from broker.system import System

MADE_UP = "made up"
# Nothing keeps a virtual lease but the history itself, which looks after it once a day.
LEASE_SECONDS = timedelta(days=2).total_seconds()
HOLD_SECONDS = int(timedelta(days=3).total_seconds())
ISSUER: dict[str, Any] = {
    "issuer_name": "示例算力有限公司（虚构）",
    "issuer_tax_number": "91110000600037341L",
    "issuer_address": "示例市虚构路 1 号",
    "issuer_phone": "000-00000000",
    "issuer_bank": "虚构银行示例支行",
    "issuer_bank_account": "0000 0000 0000 0000",
    "fapiao_item": "*信息技术服务*算力服务费",
    "fapiao_tax_code": "3040203000000000000",
    "fapiao_tax_rate": Decimal("0.06"),
}


@dataclass
class House:
    """An opened broker whose time only the history moves. `lot` decides what is left to chance, by the seed."""

    system: System
    clock: VirtualClock
    timeline: Timeline
    lot: Random
    seed: int
    daemon: Daemon
    admin: Voice
    staff: dict[str, Voice] = field(default_factory=dict)

    def speak_with(self, key: str) -> Voice:
        """Let somebody speak who has this key, or run token."""
        return Voice(self.admin.http, key)

    async def hire(self, name: str, role: str) -> Voice:
        """Give a person of the house, or a meter, a key of its own; all that they do is recorded under its name."""
        made = await self.admin.post("/api-keys", {"name": f"{name} ({MADE_UP})", "role": role})
        self.staff[name] = self.speak_with(made["key"])
        return self.staff[name]

    def lot_of(self, *names: object) -> Random:
        """Draw for one thing by its own lot: what else happens, in what order, changes nothing of it."""
        return Random("/".join(map(str, (self.seed, *names))))  # noqa: S311  (a story, no secret)


def describe_house(settings: Settings) -> Settings:
    """Make the settings of the broker in this process: who issues invoices, where that is not set, and long leases."""
    own = {name: value for name, value in ISSUER.items() if not getattr(settings, name)}
    patient = {"lease_seconds": LEASE_SECONDS, "hold_seconds": HOLD_SECONDS, "local_slots": 0}
    return settings.model_copy(update=own | patient)


@asynccontextmanager
async def open_house(settings: Settings, urls: DatabaseUrls, clock: VirtualClock, seed: int) -> AsyncIterator[House]:
    """Open the broker at the beginning of its history, with its rate cards and the administrator's key."""
    lot = Random(seed)  # noqa: S311  (a story, no secret)
    ids = SeededIds(clock, Random(seed + 1))  # noqa: S311
    system = await prepare(describe_house(settings), urls, clock=clock, id_factory=ids)
    try:
        async with connect(create_app(system)) as http:
            admin = Voice(http, settings.admin_key_path.read_text().strip())
            yield House(system, clock, Timeline(clock), lot, seed, Daemon(system, None), admin)
    finally:
        await system.database.close()
