"""Customers of a history pay by bank transfer: in time, late, in part, too much, for two invoices, without a word."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from broker.cli.demo.history.house import MADE_UP
from broker.cli.demo.history.plot import Character
from broker.cli.demo.history.scene import Scene

DAYS_BEFORE_DUE, LATE = (5, 29), timedelta(days=30)
PAYING_HOUR, FEN = 11, 100
# One of so many statements has a transfer of somebody whom nobody knows.
STRANGERS = 4


@dataclass
class Paying:
    """Pays what is due, and imports a statement of the bank each week."""

    scene: Scene
    statements: int = 0
    paid_in_part: set[str] = field(default_factory=set)

    async def import_week(self, _scene: Scene) -> None:
        """Import the week's statement: a line for each customer that pays, and now and then one of a stranger."""
        self.statements += 1
        by_id = {player.id: player for player in self.scene.players.values()}
        due: dict[str, list[Any]] = defaultdict(list)
        for invoice in reversed(await self.scene.finance.list_all("/invoices", status="open")):
            character = by_id[invoice["customer_id"]].character
            if self._pays_today(character, invoice):
                due[character.key].append(invoice)
        lines = [self._write_line(key, invoices) for key, invoices in due.items()]
        if self.statements % STRANGERS == 0:
            lines.append(self._line("stranger", 12345, "训练费"))
        if lines:
            await self.scene.finance.post("/payments", {"lines": lines})
        await self._return_strangers_money()

    def _pays_today(self, character: Character, invoice: Any) -> bool:
        if character.pays == 0 or not read_fen(invoice["due"]["amount"]) or invoice["id"] in self.paid_in_part:
            return False
        early = timedelta(days=self.scene.house.lot_of("pays", character.key).randrange(*DAYS_BEFORE_DUE))
        on = date.fromisoformat(invoice["due_on"]) - early
        return has_come(character, on, self.scene.house.clock.now.date())

    def _write_line(self, key: str, invoices: list[Any]) -> dict[str, str]:
        """Write the transfer of a customer: all that is due, or a part of it, or a little too much."""
        character = self.scene.players[key].character
        fen = sum(read_fen(invoice["due"]["amount"]) for invoice in invoices)
        if character.pays < 1:
            self.paid_in_part |= {invoice["id"] for invoice in invoices}
            fen = int(fen * character.pays)
        if self.scene.house.lot_of("too much", key, self.statements).random() < 0.1:
            fen += 50 * FEN
        return self._line(key, fen, " ".join(invoice["payment_reference"] for invoice in invoices))

    def _line(self, key: str, fen: int, remark: str) -> dict[str, str]:
        today = f"{self.scene.house.clock.now:%Y-%m-%d}"
        payer = {"payer_name": f"{key} ({MADE_UP})", "payer_account": f"6222-{key}", "payer_bank": "虚构银行"}
        amount = f"{fen // FEN}.{fen % FEN:02d}"
        return {"serial": f"{today}-{key}", "value_on": today, "amount": amount, "remark": remark, **payer}

    async def _return_strangers_money(self) -> None:
        """Return what nobody knows the reason of, but for the newest, which waits."""
        unmatched = await self.scene.finance.list_all("/payments/unmatched")
        strangers = [payment for payment in unmatched if payment["payer_name"].startswith("stranger")]
        for payment in strangers[1:]:
            reason = {"reason": f"no contract of theirs is known ({MADE_UP})"}
            await self.scene.finance.post(f"/payments/{payment['id']}/return", reason)


def has_come(character: Character, on: date, today: date) -> bool:
    """Tell whether the day has come on which a customer pays; a late one pays a month after it. Pure."""
    return today >= (on + LATE if character.late else on)


def read_fen(amount: str) -> int:
    """Read an amount of money as the API writes it. Units: fen. Pure."""
    yuan, _, fen = amount.partition(".")
    return int(yuan) * FEN + int(fen)


def plan_paying(scene: Scene) -> None:
    """Plan a statement for each Monday."""
    paying = Paying(scene)
    for day in range(scene.span.days):
        if (scene.span.begin + timedelta(days=day, hours=PAYING_HOUR)).weekday() == 0:
            scene.on_day(day, PAYING_HOUR, paying.import_week)
