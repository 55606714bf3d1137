"""`broker vouchers` and `broker chart`: what finance takes into its own books, and by which accounts (科目表, 凭证)."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from broker.cli.output import make_console, one_line, write_json, write_lines
from broker.cli.remote.closing import Month
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.texts.columns import Column, make_table
from broker.cli.texts.values import describe_money
from broker.cli.words import say

chart = typer.Typer(no_args_is_help=True, add_completion=False, help="The chart of accounts (科目表): show, set.")

ACCOUNTS = (Column("account"), Column("code"), Column("name"), Column("told apart by"))
ENTRIES = (
    Column("voucher"),
    Column("day"),
    Column("code"),
    Column("account"),
    Column("debit", right=True),
    Column("credit", right=True),
)


@chart.command("show")
def show_chart(
    version: Annotated[int | None, typer.Option(help="This version; default: the newest.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Show which codes and names finance has for our accounts of money, and which have none."""
    with connect(url, key) as client:
        found = client.get("/chart-of-accounts", version=version)
    _tell_chart(found, as_json=as_json)


@chart.command("set")
def set_chart(
    file: Annotated[Path, typer.Argument(help='JSON as `chart show --json` writes it: {"accounts": […]}.')],
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Replace the chart of accounts: another version, by which vouchers are exported from now on (finance)."""
    try:
        accounts = json.loads(file.read_text(encoding="utf-8"))["accounts"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise typer.BadParameter(say('is no JSON with "accounts": {error}', error=error), param_hint="FILE") from error
    with connect(url, key) as client:
        found = client.put("/chart-of-accounts", {"accounts": accounts})
    _tell_chart(found, as_json=as_json)


def _tell_chart(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        write_json(found)
        return
    rows = [[each["account"], each["code"], one_line(each["name"]), each["auxiliary"]] for each in found["accounts"]]
    write_lines(make_console(), make_table(ACCOUNTS, rows))
    told = say("Version {version}.", version=found["version"])
    unmapped = say(" Without a code: {names}.", names=", ".join(found["unmapped"])) if found["unmapped"] else ""
    make_console().print(told + unmapped, soft_wrap=True)


def export_vouchers(
    month: Month,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Into this file: CSV, or XLSX where its name ends so.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Export the vouchers (凭证) of a closed month by the chart of accounts (finance)."""
    place = f"/closings/{month}/vouchers"
    with connect(url, key) as client:
        if output is not None:
            kind = "xlsx" if output.suffix.lower() == ".xlsx" else "csv"
            written = client.download(f"{place}?format={kind}", output)
            make_console().print(say("{path} is written.", path=written))
            return
        vouchers = client.get(place)
    if as_json:
        write_json(vouchers)
        return
    write_lines(make_console(), make_table(ENTRIES, [_make_entry(line) for line in vouchers["data"]]))
    sums = say(
        "{debit} debit, {credit} credit",
        debit=describe_money(vouchers["debit"]),
        credit=describe_money(vouchers["credit"]),
    )
    make_console().print(
        say(
            "{month}: {sums}, by version {version} of the chart.",
            month=month,
            sums=sums,
            version=vouchers["chart_version"],
        ),
        soft_wrap=True,
    )


def _make_entry(line: dict[str, Any]) -> list[str]:
    sides = [line["debit"]["amount"], line["credit"]["amount"]]
    return [f"记-{line['number']}", line["day"], line["account_code"], one_line(line["account"]), *sides]
