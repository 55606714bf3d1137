"""What is agreed on in a history beside the contracts: gifts, purchases, amendments, corrections of money, fapiao."""

from datetime import timedelta
from typing import Any

from broker.cli.demo.history.house import MADE_UP
from broker.cli.demo.history.plot import FINANCE_LEAD, TERM_DAYS
from broker.cli.demo.history.scene import Scene

WHY = f"({MADE_UP})"
CARD, CARD_DAYS, MULTIPLIERS = "made-up", 3, {"a100-80g": "1.6", "rtx-3090": "0.8"}
TITLES = {
    "harbour": {"name": f"Harbour Press {WHY}", "tax_number": "91110000600037341L"},
    "lantern": {
        "name": f"青灯插画工作室 {WHY}",
        "tax_number": "91110000600037341L",
        "address": "示例市虚构路 2 号",
        "phone": "000-11111111",
        "bank": "虚构银行",
        "bank_account": "0000 1111",
    },
    "orchard": {"name": f"果园绘本 {WHY}"},
}


async def set_up_terms(scene: Scene) -> None:
    """Give to new customers, let one buy by itself, and agree on the end of another's term."""
    await _give(scene, "kiln", "promotional", "first style on us", gpu_hours="10")
    await _give(scene, "papermoon", "promotional", "tokens of the launch", tokens=2_000_000)
    await _give(scene, "lantern", "promotional", "new cards", gpu_hours="30", scope={"gpu_type": "rtx-4090"})
    rule = {"threshold_gpu_hours": 300, "purchase_gpu_hours": 100}
    await scene.players["harbour"].voice.post(f"/contracts/{scene.contract_of('harbour')['id']}/top-up", rule)
    for key, days in TERM_DAYS.items():
        ends_at = (scene.span.begin + timedelta(days=days)).isoformat()
        await _amend(scene, key, ends_at=ends_at, reason=f"one season only {WHY}")


async def _give(scene: Scene, key: str, kind: str, why: str, **amount: Any) -> None:
    gift = {"contract_id": scene.contract_of(key)["id"], "kind": kind, "reason": f"{why} {WHY}", **amount}
    await scene.finance.post("/grants", gift)


async def _amend(scene: Scene, key: str, **changes: Any) -> Any:
    """Amend a contract as its preview shows it, and pay what the amendment asks for ahead."""
    path = f"/contracts/{scene.contract_of(key)['id']}/amendments"
    shown = await scene.finance.post(f"{path}/preview", changes)
    return await scene.finance.post(path, {**changes, "preview": shown["preview"]})


async def buy_hours(scene: Scene) -> None:
    """Let customers buy blocks of hours: one is paid for at once, another never."""
    bought = [("slowferry", "100"), ("cloudforge", "50"), ("orchard", "40")]
    for key, hours in bought:
        order = {"contract_id": scene.contract_of(key)["id"], "gpu_hours": hours}
        made = await scene.players[key].voice.post("/purchases", order)
        if key != "orchard":
            await scene.finance.post(f"/invoices/{made['invoice_id']}/pay")


async def amend_in_mid_month(scene: Scene) -> None:
    """Take one customer from hours on demand to hours paid ahead, and double what another may use at once."""
    await _amend(scene, "papermoon", plan="prepaid", committed_gpu_hours=500, reason=f"it trains every week {WHY}")
    contract = {"contract_id": scene.contract_of("papermoon")["id"], "status": "open"}
    for invoice in await scene.finance.list_all("/invoices", **contract):
        await scene.finance.post(f"/invoices/{invoice['id']}/pay")
    more = [{"gpu_type": "rtx-4090", "gpus": 3, "monthly_price": "900.00"}]
    await _amend(scene, "lantern", guaranteed_gpus=more, reason=f"autumn campaign {WHY}")


async def publish_card(scene: Scene) -> None:
    """Publish the prices of another day: by then some GPU types cost a multiple, for who follows the newest card."""
    (card,) = await scene.finance.list_all("/rate-cards")
    day = scene.house.clock.now.date() + timedelta(days=CARD_DAYS)
    new = {"version": f"{CARD}-{day}", "currency": card["currency"], "effective_from": day.isoformat()}
    prices = {"plans": card["plans"], "gpu_multipliers": MULTIPLIERS}
    await scene.house.staff[FINANCE_LEAD].post("/rate-cards", {**new, **prices})


async def settle_dispute(scene: Scene) -> None:
    """Let a customer dispute a line; the house looks into it, and gives in."""
    opened = await _dispute(scene, "harbour", f"its pictures are not those that were uploaded {WHY}")
    if opened is not None:
        await scene.finance.post(f"/disputes/{opened['id']}/answer", {"answer": f"they were mixed up {WHY}"})
        await scene.house.staff[FINANCE_LEAD].post(f"/disputes/{opened['id']}/lose")


async def _dispute(scene: Scene, key: str, why: str) -> Any:
    """Let a customer dispute the first line for usage of its oldest open invoice; None where there is none."""
    invoice = await _find_invoice(scene, key)
    lines = [] if invoice is None else [line for line in invoice["lines"] if line["kind"] == "usage"]
    if not lines:
        return None
    disputed = {"invoice_id": invoice["id"], "position": lines[0]["position"], "reason": why}
    return await scene.players[key].voice.post("/disputes", disputed)


async def void_invoice(scene: Scene) -> None:
    """Make an invoice void whose customer never got what it is for."""
    invoice = await _find_invoice(scene, "meridian")
    if invoice is not None:
        reason = {"reason": f"made out to the wrong company {WHY}"}
        await scene.house.staff[FINANCE_LEAD].post(f"/invoices/{invoice['id']}/void", reason)


