"""`broker jobs …`: submit, list, follow and control jobs over the REST API."""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from broker.client.rest import Client
from broker.config import Settings
from pricing.training.config import PATH_KEYS

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Training jobs: submit, follow, control.")
console = Console()

Url = Annotated[str, typer.Option("--url", envvar="BROKER_URL", help="The broker's address.")]
Key = Annotated[str | None, typer.Option("--key", envvar="BROKER_API_KEY", help="API key; default: admin.key.")]
Customer = Annotated[str | None, typer.Option("--customer", help="Customer id, with a staff key.")]
DEFAULT_URL = "http://127.0.0.1:8000"
TERMINAL = {"succeeded", "failed", "cancelled"}
POLL_SECONDS = 1.0


def connect(url: str, key: str | None) -> Client:
    if key is None:
        path = Settings().admin_key_path
        if not path.exists():
            raise typer.BadParameter("set BROKER_API_KEY, or run where DATA_DIR/admin.key is", param_hint="--key")
        key = path.read_text().strip()
    return Client(url, key)


@app.command("list")
def list_jobs(
    status: Annotated[str | None, typer.Option(help="Only jobs of this status.")] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """List the latest jobs."""
    table = Table("job", "status", "queue", "step", "GPU-hours", "tokens", "cost", "why it waits", title="Jobs")
    with connect(url, key) as client:
        for job in client.get("/jobs", limit=100, status=status)["data"]:
            table.add_row(
                job["id"],
                job["status"],
                job["queue"],
                describe_progress(job["progress"]),
                job["used_gpu_hours"],
                str(job["used_tokens"]),
                job["cost"]["amount"],
                describe_wait(job),
            )
    console.print(table)


def describe_progress(progress: dict[str, Any] | None) -> str:
    return f"{progress['step']}/{progress['total_steps']}" if progress else ""


def describe_facts(data: dict[str, Any]) -> str:
    """Describe an event's facts on a line or two; a picture stands there as `(a picture)`, not as its bytes."""
    short = {key: "(a picture)" if str(value).startswith("data:image/") else value for key, value in data.items()}
    return json.dumps(short, ensure_ascii=False)


def describe_wait(job: dict[str, Any]) -> str:
    """Describe why a job does not run now; empty where it runs or has ended."""
    if job["pause_reason"] == "limit":
        return "paused at its limit; resume it with a higher --max-cost"
    return (job["pending_reason"] or {}).get("message", "") or (job["pause_reason"] or "")


@app.command("show")
def show_job(job_id: str, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Show everything about one job, with its events."""
    with connect(url, key) as client:
        job = client.get(f"/jobs/{job_id}")
        events = client.get(f"/jobs/{job_id}/events")["data"]
    console.print_json(json.dumps(job))
    table = Table("when (UTC)", "what", "facts", title="Events")
    for event in events:
        table.add_row(event["created_at"], event["kind"], describe_facts(event["data"]))
    console.print(table)


@app.command("submit")
def submit_job(
    config: Annotated[Path, typer.Option("--config", exists=True, dir_okay=False, help="The trainer's YAML file.")],
    data: Annotated[list[Path], typer.Option("--data", exists=True, dir_okay=False, help="Data files, or an archive.")],
    customer: Customer = None,
    yes: Annotated[bool, typer.Option("--yes", help="Submit without asking.")] = False,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Upload data, show the price on every plan, and submit the job once you have said yes."""
    settings = read_config(config)
    owner = {"customer_id": customer} if customer else {}
    with connect(url, key) as client:
        dataset = client.upload_dataset(data, **owner)
        quote = client.post("/quotes", {"config": settings, "dataset_id": dataset["id"]})
        console.print(quote_table(quote))
        if not yes:
            typer.confirm("Reserve this and submit?", abort=True)
        order = {"config": settings, "dataset_id": dataset["id"], "quote_id": quote["id"], **owner}
        job = client.post("/jobs", order)
    console.print(f"Submitted [bold]{job['id']}[/] to queue {job['queue']}.")


def read_config(path: Path) -> dict[str, Any]:
    """Read the trainer's YAML file without its paths, which are of this machine. Raises: typer.BadParameter."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path} is not YAML: {error}", param_hint="--config") from error
    if not isinstance(raw, dict):
        raise typer.BadParameter(f"{path} must hold keys with values", param_hint="--config")
    return {name: value for name, value in raw.items() if name not in PATH_KEYS}


def quote_table(quote: dict[str, Any]) -> Table:
    estimate = quote["estimate"]
    hours = estimate["gpu_hours"]
    table = Table(
        "plan",
        "GPU-hours (p50)",
        "tokens",
        "total",
        "total at p90",
        title=f"{hours['p50']} to {hours['p90']} GPU-hours, {estimate['tokens']} tokens, {estimate['steps']} steps",
    )
    for price in quote["prices"]:
        row = [price[name]["amount"] for name in ("gpu_cost", "token_cost", "total", "total_p90")]
        table.add_row(price["plan"], *row)
    return table


@app.command("cancel")
def cancel_job(job_id: str, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Cancel a job; what it has used is billed, the rest of its hold is released."""
    _control(url, key, job_id, "cancel")


@app.command("pause")
def pause_job(job_id: str, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Pause a job after a checkpoint."""
    _control(url, key, job_id, "pause")


@app.command("resume")
def resume_job(
    job_id: str,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", help="Yuan that the whole job may cost, where it paused at its limit.")
    ] = None,
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """Queue a paused job again."""
    _control(url, key, job_id, "resume", {} if max_cost is None else {"max_cost": max_cost})


def _control(url: str, key: str | None, job_id: str, action: str, body: dict[str, Any] | None = None) -> None:
    with connect(url, key) as client:
        job = client.post(f"/jobs/{job_id}/{action}", body)
    stopping = f" (asked to stop: {job['stop_requested']})" if job["stop_requested"] else ""
    console.print(f"{job_id} is {job['status']}{stopping}.")


@app.command("watch")
def watch_job(job_id: str, url: Url = DEFAULT_URL, key: Key = None) -> None:
    """Follow a job until it ends; exit code 1 unless it succeeds."""
    with connect(url, key) as client:
        job = follow_job(client, job_id)
    console.print(f"{job_id} {job['status']}: {job['used_gpu_hours']} GPU-hours, cost {job['cost']['amount']} CNY")
    if job["status"] != "succeeded":
        console.print(job["error"] or "")
        raise typer.Exit(1)


def follow_job(client: Client, job_id: str) -> dict[str, Any]:
    """Show a job's progress until it ends; returns the job as it is then."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as bars:
        bar = bars.add_task(job_id, total=None, facts="")
        while True:
            job: dict[str, Any] = client.get(f"/jobs/{job_id}")
            progress = job["progress"] or {}
            loss = f"loss {progress['loss']:.3f}  " if "loss" in progress else ""
            if "validation_loss" in progress:
                loss += f"validation {progress['validation_loss']:.3f}  "
            bars.update(
                bar,
                description=f"{job_id[:14]}… {job['status']}",
                total=progress.get("total_steps"),
                completed=progress.get("step", 0),
                facts=f"{loss}¥{job['cost']['amount']}  {describe_wait(job)}",
            )
            if job["status"] in TERMINAL:
                return job
            time.sleep(POLL_SECONDS)
