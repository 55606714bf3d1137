"""`broker webhooks`: where customers' programs listen, what they were told, and what came of it."""

from typing import Annotated

import typer

from broker.cli.output import make_console, one_line, write_answer, write_json, write_lines
from broker.cli.remote.connection import AsJson, Key, Url, connect
from broker.cli.remote.lists import collect_page, write_table, write_table_with_notes
from broker.cli.texts.columns import Column, make_card
from broker.cli.texts.values import DASH
from broker.cli.words import say
from broker.client.objects.webhooks import Event, NewWebhookEndpoint, WebhookAttempt, WebhookDelivery, WebhookEndpoint
from broker.client.typed import BrokerClient

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Webhooks: create, list, change, test, replay, attempts, rotate, remove.",
)

ENDPOINTS = (Column("endpoint"), Column("name"), Column("status"), Column("last taken"), Column("url"))
EVENTS = (Column("event"), Column("type"), Column("happened"), Column("of"))
DELIVERIES = (Column("delivery"), Column("type"), Column("status"), Column("attempts", right=True), Column("next"))
ATTEMPTS = (
    Column("when"),
    Column("event"),
    Column("type"),
    Column("no.", right=True),
    Column("answer", right=True),
    Column("ms", right=True),
)

Endpoint = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="The endpoint's id, the beginning of it, or its name.")
]
Types = Annotated[
    list[str] | None, typer.Option("--type", help="What it is told of, such as job.ended; once for each.")
]
Most = Annotated[int, typer.Option("--limit", min=1, help="So many at most, the newest.")]


def find_endpoint(client: BrokerClient, typed: str) -> WebhookEndpoint:
    """Find an endpoint by its id, the beginning of that, or its name. Raises: typer.BadParameter."""
    wanted = typed.strip()
    everyone: list[WebhookEndpoint] = list(client.list_all("/webhook-endpoints"))
    begins = wanted.lower().removeprefix("whe_")
    named = [each for each in everyone if each["name"] == wanted]
    found = named or [each for each in everyone if begins and each["id"].startswith(f"whe_{begins}")]
    if len(found) != 1:
        raise typer.BadParameter(
            say("no endpoint is {typed}", typed=repr(typed))
            if not found
            else say("{typed} is several: name one by its id", typed=repr(typed)),
            param_hint="ENDPOINT",
        )
    return found[0]


