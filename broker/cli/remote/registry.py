"""`broker adapters promote`, `stages`, `promotions`, `undo`, `withdraw`, `tag`: what of them is current where."""

from datetime import UTC, datetime
from typing import Annotated, cast

import typer

from broker.cli.output import one_line, write_answer
from broker.cli.remote.adapters import app, find_version, name_version
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import write_table, write_table_with_notes
from broker.cli.texts.columns import Column
from broker.cli.texts.values import DASH, describe_ago
from broker.cli.words import say
from broker.client.objects.promotions import Promotion
from broker.client.objects.values import Page

Version = Annotated[
    str, typer.Argument(metavar="ADAPTER", help="Its id, or the beginning of it; or its name and version: ink_v3.")
]
Stage = Annotated[str, typer.Option("--stage", metavar="STAGE", help="test or production.")]
OfStage = Annotated[str | None, typer.Option("--stage", metavar="STAGE", help="Only of test, or production.")]
OfName = Annotated[str | None, typer.Option("--name", help="Only of this name.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the record.")]
Most = Annotated[int, typer.Option("--limit", min=1, max=100, help="So many at most, the newest.")]
STAGES = (Column("name"), Column("stage"), Column("adapter"), Column("since"), Column("promotion"))
PROMOTIONS = (Column("promotion"), Column("name"), Column("stage"), Column("adapter"), Column("made"), Column("live"))

__all__ = ["app"]


@app.command("promote")
def promote_adapter(
    adapter: Version, stage: Stage, reason: Reason, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Make a version what a stage has of its name; the servers of the stage are given it."""
    with connect(url, key) as client:
        found = find_version(client, adapter)
        body = {"stage": stage, "reason": reason}
        made = cast("Promotion", client.post(f"/adapters/{found['id']}/promote", body))
    pushes = _tell_pushes(made)
    told = say("{name} is what {stage} has now{pushes}.", name=name_version(found), stage=stage, pushes=pushes)
    write_answer(made, told, as_json=as_json)


def _tell_pushes(promotion: Promotion) -> str:
    told = [f"{one_line(push['environment_name'])} {push['state']}" for push in promotion["pushes"]]
    return f"; {', '.join(told)}" if told else say("; no server serves that stage")


@app.command("withdraw")
def withdraw_adapter(
    adapter: Version, stage: Stage, reason: Reason, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """Take an adapter from a stage: its servers let go of it."""
    with connect(url, key) as client:
        found = find_version(client, adapter)
        made = client.post(f"/adapters/{found['id']}/withdraw", {"stage": stage, "reason": reason})
    write_answer(
        made, say("{stage} has no {name} any more.", stage=stage, name=one_line(found["name"])), as_json=as_json
    )


@app.command("undo")
def undo_promotion(
    promotion: Annotated[str, typer.Argument(metavar="PROMOTION", help="The promotion's id, or the beginning of it.")],
    reason: Reason,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Go back to what a stage had before its last promotion of a name."""
    with connect(url, key) as client:
        made = cast("Promotion", client.post(f"/promotions/{promotion}/undo", {"reason": reason}))
    back = (
        say("has {adapter} again", adapter=made["adapter_id"])
        if made["adapter_id"]
        else say("has nothing of it, as before")
    )
    write_answer(made, f"{made['stage']} {back}: {one_line(made['name'])}{_tell_pushes(made)}.", as_json=as_json)


@app.command("stages")
def list_stages(
    name: OfName = None,
    stage: OfStage = None,
    limit: Most = 50,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List what each stage has of each name."""
    with connect(url, key) as client:
        page = client.get("/adapter-stages", name=name, stage=stage, limit=limit)
    now = datetime.now(UTC)
    write_table(
        page,
        STAGES,
        lambda row: [
            one_line(row["name"]),
            row["stage"],
            row["adapter_id"],
            describe_ago(row["changed_at"], now),
            row["promotion_id"],
        ],
        as_json=as_json,
    )


@app.command("promotions")
def list_promotions(
    name: OfName = None,
    stage: OfStage = None,
    limit: Most = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List promotions, the newest first: why each was, and where the current one is live."""
    with connect(url, key) as client:
        page: Page[Promotion] = client.get("/promotions", name=name, stage=stage, limit=limit)
    write_table_with_notes(page, PROMOTIONS, _make_row, lambda row: one_line(row["reason"] or ""), as_json=as_json)


def _make_row(row: Promotion) -> list[str]:
    live = sum(push["state"] == "live" for push in row["pushes"])
    where = say("{done} of {all}", done=live, all=len(row["pushes"])) if row["is_current"] else DASH
    made = describe_ago(row["created_at"], datetime.now(UTC))
    return [row["id"], one_line(row["name"]), row["stage"], row["adapter_id"] or say("none"), made, where]


@app.command("tag")
def tag_adapter(
    adapter: Version,
    tags: Annotated[list[str] | None, typer.Argument(metavar="[TAG...]", help="All its tags anew; none: none.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Tag an adapter with words to find it by."""
    with connect(url, key) as client:
        found = find_version(client, adapter)
        made = client.patch(f"/adapters/{found['id']}", {"tags": tags or []})
    told = ", ".join(one_line(tag) for tag in made["tags"]) or say("no tags")
    write_answer(made, f"{name_version(found)}: {told}.", as_json=as_json)
