"""`broker rate-cards`: the published prices, and publishing new ones."""

from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.output import make_console, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table
from broker.cli.texts.columns import Column
from broker.cli.texts.rate_card import make_rate_card
from broker.cli.words import say
from pricing.rate_card import RateCard, RateCardInvalid, parse_rate_card

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Rate cards: list, show, publish.")

COLUMNS = (Column("version"), Column("from"), Column("status"), Column("published", right=True))


@app.command("list")
def list_rate_cards(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List the published rate cards, that of the latest day first."""
    with connect(url, key) as client:
        cards = collect_page(client.list_all("/rate-cards"))
    write_table(cards, COLUMNS, _make_row, as_json=as_json)


def _make_row(card: dict[str, Any]) -> list[str]:
    return [card["version"], card["effective_from"], card["status"], card["published_at"][:10]]


@app.command("show")
def show_rate_card(
    version: Annotated[str, typer.Argument(help="The card's version.")],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show the prices of a rate card."""
    with connect(url, key) as client:
        card = client.get_rate_card(version)
    if as_json:
        write_json(card)
        return
    console = make_console()
    write_lines(console, make_rate_card(card, console.width))


@app.command("publish")
def publish_rate_card(
    file: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="A YAML or JSON file; its prices are quoted decimals.")
    ],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Publish a rate card: it never changes again, and is in force from its day on."""
    card = _read_card(file)
    with connect(url, key) as client:
        published = client.publish_rate_card(card.to_json_dict())
    if as_json:
        write_json(published)
    else:
        make_console().print(
            say(
                "{version} is published, and in force from {effective_from}.",
                version=published["version"],
                effective_from=published["effective_from"],
            )
        )


def _read_card(file: Path) -> RateCard:
    """Read a card. Raises: typer.BadParameter, naming each field that is wrong."""
    try:
        return parse_rate_card(file.read_text(encoding="utf-8"))
    except (RateCardInvalid, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file}: {error}", param_hint="FILE") from error
