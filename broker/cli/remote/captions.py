"""`broker datasets pictures`, `caption`, `label`, `check`: captions listed, edited, made by a model; data checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from broker.cli.failures import NOTHING_PAYS, CommandFailed
from broker.cli.output import ask, make_console, one_line, write_json, write_lines
from broker.cli.remote import orders
from broker.cli.remote.connection import AsJson, Customer, Key, Url, connect
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.jobs.options import SubmitAtOnce
from broker.cli.remote.jobs.watch import watch
from broker.cli.remote.lists import write_table_with_notes
from broker.cli.texts.columns import Column, fold
from broker.cli.texts.price import make_offer, make_question
from broker.cli.texts.values import describe_count
from broker.cli.words import say
from broker.client.objects.quotes import CaptionEdit, Picture
from broker.client.typed import BrokerClient
from pricing.datasets.caption_words import CaptionConflict, CaptionForm, CaptionScope

DatasetId = Annotated[str, typer.Argument(metavar="DATASET", help="The data set's id, or the beginning of it.")]
Scope = Annotated[
    CaptionScope | None, typer.Option("--scope", help="Which pictures; those named by --picture are `selected`.")
]
Pictures = Annotated[list[str] | None, typer.Option("--picture", metavar="NAME", help="Only this picture; repeat it.")]
Form = Annotated[CaptionForm, typer.Option("--form", help="Tags that commas separate, or sentences.")]
Trigger = Annotated[str | None, typer.Option("--trigger", metavar="WORD", help="The trigger word, put first, once.")]
COLUMNS = (Column("no.", right=True), Column("picture"), Column("caption in"))


def list_pictures(
    dataset_id: DatasetId,
    without_caption: Annotated[bool, typer.Option("--without-caption", help="Only those that have none.")] = False,
    search: Annotated[str | None, typer.Option("--search", help="Only those with this in name or caption.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="How many of the first.")] = 100,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List the pictures of a data set with their captions."""
    wanted = {"captioned": False if without_caption else None, "search": search, "limit": limit}
    with connect(url, key) as client:
        page = client.list_pictures(resolve_id(client, "dat", dataset_id), **_known(wanted))
    write_table_with_notes(page, COLUMNS, _make_row, lambda each: one_line(each["caption"]), as_json=as_json)


def _make_row(picture: Picture) -> list[str]:
    return [str(picture["number"]), one_line(picture["name"]), one_line(picture["caption_file"] or say("no caption"))]


