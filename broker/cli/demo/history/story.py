"""The history as a whole: it is set up, lives its days, and ends."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from broker.cli.demo.history.closing import plan_closing
from broker.cli.demo.history.customers import Player, sign_up
from broker.cli.demo.history.deals import plan_deals
from broker.cli.demo.history.house import House
from broker.cli.demo.history.machines import Machines
from broker.cli.demo.history.measuring import plan_measuring
from broker.cli.demo.history.operating import plan_operating
from broker.cli.demo.history.paying import plan_paying
from broker.cli.demo.history.plot import CHARACTERS, STAFF
from broker.cli.demo.history.reporting import Reporting
from broker.cli.demo.history.scene import Scene, Span
from broker.cli.demo.history.submitting import MOST_STRETCH, USUAL_JOBS, Submitting, draw_orders, plan_rush
from broker.cli.demo.history.training import Floor, PlayedRun

KEEPING_HOUR, FIRST_ORDER_DAY = 1, 1
# Whoever submits on the last day would leave runs behind that nobody plays any more.
LAST_ORDER_DAYS = 3

Tell = Callable[[datetime, int], None]


@dataclass
class Story:
    """A history while it is lived: what follows from each moment, and from each day."""

    scene: Scene
    tell: Tell
    floor: Floor

    @classmethod
    def of(cls, scene: Scene, tell: Tell) -> "Story":
        return cls(scene, tell, Floor(scene.house, scene.machines, Reporting(scene.house)))

    async def follow(self) -> None:
        """Deliver what runs report; plan and start what waits, where something has changed since the last time."""
        await self.floor.reporting.deliver()
        machines, courses = self.scene.machines, self.scene.submitting.courses
        while machines.has_news:
            machines.has_news = False
            for pool, spec in await machines.plan():
                PlayedRun.begin(self.floor, courses[spec.job_id], pool, spec)

    async def keep_day(self) -> None:
        """Do what a broker does by itself as time goes by, less often than it would; tell how far the history is."""
        daemon, now = self.scene.house.daemon, self.scene.house.clock.now
        await self.scene.machines.renew()
        await daemon.sweeps.sweep_holds()
        if now.day in {1, 2, 15, 16}:
            await daemon.sweeps.close_months()
        if now.weekday() == 0:
            await daemon.sweeps.attend_to_ends()
            await daemon.sweeps.warn_of_expiry()
        if now.day % 3 == 1:
            await daemon.sweeps.expire_grants()
            await daemon.sweeps.sweep_purchases()
            await daemon.sweeps.pause_jobs_of_ended_contracts()
            await daemon.sweeps.sweep_arrears()
            await daemon.sweeps.sweep_jobs_in_arrears()
        self.scene.machines.has_news = True
        self.tell(now, len(self.scene.submitting.courses))


async def live(house: House, span: Span, jobs: int, tell: Tell) -> Scene:
    """Live a history of so many jobs to its end; `tell` hears of each day, and how many jobs there were by then.

    Raises: HistoryFailed.
    """
    scene = await set_scene(house, span, jobs)
    story = Story.of(scene, tell)
    for day in range(1, span.days):
        scene.on_day(day, KEEPING_HOUR, lambda _scene: story.keep_day())
    plan_operating(scene)
    plan_deals(scene)
    plan_measuring(scene)
    plan_closing(scene)
    plan_paying(scene)
    plan_orders(scene, jobs)
    await house.timeline.live_until(span.end, story.follow)
    await scene.machines.leave()
    await house.daemon.verify_books()
    return scene


async def set_scene(house: House, span: Span, jobs: int) -> Scene:
    """Hire the people, install the machines and sign up the customers."""
    for name, role in STAFF.items():
        await house.hire(name, role)
    machines = await Machines.install(house)
    players = dict[str, Player]()
    for number, character in enumerate(CHARACTERS, start=1):
        house.clock.move_to(house.clock.now + timedelta(minutes=7))
        players[character.key] = await sign_up(house, character, span.begin, number)
    submitting = Submitting(house, machines, min(MOST_STRETCH, USUAL_JOBS / jobs))
    return Scene(house, span, machines, submitting, players)


def plan_orders(scene: Scene, jobs: int) -> None:
    """Plan what the customers submit."""
    first = scene.span.begin + timedelta(days=FIRST_ORDER_DAY)
    last = scene.span.end - timedelta(days=LAST_ORDER_DAYS)
    for order in draw_orders(scene.house.lot_of("orders"), [*scene.players.values()], first, last, jobs):
        scene.house.timeline.at(order.at, partial(scene.submitting.submit, order))
    for order in plan_rush(scene.players, scene.span.begin):
        scene.house.timeline.at(order.at, partial(scene.submitting.submit, order))