async def raise_budget(scene: Scene) -> None:
    await _amend(scene, "kiln", monthly_budget="650.00", reason=f"the budget was reached twice {WHY}")


async def compensate(scene: Scene) -> None:
    await _give(scene, "lantern", "compensation", "the machine lost in the first month", gpu_hours="12.5")


async def correct_money(scene: Scene) -> None:
    """Take back a part of an invoice, give a credit and units, refund one block and make another void."""
    invoice = await _find_invoice(scene, "tidewater")
    if invoice is not None:
        await _credit(scene, invoice, "a style that came out grey", share=3)
    goodwill = {"kind": "credit", "contract_id": scene.contract_of("orchard")["id"], "amount": "300.00"}
    await scene.finance.post("/adjustments", {**goodwill, "reason": f"a slow week {WHY}"})
    in_part = await _find_invoice(scene, "orchard")
    if in_part is not None:
        await scene.finance.post(f"/invoices/{in_part['id']}/pay", {"from_credit": True})
    grants = await scene.finance.list_all("/grants", contract_id=scene.contract_of("cloudforge")["id"])
    bought = [grant for grant in grants if grant["kind"] == "bought" and grant["status"] == "active"]
    for grant in bought[-1:]:
        await scene.finance.post(f"/grants/{grant['id']}/refund")
    gifts = await scene.finance.list_all("/grants", contract_id=scene.contract_of("papermoon")["id"])
    for grant in [grant for grant in gifts if grant["kind"] == "promotional"]:
        more = {"kind": "grant", "grant_id": grant["id"], "quantity": 50_000, "reason": f"written wrongly {WHY}"}
        await scene.finance.post("/adjustments", more)
        await scene.finance.post(f"/grants/{grant['id']}/void", {"reason": f"the launch is over {WHY}"})


async def _find_invoice(scene: Scene, key: str, status: str = "open") -> Any:
    """Find the oldest invoice for usage of a customer with something on it; None where there is none."""
    filters = {"customer_id": scene.players[key].id, "status": status}
    for invoice in reversed(await scene.finance.list_all("/invoices", **filters)):
        if invoice["kind"] == "usage" and invoice["total"]["amount"] != "0.00":
            return await scene.finance.get(f"/invoices/{invoice['id']}")
    return None


async def _credit(scene: Scene, invoice: Any, why: str, share: int) -> None:
    """Take back a part of the first line for usage of an invoice."""
    for line in invoice["lines"]:
        fen = int(line["amount"]["amount"].replace(".", "")) // share
        if line["kind"] == "usage" and fen > 0:
            taken = [{"position": line["position"], "amount": f"{fen // 100}.{fen % 100:02d}"}]
            note = {"invoice_id": invoice["id"], "reason": f"{why} {WHY}", "lines": taken}
            await scene.finance.post("/credit-notes", note)
            return


async def write_off(scene: Scene) -> None:
    """Give up a part of what a customer will not pay: one person proposes it, another approves it."""
    for key in ("duskline", "orchard", "tidewater"):
        filters = {"customer_id": scene.players[key].id, "status": "open"}
        invoice = await _find_invoice(scene, key)
        if invoice is None or len(await scene.finance.list_all("/invoices", **filters)) == 1:
            continue  # it would be in arrears no more
        debt = {"kind": "bad_debt", "invoice_id": invoice["id"], "reason": f"one branch of it is dissolved {WHY}"}
        proposed = await scene.finance.post("/approvals", {"act": "adjustment", "body": debt})
        await scene.house.staff[FINANCE_LEAD].post(f"/approvals/{proposed['id']}/approve")
        return


async def leave_open(scene: Scene) -> None:
    """Leave something for whoever looks: a credit that waits for another person, and a line that is disputed."""
    credit = {"kind": "credit", "contract_id": scene.contract_of("lantern")["id"], "amount": "800.00"}
    body = {**credit, "reason": f"a poster that came out blurred {WHY}"}
    await scene.finance.post("/approvals", {"act": "adjustment", "body": body})
    await _dispute(scene, "tidewater", f"this run was stopped by hand {WHY}")


async def issue_fapiao(scene: Scene) -> None:
    """Let three customers ask for fapiao: one is issued, one is taken back in part, one waits."""
    lead, day = scene.house.staff[FINANCE_LEAD], f"{scene.house.clock.now:%Y-%m-%d}"
    issued = []
    for number, (key, title) in enumerate(TITLES.items(), start=1):
        kind = "special" if "bank" in title else "normal"
        request = {"kind": kind, "title": title, "amount": "500.00"}
        made = await scene.players[key].voice.post("/fapiao", request)
        if key != "orchard":
            told = {"number": f"2500000000000000{number:04d}", "issued_on": day}
            issued.append(await lead.post(f"/fapiao/{made['id']}/issue", told))
    red = {"number": "25000000000000009001", "issued_on": day, "reason": "04", "amount": "120.00"}
    await lead.post(f"/fapiao/{issued[0]['id']}/red", red)


def plan_deals(scene: Scene) -> None:
    """Plan all of it, each on its day."""
    scene.on_day(2, 10, set_up_terms)
    scene.on_day(11, 15, buy_hours)
    scene.on_day(17, 14, amend_in_mid_month)
    scene.on_day(24, 10, publish_card)
    scene.on_day(33, 11, compensate)
    scene.on_day(38, 15, settle_dispute)
    scene.on_day(36, 10, issue_fapiao)
    scene.on_day(40, 16, correct_money)
    scene.on_day(52, 9, raise_budget)
    scene.on_day(53, 16, void_invoice)
    scene.on_day(83, 10, write_off)
    scene.on_day(scene.span.days - 2, 15, leave_open)