def edit_captions(
    dataset_id: DatasetId,
    caption: Annotated[str | None, typer.Option("--caption", help="What each of the pictures gets.")] = None,
    named: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=CAPTION", help="What this picture gets; repeat it.")
    ] = None,
    scope: Scope = None,
    picture: Pictures = None,
    conflict: Annotated[
        CaptionConflict, typer.Option("--conflict", help="What becomes of a caption that is there.")
    ] = CaptionConflict.REPLACE,
    form: Form = CaptionForm.TAGS,
    trigger: Trigger = None,
    add_tag: Annotated[list[str] | None, typer.Option("--add-tag", help="A tag that is put in; repeat it.")] = None,
    remove_tag: Annotated[
        list[str] | None, typer.Option("--remove-tag", help="A tag that is taken out; repeat it.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would change.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Edit captions of one picture, some or all; the data set stays, the edit makes its next version."""
    edit = {
        "caption": caption,
        "captions": read_captions(named or []) or None,
        "pictures": picture or None,
        "scope": read_scope(scope, picture),
        "conflict": conflict.value,
        "form": form.value,
        "trigger": trigger,
        "add_tags": add_tag or None,
        "remove_tags": remove_tag or None,
        "dry_run": dry_run or None,
    }
    with connect(url, key) as client:
        edited = client.edit_captions(resolve_id(client, "dat", dataset_id), _known(edit))
    _tell(edited, as_json=as_json)


def _tell(edited: CaptionEdit, *, as_json: bool) -> None:
    if as_json:
        write_json(edited)
        return
    console, dataset = make_console(), edited["dataset"]
    for each in edited["first"]:
        before = one_line(each["before"]) or say("no caption")
        console.print(
            f"{one_line(each['name'])}: {before} -> {one_line(each['after']) or say('no caption')}", soft_wrap=True
        )
    told = describe_count(edited["changed"], "caption")
    if dataset is None:
        console.print(say("{told} would change; nothing was done.", told=told), soft_wrap=True)
    else:
        console.print(
            say("{told} changed: {id} is version {version}.", told=told, id=dataset["id"], version=dataset["version"]),
            soft_wrap=True,
        )


def read_captions(typed: Sequence[str]) -> dict[str, str]:
    """Read captions as they are typed, `kettle.png=a red kettle`. Raises: typer.BadParameter."""
    captions: dict[str, str] = {}
    for each in typed:
        name, equals, caption = each.partition("=")
        if not equals or not name:
            raise typer.BadParameter(
                say("{each} is none; write it like 'kettle.png=a red kettle'", each=repr(each)), param_hint="--set"
            )
        captions[name] = caption
    return captions


def read_scope(scope: CaptionScope | None, pictures: Sequence[str] | None) -> str | None:
    """Read the scope: that of named pictures is `selected` without being said; None: what the broker takes."""
    if scope is None:
        return CaptionScope.SELECTED.value if pictures else None
    return scope.value


def label_dataset(
    dataset_id: DatasetId,
    model: Annotated[
        str | None, typer.Option("--model", help="The captioning model; default: the first on offer.")
    ] = None,
    scope: Scope = None,
    picture: Pictures = None,
    conflict: Annotated[
        CaptionConflict | None, typer.Option("--conflict", help="What becomes of a caption that is there.")
    ] = None,
    form: Form = CaptionForm.TAGS,
    trigger: Trigger = None,
    prefix: Annotated[
        str | None, typer.Option("--prefix", help="What stands between the trigger word and the model's words.")
    ] = None,
    drop_tag: Annotated[list[str] | None, typer.Option("--drop-tag", help="A tag to leave out; repeat it.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--max-tokens", min=1, help="Most tokens that are generated for one picture.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="A name to find the job by.")] = None,
    contract: orders.ContractId = None,
    max_cost: orders.MaxCost = None,
    customer: Customer = None,
    yes: SubmitAtOnce = False,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Have a model write captions: show what it will cost at most, and submit the job once you have said yes."""
    config = {
        "kind": "auto_label",
        "base_model": model,
        "scope": read_scope(scope, picture),
        "pictures": picture or None,
        "conflict": None if conflict is None else conflict.value,
        "form": form.value,
        "trigger": trigger,
        "prefix": prefix,
        "drop_tags": drop_tag or None,
        "max_tokens": max_tokens,
    }
    order = Order(dataset_id, _known(config), name, contract, orders.check_max_cost(max_cost), customer)
    with connect(url, key) as client:
        _submit(client, order, yes=yes, watching=watching, as_json=as_json)


def check_dataset(
    dataset_id: DatasetId,
    default_caption: Annotated[
        str | None, typer.Option("--default-caption", help="What pictures without a caption will train with.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="A name to find the job by.")] = None,
    contract: orders.ContractId = None,
    max_cost: orders.MaxCost = None,
    customer: Customer = None,
    yes: SubmitAtOnce = False,
    watching: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Have every picture opened and every row read, for blurs and near-duplicates too; the report is the data set's."""
    config = _known({"kind": "check", "default_caption": default_caption})
    order = Order(dataset_id, config, name, contract, orders.check_max_cost(max_cost), customer)
    with connect(url, key) as client:
        _submit(client, order, yes=yes, watching=watching, as_json=as_json)


@dataclass(frozen=True)
class Order:
    """A job on a data set that is uploaded, as it was typed."""

    dataset_id: str
    config: dict[str, Any]
    name: str | None
    contract: str | None
    max_cost: str | None
    customer: str | None


def _submit(client: BrokerClient, order: Order, *, yes: bool, watching: bool, as_json: bool) -> None:
    """Show the price, ask, and submit the job. Raises: typer.Abort, CommandFailed, where nobody could pay."""
    console = make_console(stderr=as_json)
    dataset = client.get_dataset(resolve_id(client, "dat", order.dataset_id))
    pays = orders.choose_contract(client, dataset["customer_id"], order.contract)
    quote = orders.ask_for_quote(client, order.config, dataset, pays, order.max_cost, console)
    offer = orders.make_offer_for(client, quote, pays, order.max_cost)
    write_lines(console, make_offer(offer, datetime.now(UTC), console.width))
    if pays is None:
        told = say("no contract is in force that could pay for it")
        raise CommandFailed(told, kind=NOTHING_PAYS, quote_id=quote["id"])
    ask("\n".join(fold(make_question(offer), console.width - 8)), yes=yes)
    job = client.submit_job(
        quote["config"],
        quote["dataset_id"],
        quote_id=quote["id"],
        contract_id=pays["id"],
        name=order.name,
        max_cost=order.max_cost,
        customer_id=order.customer,
    )
    console.print(say("Submitted {id}. Follow it: broker jobs watch {id}", id=job["id"]), soft_wrap=True)
    if watching:
        watch(client, job["id"], as_json=as_json)
    elif as_json:
        write_json(job)


def _known(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
