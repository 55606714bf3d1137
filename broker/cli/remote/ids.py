"""Ids as people type them: whole, or so much of the beginning as only one object has."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import typer

from broker.cli.words import say, translate
from broker.client.typed import BrokerClient

WHOLE_LENGTH = 30  # a prefix of four characters and a ULID
MOST_CANDIDATES = 5
NAMES = {
    "job": "job",
    "dat": "data set",
    "ada": "adapter",
    "con": "contract",
    "gra": "grant",
    "pur": "purchase",
    "inv": "invoice",
    "pay": "payment",
}


def resolve_id(client: BrokerClient, kind: str, typed: str) -> str:
    """Resolve an id, or its beginning with or without `job_` and the like, to the whole id.

    `kind` is what stands before the underscore. What no object begins with is handed back, for the broker to refuse.
    Raises: typer.BadParameter, where it is no id, or several objects begin so; ApiError, NotReachable.
    """
    begins = typed.strip().lower()
    begins = begins if begins.startswith(f"{kind}_") else f"{kind}_{begins}"
    if not re.fullmatch("[a-z]{3}_[0-9a-z]{1,40}", begins):
        told = say("{typed} is no id of this kind: {kind}", typed=repr(typed), kind=translate(NAMES[kind]))
        raise typer.BadParameter(told)
    if len(begins) >= WHOLE_LENGTH:
        return begins
    listed = list_by_kind(client)[kind](id_prefix=begins, limit=MOST_CANDIDATES)
    found = [str(item["id"]) for item in listed["data"]]
    if len(found) > 1:
        more = say(" and more") if listed["next_cursor"] else ""
        raise typer.BadParameter(
            say(
                "{begins} is the beginning of several: {found}{more}; type more of it",
                begins=begins,
                found=", ".join(found),
                more=more,
            )
        )
    return found[0] if found else begins


def list_by_kind(client: BrokerClient) -> Mapping[str, Callable[..., Any]]:
    """Name what lists the objects of each kind."""
    return {
        "job": client.list_jobs,
        "dat": client.list_datasets,
        "ada": client.list_adapters,
        "con": client.list_contracts,
        "gra": client.list_grants,
        "pur": client.list_purchases,
        "inv": client.list_invoices,
        "pay": client.list_payments,
    }


def find_invoice(client: BrokerClient, typed: str) -> str:
    """Find the id of an invoice by its number, or by its id or the beginning of that.

    Raises: typer.BadParameter, where none has that number; ApiError, NotReachable.
    """
    if "-" not in typed:
        return resolve_id(client, "inv", typed)
    found = client.list_invoices(number=typed.strip().upper())["data"]
    if not found:
        raise typer.BadParameter(say("no invoice has the number {typed}", typed=typed))
    return str(found[0]["id"])
