"""The customers of a history: signed with their contracts, keys, projects and data sets."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.cli.demo.history.house import MADE_UP, House
from broker.cli.demo.history.materials import draw_style
from broker.cli.demo.history.plot import FINANCE, Character
from broker.cli.demo.history.voices import Voice
from broker.cli.demo.training import DATA

PICTURES = 16


@dataclass
class Player:
    """A customer as it plays: its own key, and what it has. `contracts` are as they were signed."""

    character: Character
    id: str
    voice: Voice
    contracts: list[Any] = field(default_factory=list)
    projects: list[str] = field(default_factory=list)
    pictures: str = ""
    texts: str = ""


async def sign_up(house: House, character: Character, starts_at: datetime, number: int) -> Player:
    """Sign a customer up with all that it needs to submit, and pay what is to be paid ahead."""
    finance = house.staff[FINANCE]
    customer = await finance.post("/customers", {"name": f"{character.name} ({MADE_UP})"})
    key = await house.admin.post(f"/customers/{customer['id']}/api-keys", {"name": f"{character.key} ({MADE_UP})"})
    player = Player(character, customer["id"], house.speak_with(key["key"]))
    for place, terms in enumerate(character.contracts, start=1):
        named = {"contract_number": f"{MADE_UP.upper().replace(' ', '-')}-{number:02d}-{place}"}
        player.contracts.append(await sign(house, player, {**terms, **named, "starts_at": starts_at.isoformat()}))
    for name in character.projects:
        project = await player.voice.post("/projects", {"name": f"{name} ({MADE_UP})"})
        player.projects.append(project["id"])
    await _upload(house, player)
    return player


async def sign(house: House, player: Player, terms: dict[str, Any]) -> Any:
    """Sign a contract, and pay the hours and tokens that it has ahead."""
    finance = house.staff[FINANCE]
    contract = await finance.post("/contracts", {"customer_id": player.id, **terms})
    for name in ("advance_invoice_id", "tokens_invoice_id"):
        if contract[name] is not None:
            await finance.post(f"/invoices/{contract[name]}/pay")
    return contract


async def _upload(house: House, player: Player) -> None:
    """Upload pictures of a style of its own, and the text of the examples."""
    style = draw_style(house.lot_of("style", player.character.key), PICTURES)
    player.pictures = await _send(player, "style.zip", style)
    player.texts = await _send(player, "train.jsonl", DATA.read_bytes())


async def _send(player: Player, name: str, content: bytes) -> str:
    fields = {"name": f"{player.character.key} {name} ({MADE_UP})"}
    dataset = await player.voice.post("/datasets", files={"files": (name, content)}, data=fields)
    return str(dataset["id"])
