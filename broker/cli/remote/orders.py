"""What a job is ordered with: its configuration, its data, and the contract that pays. Used by `jobs` and `quotes`."""

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console

from broker.cli.failures import CommandFailed
from broker.cli.output import one_line, write_lines
from broker.cli.remote.ids import resolve_id
from broker.cli.remote.transfers import showing_bytes
from broker.cli.texts.findings import count_errors, make_report
from broker.cli.texts.price import Offer, find_in_force
from broker.cli.texts.values import describe_count, describe_size
from broker.cli.words import say
from broker.client.folder import FolderUnusable, list_folder, pack_folder
from broker.client.objects.contracts import Contract
from broker.client.objects.quotes import Dataset, Quote
from broker.client.typed import BrokerClient
from pricing.training.config import JOB_PATH_KEYS
from pricing.training.label_config import is_label_config
from pricing.unique_yaml import load_yaml

MOST_LEFT_OUT_SHOWN = 5

Config = Annotated[Path, typer.Option("--config", exists=True, dir_okay=False, help="The trainer's YAML file.")]
ConfigOrTemplate = Annotated[
    Path | None, typer.Option("--config", exists=True, dir_okay=False, help="The trainer's YAML file.")
]
Data = Annotated[
    list[Path] | None, typer.Option("--data", exists=True, help="Data files, an archive, or a folder with them.")
]
DatasetId = Annotated[str | None, typer.Option("--dataset", help="A data set that is uploaded already: its id.")]
ContractId = Annotated[
    str | None, typer.Option("--contract", help="The contract that pays; needed where several are in force.")
]
MaxCost = Annotated[
    str | None, typer.Option("--max-cost", metavar="YUAN", help="Most the job may cost; it pauses there.")
]
Gpus = Annotated[
    int | None, typer.Option("--gpus", min=1, help="So many GPUs of one machine share its steps; default: one.")
]
SkipBadRows = Annotated[
    bool, typer.Option("--skip-bad-rows", help="Train without the rows that have errors, instead of stopping.")
]
Template = Annotated[
    str | None, typer.Option("--template", metavar="NAME[@VERSION]", help="A template in place of --config.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="What the job changes of its template; repeat it."),
]
Compare = Annotated[bool, typer.Option("--compare", help="Show the price on the other plans, too.")]


def read_config(path: Path, *, skip_bad_rows: bool) -> dict[str, Any]:
    """Read the trainer's YAML file without its paths, which are of this machine. Raises: typer.BadParameter."""
    try:
        raw = load_yaml(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(
            say("{path} cannot be read as YAML: {error}", path=path, error=error), param_hint="--config"
        ) from error
    if not isinstance(raw, dict):
        raise typer.BadParameter(say("{path} must hold keys with values", path=path), param_hint="--config")
    config = {name: value for name, value in raw.items() if name not in JOB_PATH_KEYS}
    return {**config, "skip_bad_rows": True} if skip_bad_rows and not is_label_config(config) else config


def check_max_cost(typed: str | None) -> str | None:
    """Check that a sum is one. Raises: typer.BadParameter."""
    if typed is None:
        return None
    try:
        is_sum = Decimal(typed).is_finite() and Decimal(typed) > 0
    except InvalidOperation:
        is_sum = False
    if not is_sum:
        raise typer.BadParameter(
            say("{typed} is no sum in yuan; write it like 12.50", typed=repr(typed)), param_hint="--max-cost"
        )
    return typed


def take_dataset(
    client: BrokerClient, data: Sequence[Path] | None, dataset_id: str | None, customer: str | None, console: Console
) -> Dataset:
    """Upload the data, or look up what is uploaded. Raises: typer.BadParameter, ApiError, NotReachable."""
    if bool(data) == bool(dataset_id):
        raise typer.BadParameter(
            say("say what to train on: --data FILE or FOLDER, or --dataset ID"), param_hint="--data"
        )
    if dataset_id:
        return client.get_dataset(resolve_id(client, "dat", dataset_id))
    return upload(client, data or [], None, customer, console)


def upload(
    client: BrokerClient, data: Sequence[Path], name: str | None, customer: str | None, console: Console
) -> Dataset:
    """Upload files as they are, and folders as a tar each. Raises: typer.BadParameter, ApiError, NotReachable."""
    with tempfile.TemporaryDirectory(prefix="lora-broker-") as folder:
        try:
            files = [_pack(path, Path(folder), console) if path.is_dir() else path for path in data]
        except (FolderUnusable, OSError) as error:
            raise typer.BadParameter(str(error), param_hint="--data") from error
        folder_name = one_line(data[0].resolve().name) if data[0].is_dir() else None
        with showing_bytes(console, name or data[0].name) as progress:
            return client.upload_dataset(files, name=name or folder_name, customer_id=customer, progress=progress)


def _pack(folder: Path, aside: Path, console: Console) -> Path:
    """Pack a folder as one tar, and say what of it is left out."""
    listing = list_folder(folder)
    packed = aside / f"{folder.resolve().name or 'data'}.tar"
    with packed.open("wb") as target:
        pack_folder(listing, target)
    left_out = listing.left_out
    if left_out:
        shown = ", ".join(map(one_line, left_out[:MOST_LEFT_OUT_SHOWN]))
        beyond = len(left_out) - MOST_LEFT_OUT_SHOWN
        more = say(" and {count} more", count=beyond) if beyond > 0 else ""
        console.print(say("Left out, since training does not read it: {names}", names=shown + more), soft_wrap=True)
    sent = describe_count(len(listing.files), "file")
    console.print(f"{folder}: {sent}, {describe_size(listing.size_bytes)}", soft_wrap=True)
    return packed


def _tolerates(config: dict[str, Any], dataset: Dataset) -> bool:
    """Tell whether a configuration says to train without as much as cannot be used."""
    share, counts = config.get("max_bad_share"), dataset["row_counts"]
    within = isinstance(share, int | float) and counts["refused"] <= share * counts["read"]
    return bool(config.get("skip_bad_rows")) or within


def show_findings(dataset: Dataset, config: dict[str, Any], console: Console) -> None:
    """Show what is wrong with the data before anything is priced.

    Raises: CommandFailed, where rows have errors and nobody said to train without them.
    """
    write_lines(console, make_report(dataset, console.width))
    bad = count_errors(dataset)
    if bad and not _tolerates(config, dataset) and not is_label_config(config):
        rows = describe_count(bad, "row" if dataset["kind"] == "text" else "picture")
        told = say("{rows} cannot be used. Mend the data, or add --skip-bad-rows to train without", rows=rows)
        raise CommandFailed(told, dataset_id=dataset["id"], findings=dataset["findings"])


def ask_for_quote(
    client: BrokerClient,
    config: dict[str, Any],
    dataset: Dataset,
    contract: Contract | None,
    max_cost: str | None,
    console: Console,
    project_id: str | None = None,
    gpus: int | None = None,
    template: str | None = None,
) -> Quote:
    """Ask for a quote under the contract that would pay, and tell how far a large data set is counted meanwhile."""

    def tell(counted: int, rows: int) -> None:
        told = say("Counting tokens: {counted} of {rows} rows", counted=f"{counted:,}", rows=f"{rows:,}")
        console.print(told, soft_wrap=True)

    own = {"max_cost": max_cost, "contract_id": contract["id"], "project_id": project_id} if contract else {}
    return client.create_quote(config, dataset["id"], **own, gpus=gpus, template=template, on_counting=tell)


def choose_contract(client: BrokerClient, customer_id: str, typed: str | None) -> Contract | None:
    """Choose the contract that pays: the one that is named, or the only one in force; None where there is none.

    Raises: typer.BadParameter, where several are in force and none is named; ApiError, NotReachable.
    """
    if typed is not None:
        return client.get_contract(resolve_id(client, "con", typed))
    found = find_in_force(list(client.list_all("/contracts", customer_id=customer_id)), datetime.now(UTC))
    if len(found) > 1:
        names = ", ".join(f"{contract['id']} ({contract['plan']})" for contract in found)
        raise typer.BadParameter(
            say("several contracts are in force; name one: {names}", names=names), param_hint="--contract"
        )
    return found[0] if found else None


def make_offer_for(client: BrokerClient, quote: Quote, contract: Contract | None, max_cost: str | None) -> Offer:
    """Look up what of the contract is left beside a quote."""
    balance = client.get_balance(contract["id"]) if contract else None
    return Offer(quote, contract, balance, max_cost)