@app.command("list")
def list_endpoints(as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """List where programs listen, the newest first."""
    with connect(url, key) as client:
        page = collect_page(client.list_all("/webhook-endpoints"))
    write_table(page, ENDPOINTS, _make_row, as_json=as_json)


def _make_row(endpoint: WebhookEndpoint) -> list[str]:
    status = (
        endpoint["status"]
        if endpoint["disabled_for"] is None
        else say("disabled ({why})", why=endpoint["disabled_for"])
    )
    taken = DASH if endpoint["last_taken_at"] is None else endpoint["last_taken_at"][:16]
    return [endpoint["id"], one_line(endpoint["name"]), status.replace("_", " "), taken, endpoint["url"]]


@app.command("create")
def create_endpoint(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    address: Annotated[str, typer.Argument(metavar="URL", help="Where it listens: https://….")],
    types: Types = None,
    project: Annotated[str | None, typer.Option(help="Told of this project's jobs alone.")] = None,
    customer: Annotated[str | None, typer.Option(help="Whose it is; needed with a staff key only.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Name where a program listens; its secret is shown this once."""
    with connect(url, key) as client:
        made = client.create_webhook_endpoint(
            name, address, event_types=types, project_id=project, customer_id=customer
        )
    _show(made, as_json=as_json)


@app.command("show")
def show_endpoint(endpoint: Endpoint, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Show an endpoint: to what it listens, and how it takes it."""
    with connect(url, key) as client:
        _show(find_endpoint(client, endpoint), as_json=as_json)


@app.command("change")
def change_endpoint(
    endpoint: Endpoint,
    name: Annotated[str | None, typer.Option(help="What it is called.")] = None,
    address: Annotated[str | None, typer.Option("--to", metavar="URL", help="Where it listens.")] = None,
    types: Types = None,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether it is sent to; what is due goes on.")
    ] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Change where a program listens, or to what, or switch it off or on."""
    status = None if enable is None else "enabled" if enable else "disabled"
    with connect(url, key) as client:
        found = find_endpoint(client, endpoint)
        changed = client.change_webhook_endpoint(
            found["id"], name=name, url=address, event_types=types or None, status=status
        )
    _show(changed, as_json=as_json)


@app.command("rotate")
def rotate_secret(
    endpoint: Endpoint,
    overlap: Annotated[float, typer.Option("--overlap", metavar="HOURS", help="So long the former signs, too.")] = 24,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Give an endpoint another secret, shown this once; the former one signs beside it for a while."""
    with connect(url, key) as client:
        found = find_endpoint(client, endpoint)
        _show(client.rotate_webhook_secret(found["id"], overlap_hours=overlap), as_json=as_json)


@app.command("remove")
def remove_endpoint(endpoint: Endpoint, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Send a program nothing more, and forget its secret."""
    with connect(url, key) as client:
        removed = client.remove_webhook_endpoint(find_endpoint(client, endpoint)["id"])
    write_answer(removed, say("{name} is removed.", name=removed["id"]), as_json=as_json)


@app.command("test")
def send_test(endpoint: Endpoint, as_json: AsJson = False, url: Url = None, key: Key = None) -> None:
    """Send an endpoint a webhook.test; `broker webhooks attempts` shows what came of it."""
    with connect(url, key) as client:
        found = find_endpoint(client, endpoint)
        delivery = client.test_webhook_endpoint(found["id"])
    told = say(
        "{event} is on its way; see `broker webhooks attempts {id}`.", event=delivery["event_id"], id=found["id"]
    )
    write_answer(delivery, told, as_json=as_json)


@app.command("replay")
def replay_events(
    endpoint: Endpoint,
    event: Annotated[str | None, typer.Option(help="This one event, by its id.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="All since then, as 2026-11-24T00:00:00Z.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="And before then; default: now.")] = None,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """Send an endpoint one event again, or all that it listens to since a time; each keeps its id."""
    with connect(url, key) as client:
        found = find_endpoint(client, endpoint)
        replay = client.replay_webhook_events(found["id"], event_id=event, since=since, until=until)
    write_answer(replay, say("{events} events are sent again.", events=replay["events"]), as_json=as_json)


@app.command("events")
def list_events(
    kind: Annotated[str | None, typer.Option("--type", help="Only these, such as job.ended.")] = None,
    limit: Most = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List what happened that an endpoint listened to, the newest first."""
    with connect(url, key) as client:
        page = client.list_all_events(type=kind, limit=limit)
    write_table(page, EVENTS, _make_event_row, as_json=as_json)


def _make_event_row(event: Event) -> list[str]:
    """Make the row of an event: what it is about is the one id that an event of its kind always has."""
    about = ("job_id", "adapter_id", "invoice_id", "contract_id", "endpoint_id")
    found = next((event["data"][name] for name in about if name in event["data"]), DASH)
    return [event["id"], event["type"], event["happened_at"][:19], str(found)]


@app.command("deliveries")
def list_deliveries(
    endpoint: Endpoint,
    status: Annotated[str | None, typer.Option(help="pending, delivered or failed.")] = None,
    limit: Most = 20,
    as_json: AsJson = False,
    url: Url = None,
    key: Key = None,
) -> None:
    """List what an endpoint was sent or is to be sent, the newest first."""
    with connect(url, key) as client:
        page = client.list_webhook_deliveries(find_endpoint(client, endpoint)["id"], status=status, limit=limit)
    write_table(page, DELIVERIES, _make_delivery_row, as_json=as_json)


def _make_delivery_row(delivery: WebhookDelivery) -> list[str]:
    due = delivery["not_before"][:19] if delivery["status"] == "pending" else DASH
    return [delivery["id"], delivery["event_type"], delivery["status"], str(delivery["attempts"]), due]


@app.command("attempts")
def list_attempts(
    endpoint: Endpoint, limit: Most = 20, as_json: AsJson = False, url: Url = None, key: Key = None
) -> None:
    """List the attempts to tell an endpoint something, the newest first, with what it answered."""
    with connect(url, key) as client:
        page = client.list_webhook_attempts(find_endpoint(client, endpoint)["id"], limit=limit)
    write_table_with_notes(page, ATTEMPTS, _make_attempt_row, _make_note, as_json=as_json)


def _make_attempt_row(attempt: WebhookAttempt) -> list[str]:
    answer = DASH if attempt["status_code"] is None else str(attempt["status_code"])
    when = attempt["created_at"][:19]
    names = [when, attempt["event_id"], attempt["event_type"]]
    return [*names, str(attempt["number"]), answer, str(attempt["duration_ms"])]


def _make_note(attempt: WebhookAttempt) -> str:
    """Make what stands below an attempt that failed: why, and how the answer begins."""
    if attempt["error"] is None:
        return ""
    return one_line(": ".join(filter(None, (attempt["error"], attempt["answer"]))))[:200]


def _show(endpoint: WebhookEndpoint | NewWebhookEndpoint, *, as_json: bool) -> None:
    if as_json:
        write_json(endpoint)
        return
    console = make_console()
    secret = endpoint.get("secret")
    of = (
        say("all of the customer")
        if endpoint["project_id"] is None
        else say("project {project}", project=endpoint["project_id"])
    )
    rows = [
        ("Endpoint", endpoint["id"]),
        ("Name", one_line(endpoint["name"])),
        ("URL", endpoint["url"]),
        ("Secret", say("{secret} (shown this once)", secret=secret) if secret else ""),
        ("Status", _make_row(endpoint)[2]),
        ("Failing since", endpoint["failing_since"] or ""),
        ("Former secret until", endpoint["former_until"] or ""),
        ("Hears of", of),
        ("Types", " ".join(endpoint["event_types"])),
    ]
    write_lines(console, make_card(rows, console.width))
