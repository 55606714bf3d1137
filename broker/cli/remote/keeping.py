"""`broker adapters keep`: how many versions of a name stay, shown, tried and set."""

from typing import Annotated, Any

import typer

from broker.cli.output import one_line, write_answer
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.lists import write_table
from broker.cli.remote.registry import app
from broker.cli.texts.columns import Column
from broker.cli.texts.values import DASH, describe_size
from broker.cli.words import say

__all__ = ["app"]

RULES = (Column("name"), Column("kept", right=True), Column("customer"))
MOST_RULES = 100


@app.command("keep")
def keep_versions(
    kept: Annotated[
        str | None,
        typer.Argument(
            metavar="[NUMBER]",
            help="So many of the newest stay; all; or default: no rule of one's own. Without: the rules are shown.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="Of which name; without: of all that have no rule of their own.")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Show what would be deleted; nothing is set.")] = False,
    customer: Customer = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Keep only the newest versions of a name; those in use and those tagged `keep` stay."""
    if kept is None:
        with connect(url, key) as client:
            rules = client.get("/adapter-retention", customer_id=customer, limit=MOST_RULES)
        write_table(rules, RULES, _make_row, as_json=as_json)
        return
    body = {"name": name, "kept_versions": _read_number(kept), "customer_id": customer}
    with connect(url, key) as client:
        if preview:
            would = client.post("/adapter-retention/preview", body)
            write_answer(would, _tell_superseded(would), as_json=as_json)
        else:
            made = client.post("/adapter-retention", body)
            of = say("all other names") if name is None else one_line(name)
            write_answer(
                made,
                say("Of {of} {kept}.", of=of, kept=_tell_kept(made["kept_versions"])),
                as_json=as_json,
            )


def _read_number(kept: str) -> int | None:
    """Read how many are kept. Raises: typer.BadParameter."""
    if kept in {"all", "default"}:
        return 0 if kept == "all" else None
    if not kept.isascii() or not kept.isdigit() or int(kept) == 0:
        raise typer.BadParameter(say("{kept} is no number from 1 on, nor all, nor default", kept=repr(kept)))
    return int(kept)


def _tell_kept(kept: int | None) -> str:
    if kept is None:
        return say("what the broker's own rule says stays")
    return say("all versions stay") if kept == 0 else say("the newest {kept} stay", kept=kept)


def _tell_superseded(would: dict[str, Any]) -> str:
    """Tell what would be deleted, version by version as far as it is told."""
    told = [f"{one_line(each['name'])}_v{each['version']}  {each['id']}" for each in would["adapters"]]
    size = describe_size(would["size_bytes"])
    return "\n".join(
        [say("{count} would be deleted, {size}; nothing was changed.", count=would["count"], size=size), *told]
    )


def _make_row(rule: dict[str, Any]) -> list[str]:
    kept = rule["kept_versions"]
    return [
        DASH if rule["name"] is None else one_line(rule["name"]),
        say("all") if kept == 0 else str(kept),
        rule["customer_id"],
    ]
