"""`broker demo`: three customers, a real model, a real job, a killed one, and the books at the end."""

import signal
import time
from dataclasses import dataclass
from decimal import Decimal

from rich.console import Console
from rich.table import Table

from broker.cli.demo import books, training
from broker.cli.demo.stage import Stage, StepFailed, served_broker
from broker.cli.demo.world import DemoCustomer, make_staff_client, meet_customer
from broker.cli.remote.connection import DATA_DIRS
from broker.client.errors import ClientError
from broker.client.typed import BrokerClient
from broker.client_file import write_client_file
from broker.config import Settings
from pricing.catalog import get_base_model

DEMO_DATA_DIR = DATA_DIRS[-1]
BROKER = ".venv/bin/broker"
FURTHER_COMMANDS = (
    "jobs list",
    "jobs submit --config examples/template_smollm2.yaml --data examples/brand_tone",
    "balance",
)
WORKED_MONTH = {"gpu_hours": 30, "tokens": 50_000, "runs": 20}
WORKED_TOTALS = {"on_demand": "4200.00", "prepaid": "3210.00", "long_term": "2460.00"}
KILL_AT_STEP = 8


@dataclass(frozen=True)
class Cast:
    """Who plays: the three customers and finance; ops looks on."""

    customers: dict[str, DemoCustomer]
    finance: BrokerClient
    ops: BrokerClient


def run_demo(settings: Settings, *, serve_on: bool) -> int:
    """Play the scenario on a broker of its own; returns the exit code, 0 only if every step held."""
    if "data_dir" not in settings.model_fields_set:
        settings = settings.model_copy(update={"data_dir": DEMO_DATA_DIR})
    stage = Stage(settings, Console(soft_wrap=True))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    try:
        with served_broker(stage):
            cast = play(stage)
            stage.heading(f"All {stage.checks} checks held, in {time.monotonic() - started:.0f} s")
            _say_what_next(stage, cast)
            if serve_on:
                _serve_on(stage)
    except StepFailed as error:
        stage.console.print(f"[red]The demo failed:[/] {error}")
        return 1
    except (ClientError, OSError) as error:
        stage.console.print(f"[red]The demo failed:[/] {type(error).__name__}: {error}")
        return 1
    except KeyboardInterrupt:
        stage.console.print("Ended before the scenario was over.")
        return 1
    return 0


def _say_what_next(stage: Stage, cast: Cast) -> None:
    """Say what to type now: the command line has found the demo's broker and its customer's key by then."""
    folder = stage.settings.data_dir
    elsewhere = "" if folder in DATA_DIRS else f"BROKER_DATA_DIR={folder} "
    stage.console.print("  Go on as the customer, in another terminal, in this folder:")
    for command in FURTHER_COMMANDS:
        stage.console.print(f"    {elsewhere}{BROKER} {command}")
    stage.console.print(
        f"  As the administrator: BROKER_API_KEY=$(cat {stage.settings.admin_key_path}) {BROKER} whoami"
    )
    stage.console.print(f"  API documentation: {stage.url}/docs")
    stage.console.print(f"  Console: {stage.url}/console/ (docs/console.md); sign in with the key of")
    for role, client in (("customer", cast.customers["prepaid"].client), ("finance", cast.finance), ("ops", cast.ops)):
        stage.console.print(f"    {role:<9} {client.api_key}")


def _serve_on(stage: Stage) -> None:
    stage.console.print("  The service runs on; Ctrl-C ends it.")
    try:
        signal.pause()
    except KeyboardInterrupt:
        stage.console.print("Ended; the data stays, and the next demo goes on from it.")


def play(stage: Stage) -> Cast:
    """Play every step of the scenario, in order; returns who played. Raises: StepFailed, ClientError."""
    admin = BrokerClient(stage.url, stage.admin_key)
    cast = sign_customers(stage, admin)
    compare_worked_month(stage, cast)
    customer = cast.customers["prepaid"]
    write_client_file(stage.settings.data_dir, api_key=customer.client.api_key)
    describe_model(stage)
    first = train_and_try(stage, customer)
    second = train_through_a_crash(stage, customer)
    close_books(stage, cast, [first, second])
    return cast


def sign_customers(stage: Stage, admin: BrokerClient) -> Cast:
    stage.heading("1 · Three customers, one on each plan")
    finance = make_staff_client(stage, admin, "finance")
    plans = ("on_demand", "prepaid", "long_term")
    customers = {plan: meet_customer(stage, admin, finance, plan) for plan in plans}
    table = Table("customer", "plan", "per GPU-hour", "per token", "committed", "available")
    for plan, customer in customers.items():
        contract, balance = customer.contract, training.read_balance(customer)
        table.add_row(
            customer.name,
            plan,
            contract["gpu_hour_price"],
            contract["token_price"],
            f"{contract['committed_gpu_hours']} h",
            f"{balance['available_gpu_hours']} h",
        )
    stage.console.print(table)
    own = customers["long_term"].contract
    dedicated = f"dedicated:{own['id']}"
    stage.check(own["queue"] == dedicated, f"the long-term contract has a queue of its own: {dedicated}")
    granted = training.read_balance(customers["prepaid"])["granted_gpu_hours"]
    stage.check(granted == "500.0000", "paying the advance invoice credited 500 GPU-hours")
    return Cast(customers, finance, make_staff_client(stage, admin, "ops"))


