"""What ops does in a history: queues, quotas, announcements, maintenance, and a change that is tried out first."""

from datetime import timedelta

from broker.cli.demo.history.house import MADE_UP
from broker.cli.demo.history.machines import name_pool
from broker.cli.demo.history.plot import OPS_NIGHT
from broker.cli.demo.history.scene import Scene

WHY = f"({MADE_UP})"
MAINTAINED = name_pool("rtx-3090")
COST_RATES = {"rtx-4090": "1.90", "rtx-3090": "1.10", "a100-80g": "3.20"}


async def tune_queues(scene: Scene) -> None:
    """Let nobody wait for days, and keep one customer from taking everything."""
    await scene.ops.patch("/queues/standard", {"max_wait_seconds": 86_400})
    await scene.ops.patch("/queues/priority", {"weight": 150})
    quota = {"max_gpus": 3, "reason": f"its sweeps kept all others waiting {WHY}"}
    await scene.ops.patch(f"/contracts/{scene.contract_of('tidewater')['id']}/quota", quota)


async def set_cost_rates(scene: Scene) -> None:
    """Set what the pools cost, used or idle: the margin by pool is against it."""
    begins_on = f"{scene.house.clock.now:%Y-%m-%d}"
    for sku, per_hour in COST_RATES.items():
        rate = {"per_gpu_hour": per_hour, "begins_on": begins_on}
        await scene.finance.post(f"/pools/{name_pool(sku)}/cost-rates", rate)


async def announce(scene: Scene) -> None:
    """Announce that a pool is worked on, and note when."""
    begins_at = scene.house.clock.now + timedelta(hours=6)
    times = {"begins_at": begins_at.isoformat(), "ends_at": (begins_at + timedelta(hours=3)).isoformat()}
    words = {"message": f"The RTX 3090 get new fans {WHY}.", "message_zh": f"RTX 3090 更换风扇{WHY}。"}
    await scene.ops.post("/announcements", {**words, **times, "pool": MAINTAINED})
    await scene.ops.patch(f"/pools/{MAINTAINED}", {"maintenance": [times]})


async def close_pool(scene: Scene) -> None:
    await scene.house.staff[OPS_NIGHT].patch(f"/pools/{MAINTAINED}", {"open": False})


async def open_pool(scene: Scene) -> None:
    await scene.house.staff[OPS_NIGHT].patch(f"/pools/{MAINTAINED}", {"open": True})
    scene.machines.has_news = True


async def try_out(scene: Scene) -> None:
    """Replay the last week with another weight of a queue."""
    begins_at = (scene.house.clock.now - timedelta(days=7)).isoformat()
    proposal = {"queues": {"standard": {"priority": 220}}}
    await scene.ops.post("/queues/simulations", {"proposal": proposal, "begins_at": begins_at})
    await scene.house.daemon.sweeps.simulate_proposals()


async def lift_quota(scene: Scene) -> None:
    quota = {"max_gpus": None, "reason": f"there is room again {WHY}"}
    await scene.ops.patch(f"/contracts/{scene.contract_of('tidewater')['id']}/quota", quota)
    scene.machines.has_news = True


def plan_operating(scene: Scene) -> None:
    """Plan all of it, each on its day."""
    scene.on_day(1, 8, set_cost_rates)
    scene.on_day(4, 11, tune_queues)
    scene.on_day(19, 12, announce)
    scene.on_day(19, 18, close_pool)
    scene.on_day(19, 21, open_pool)
    scene.on_day(50, 15, try_out)
    scene.on_day(64, 9, lift_quota)
