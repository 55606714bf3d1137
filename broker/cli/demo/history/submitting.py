"""What customers of a history submit: when, how much at once, which models, and what will become of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from broker.cli.demo.history.course import Course, Fate
from broker.cli.demo.history.customers import Player
from broker.cli.demo.history.house import MADE_UP, House
from broker.cli.demo.history.machines import Machines
from broker.cli.demo.history.voices import Refused

FATES = {
    Fate.SUCCEED: 82,
    Fate.CANCEL: 4,
    Fate.PAUSE: 3,
    Fate.LOSE: 4,
    Fate.SHUT_DOWN: 2,
    Fate.OUT_OF_MEMORY: 2,
    Fate.LOSS_NOT_FINITE: 2,
    Fate.BAD_INPUT: 1,
}
# A style is mostly tried with several settings at once, so many of them at a time.
SIZES = (1, 1, 2, 4, 6, 8, 12)
AT_ONCE = 6
EPOCHS = {"sdxl-1.0": (50, 80, 120, 200), "sd-1.5": (150, 250, 400), "smollm2-135m-instruct": (20, 60)}
# With fewer jobs each takes longer, up to so often, so that the commitments are used about alike.
USUAL_JOBS, MOST_STRETCH = 1250, 4.0
OFFICE_HOURS = (1, 11)  # UTC: from nine to seven in Shanghai
WEEKEND_SHARE = 0.25
LIMITED_SHARE = 0.06
# Who submits how many hours into the day how many jobs for one type: the last gets devices that others have to leave.
RUSH_DAY, RUSH_TYPE = 44, "rtx-4090"
RUSH = (("harbour", 10, 12), ("tidewater", 10, 8), ("cloudforge", 10, 8), ("lantern", 14, 3))


@dataclass(frozen=True)
class Order:
    """What a customer submits in one go; `gpu_types`: it takes no others."""

    at: datetime
    player: Player
    jobs: int
    gpu_types: tuple[str, ...] | None = None


@dataclass
class Submitting:
    """Submits the orders of all customers, and keeps the course that each job will take."""

    house: House
    machines: Machines
    stretch: float
    courses: dict[str, Course] = field(default_factory=dict)
    refused: int = 0

    async def submit(self, order: Order) -> None:
        """Submit an order; what the contract does not pay for is refused, as it would be."""
        lot = self.house.lot_of("order", order.player.character.key, order.at.isoformat())
        body = self._describe(order, lot)
        try:
            if order.jobs == 1:
                jobs = [await order.player.voice.post("/jobs", body)]
            else:
                config = body.pop("config")
                configs = [{**config, "seed": seed} for seed in range(order.jobs)]
                batch = await order.player.voice.post("/jobs/batch", {**body, "configs": configs, "at_once": AT_ONCE})
                jobs = batch["data"]
        except Refused:
            self.refused += 1
            return
        self.machines.has_news = True
        pace = lot.uniform(0.8, 1.12)
        for job in jobs:
            self.courses[job["id"]] = self._plan_course(order.player, job, pace)

    def _describe(self, order: Order, lot: Random) -> dict[str, Any]:
        player = order.player
        model = lot.choice([*player.character.base_models] * 4 + ["smollm2-135m-instruct"])
        rank = lot.choice((4, 8, 8, 16))
        config = {
            "base_model": model,
            "epochs": int(lot.choice(EPOCHS[model]) * self.stretch),
            "lora_rank": rank,
            "save_steps": 100,
        }
        body: dict[str, Any] = {
            "config": config,
            "dataset_id": player.texts if model.startswith("smollm2") else player.pictures,
            "project_id": lot.choice(player.projects),
            "name": f"{lot.choice(('style', 'tone', 'season', 'mascot'))} {order.at:%m-%d} ({MADE_UP})",
            "labels": {"made_up": "yes", "team": lot.choice(("design", "print", "web"))},
        }
        if len(player.contracts) > 1:
            body["contract_id"] = lot.choice(player.contracts)["id"]
        if lot.random() < LIMITED_SHARE:
            body["max_cost"] = str(lot.choice((5, 10, 20)))
        usual = player.character.gpu_types if lot.random() < 0.7 else None
        if (types := order.gpu_types or usual) is not None:
            body["gpu_types"] = [*types]
        elif lot.random() < 0.2:
            body["prefer"] = "fastest"
        return body

    def _plan_course(self, player: Player, job: Any, pace: float) -> Course:
        lot = self.house.lot_of("fate", job["id"])
        fate = lot.choices([*FATES], [*FATES.values()])[0]
        estimate = job["estimate"]
        seconds = {each["sku"]: each["gpu_seconds"]["p50"] for each in job["gpu_types"] or ()}
        seconds = seconds or {"": estimate["gpu_seconds"]["p50"]}
        return Course(job["id"], player.voice, seconds, estimate["tokens"], job["config"]["lora_rank"], fate, pace)


def draw_orders(lot: Random, players: list[Player], begin: datetime, end: datetime, jobs: int) -> Iterator[Order]:
    """Draw when the customers submit: mostly in office hours, so that their jobs wait for each other."""
    shares = sum(player.character.jobs for player in players)
    for player in players:
        left = round(jobs * player.character.jobs / shares)
        while left > 0:
            size = min(left, lot.choice(SIZES))
            left -= size
            yield Order(_draw_moment(lot, begin, end), player, size)


def plan_rush(players: dict[str, Player], begin: datetime) -> Iterator[Order]:
    """Plan a morning on which one customer takes all devices of a type, and another wants those guaranteed to it."""
    for key, hours, jobs in RUSH:
        yield Order(begin + timedelta(days=RUSH_DAY, hours=hours), players[key], jobs, (RUSH_TYPE,))


def _draw_moment(lot: Random, begin: datetime, end: datetime) -> datetime:
    days = (end - begin).days
    while True:
        day = begin.replace(hour=0, minute=0) + timedelta(days=lot.randrange(days + 1))
        if day.weekday() < 5 or lot.random() < WEEKEND_SHARE:
            moment = day + timedelta(minutes=30 * lot.randrange(OFFICE_HOURS[0] * 2, OFFICE_HOURS[1] * 2))
            if begin <= moment < end:
                return moment