def compare_worked_month(stage: Stage, cast: Cast) -> None:
    stage.heading("2 · What a month costs on each plan: 20 runs of 30 GPU-hours and 50,000 tokens")
    prices = cast.finance.get("/plan-comparison", **WORKED_MONTH)["data"]
    table = Table("plan", "GPU time, yuan", "tokens, yuan", "month, yuan", "below on-demand", "saved a year, yuan")
    for price in prices:
        row = [f"{Decimal(price[name]['amount']):,.2f}" for name in ("gpu_cost", "token_cost", "total")]
        table.add_row(price["plan"], *row, f"{price['saving_percent']} %", price["yearly_saving"]["amount"])
    stage.console.print(table)
    totals = {price["plan"]: price["total"]["amount"] for price in prices}
    stage.check(totals == WORKED_TOTALS, "4,200.00 / 3,210.00 / 2,460.00, to the fen")
    saving = next(price["saving_percent"] for price in prices if price["plan"] == "long_term")
    stage.check(saving == "41.43", "the long-term plan is 41.43 % below on-demand")


def describe_model(stage: Stage) -> None:
    profile = get_base_model("smollm2-135m-instruct")
    stage.heading(f"3 · The base model: {profile.name}, {profile.parameters:,} parameters, {profile.licence}")


def train_and_try(stage: Stage, customer: DemoCustomer) -> str:
    stage.heading("4 · Upload, quote, submit, train")
    order = training.quote_job(stage, customer, training.read_config())
    job_id = training.submit(stage, customer, order)
    follow = training.Follow(stage, customer, job_id)
    job = follow.until_end()
    stage.check(
        job["used_gpu_seconds"] > 0, f"metered {job['used_gpu_seconds']} GPU-seconds, cost ¥{job['cost']['amount']}"
    )
    training.check_tokens(stage, job)
    training.check_loss_falls(stage, follow.losses)
    training.try_adapter(stage, customer, job_id)
    return job_id


def train_through_a_crash(stage: Stage, customer: DemoCustomer) -> str:
    stage.heading("5 · A second job, whose training process is killed on the way")
    order = training.quote_job(stage, customer, training.read_config(seed=7))
    job_id = training.submit(stage, customer, order)
    follow = training.Follow(stage, customer, job_id)
    follow.until_step(KILL_AT_STEP)
    run_id = customer.client.get(f"/jobs/{job_id}/runs")["data"][-1]["id"]
    pid = training.kill_worker(stage, run_id)
    stage.console.print(f"  [red]kill -9 {pid}[/] (run {run_id})")
    follow.until_end()
    check_both_attempts(stage, customer, job_id)
    return job_id


def check_both_attempts(stage: Stage, customer: DemoCustomer, job_id: str) -> None:
    runs = customer.client.get(f"/jobs/{job_id}/runs")["data"]
    statuses = [run["status"] for run in runs]
    stage.check(statuses == ["lost", "succeeded"], "the broker noticed, requeued it, and the second run finished it")
    resumed = customer.client.get(f"/jobs/{job_id}/checkpoints")["data"]
    steps = [item["step"] for item in resumed if item["run_id"] == runs[0]["id"]]
    stage.check(bool(steps), f"it went on from the checkpoint of step {max(steps, default=0)}")
    by_run = [(run["used_gpu_seconds"], run["used_tokens"]) for run in runs]
    text = ", ".join(f"{seconds} GPU-s and {tokens} tokens" for seconds, tokens in by_run)
    stage.check(all(seconds > 0 for seconds, _ in by_run), f"both attempts are on the books: {text}")


def close_books(stage: Stage, cast: Cast, job_ids: list[str]) -> None:
    stage.heading("6 · Settlement, invoice, monthly cost report")
    customer = cast.customers["prepaid"]
    balance = training.read_balance(customer)
    held = (balance["held_gpu_seconds"], balance["held_tokens"], balance["held_money"]["amount"])
    stage.check(held == (0, 0, "0.00"), "nothing is held any more: captured + released = held")
    books.verify_books(stage)
    invoice = books.show_invoice(stage, cast.finance, customer, job_ids)
    books.reconcile_jobs(stage, customer, invoice, job_ids)
    books.show_report(stage, cast.finance, invoice)
