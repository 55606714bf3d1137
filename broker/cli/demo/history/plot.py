"""Who plays in a history: twelve customers with their contracts, and the people of the house. All of it is made up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SHANGHAI, NEW_YORK = "Asia/Shanghai", "America/New_York"
TAX: Mapping[str, Any] = {"tax_mode": "on_top", "tax_rate": "0.06"}
TAX_INCLUDED: Mapping[str, Any] = {"tax_mode": "included", "tax_rate": "0.06"}


@dataclass(frozen=True)
class Character:
    """A customer: what it signs, how much of all jobs it submits, and how it pays.

    `pays` is the share of its monthly invoices that it pays, `late` whether it does so after they are due.
    """

    key: str
    name: str
    contracts: tuple[Mapping[str, Any], ...]
    jobs: int
    projects: tuple[str, ...] = ("posters", "catalogue")
    base_models: tuple[str, ...] = ("sdxl-1.0", "sd-1.5")
    gpu_types: tuple[str, ...] | None = None
    pays: float = 1.0
    late: bool = False


def _contract(plan: str, hours: int = 0, **fields: Any) -> Mapping[str, Any]:
    return {"plan": plan, "committed_gpu_hours": hours, "time_zone": SHANGHAI, **fields}


GUARANTEE = [{"gpu_type": "rtx-4090", "gpus": 2, "monthly_price": "900.00"}]
CHARACTERS = (
    Character(
        "lantern",
        "青灯插画工作室",
        (_contract("long_term", 2400, guaranteed_gpus=GUARANTEE, overage="contract", **TAX),),
        jobs=16,
        gpu_types=("rtx-4090",),
    ),
    Character(
        "harbour",
        "Harbour Press",
        (_contract("prepaid", 500, overage="on_demand", **TAX),),
        jobs=12,
    ),
    Character(
        "kiln",
        "窑火陶艺电商",
        (_contract("on_demand", monthly_budget="400.00"),),
        jobs=8,
    ),
    Character(
        "tidewater",
        "Tidewater Games",
        (_contract("on_demand", credit_limit="60000.00", payment_days=15, **TAX),),
        jobs=10,
        late=True,
    ),
    Character(
        "slowferry",
        "慢渡旅行",
        (_contract("prepaid", 500, overage="block", committed_tokens=20_000_000),),
        jobs=16,
    ),
    Character(
        "cloudforge",
        "Cloudforge Avatars",
        (_contract("prepaid", 500, overage="contract", rollover="carry", rollover_percent=50, auto_renew=True, **TAX),),
        jobs=18,
    ),
    Character(
        "northlight",
        "Northlight Studios",
        (_contract("long_term", 2000, overage="contract", **TAX),),
        jobs=15,
        base_models=("sdxl-1.0",),
    ),
    Character("papermoon", "纸月动画", (_contract("on_demand", rate_card="newest"),), jobs=9),
    Character(
        "twinpeaks",
        "双峰传媒集团",
        (
            _contract("on_demand", purchase_order="PO-7001", **TAX),
            _contract("prepaid", 500, purchase_order="PO-7002", overage="on_demand", **TAX),
        ),
        jobs=10,
        projects=("film", "advertising", "research"),
    ),
    Character(
        "duskline",
        "Duskline Fashion",
        (_contract("on_demand", payment_days=10, arrears={"suspended_days": 200}),),
        jobs=5,
        pays=0.0,
    ),
    Character(
        "orchard",
        "果园绘本",
        (_contract("prepaid", 800, overage="contract", arrears={"grace_days": 200}, **TAX_INCLUDED),),
        jobs=7,
        pays=0.5,
    ),
    Character(
        "meridian",
        "Meridian Maps",
        (_contract("on_demand", time_zone=NEW_YORK, billing_day=15, quote_guarantee="cap", rate_card="newest", **TAX),),
        jobs=8,
    ),
)
# So many days after the beginning these terms end: with hours that were committed to and not used (a true-up), with
# hours that were paid ahead and are gone (breakage), and with some that a renewal carries on (a rollover).
TERM_DAYS = {"northlight": 75, "slowferry": 70, "cloudforge": 66}
FINANCE, FINANCE_LEAD, OPS, OPS_NIGHT, METER = "王丽", "陈海", "Li Wei", "Zhou Min", "inference meter"
STAFF = {FINANCE: "finance", FINANCE_LEAD: "finance", OPS: "ops", OPS_NIGHT: "ops", METER: "meter"}
