"""The demo's jobs: uploaded, quoted, submitted, followed, killed once, and tried out."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import broker
from broker.cli.demo.stage import Stage, StepFailed
from broker.cli.demo.world import DemoCustomer
from broker.cli.output import write_lines
from broker.cli.texts.job_words import TERMINAL
from broker.cli.texts.price import Offer, make_offer
from broker.client.objects.contracts import Balance
from pricing.training.config import PATH_KEYS
from pricing.unique_yaml import load_yaml

EXAMPLES = Path(broker.__file__).resolve().parent.parent / "examples"
DATA = EXAMPLES / "brand_tone" / "train.jsonl"
TEMPLATE = EXAMPLES / "template_smollm2.yaml"
PROMPT = "Write a product line for the Slowferry travel mug."
JOB_SECONDS = 600
POLL_SECONDS = 0.5
WINDOW = 4


@dataclass(frozen=True)
class Order:
    """A quoted job as it is submitted."""

    config: dict[str, Any]
    dataset_id: str
    quote: dict[str, Any]


def read_config(**changes: Any) -> dict[str, Any]:
    """Read the example's configuration without its paths: a job takes its data by id."""
    raw = load_yaml(TEMPLATE.read_text(encoding="utf-8"))
    return {**{key: value for key, value in raw.items() if key not in PATH_KEYS}, **changes}


def quote_job(stage: Stage, customer: DemoCustomer, config: dict[str, Any]) -> Order:
    dataset = customer.client.upload_dataset([DATA], name="brand-tone.jsonl")
    stage.console.print(f"  uploaded {dataset['id']}: {dataset['usable_rows']} usable rows")
    quote = customer.client.post("/quotes", {"config": config, "dataset_id": dataset["id"]})
    offer = Offer(quote, customer.contract, read_balance(customer))
    write_lines(stage.console, make_offer(offer, datetime.now(UTC), stage.console.width))
    return Order(config, dataset["id"], quote)


def submit(stage: Stage, customer: DemoCustomer, order: Order) -> str:
    """Submit a job with its quote, and check that its hold shows in the balance. Raises: StepFailed.

    It is of what can be charged: some seconds less than p90 where the cap, in whole fen, is below the exact price.
    """
    before = read_balance(customer)
    body = {
        "config": order.config,
        "dataset_id": order.dataset_id,
        "quote_id": order.quote["id"],
        "project_id": customer.project_id,
    }
    job = customer.client.post("/jobs", body)
    after = read_balance(customer)
    held = after["held_gpu_seconds"] - before["held_gpu_seconds"]
    stage.check(
        0 < held <= order.quote["estimate"]["gpu_seconds"]["p90"],
        f"{job['id']} is {job['status']} in {job['queue']}; the balance holds {held} GPU-seconds for it",
    )
    return str(job["id"])


def read_balance(customer: DemoCustomer) -> Balance:
    return customer.client.get_balance(customer.contract["id"])


@dataclass
class Follow:
    """Watching one job: its bar, and the loss by step."""

    stage: Stage
    customer: DemoCustomer
    job_id: str

    def __post_init__(self) -> None:
        self.losses: dict[int, float] = {}

    def until_end(self) -> dict[str, Any]:
        """Watch the job until it ends; returns the job. Raises: StepFailed, where it does not succeed in time."""
        job = self._watch(lambda job: job["status"] in TERMINAL)
        if job["status"] != "succeeded":
            raise StepFailed(f"{self.job_id} {job['status']}: {job['error']}")
        return job

    def until_step(self, step: int) -> dict[str, Any]:
        """Watch the job until its training has reached a step, or has ended; returns the job. Raises: StepFailed."""
        return self._watch(lambda job: job["status"] in TERMINAL or (job["progress"] or {}).get("step", 0) >= step)

    def _watch(self, ended: Any) -> dict[str, Any]:
        columns = (
            TextColumn("  {task.description:<10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
        )
        deadline = time.monotonic() + JOB_SECONDS
        with Progress(*columns, console=self.stage.console) as bars:
            bar = bars.add_task("queued", total=None, facts="")
            while time.monotonic() < deadline:
                job: dict[str, Any] = self.customer.client.get(f"/jobs/{self.job_id}")
                self._show(bars, bar, job)
                if ended(job):
                    return job
                time.sleep(POLL_SECONDS)
        raise StepFailed(f"{self.job_id} was still {job['status']} after {JOB_SECONDS} s")

    def _show(self, bars: Progress, bar: Any, job: dict[str, Any]) -> None:
        progress = job["progress"] or {}
        facts = f"{job['used_gpu_seconds']} GPU-s  {job['used_tokens']} tokens  ¥{job['cost']['amount']}"
        if "loss" in progress:
            self.losses[progress["step"]] = progress["loss"]
            facts = f"loss {progress['loss']:.3f}  {facts}"
        bars.update(
            bar,
            description=job["status"],
            total=progress.get("total_steps"),
            completed=progress.get("step", 0),
            facts=facts,
        )


def check_loss_falls(stage: Stage, losses: dict[int, float]) -> None:
    """Check that the last losses lie below the first, by their means: single batches differ by more than a step gains.

    Raises: StepFailed.
    """
    in_order = [losses[step] for step in sorted(losses)]
    window = min(WINDOW, len(in_order) // 2)
    first, last = mean(in_order[:window] or [0.0]), mean(in_order[-window:] or [0.0])
    curve = "  ".join(f"{step}:{losses[step]:.2f}" for step in sorted(losses))
    stage.console.print(f"    loss by step: {curve}")
    stage.check(last < first, f"loss fell from {first:.3f} to {last:.3f} (means of {window} reports)")


def check_tokens(stage: Stage, job: dict[str, Any]) -> None:
    stage.check(
        job["used_tokens"] == job["estimate"]["tokens"],
        f"{job['used_tokens']} tokens were trained, exactly as quoted",
    )


def try_adapter(stage: Stage, customer: DemoCustomer, job_id: str) -> None:
    """Download the adapter and answer one prompt before and after, by plain transformers and peft."""
    adapter = next(item for item in customer.client.list_all("/adapters") if item["job_id"] == job_id)
    target = stage.settings.data_dir / f"{adapter['name']}_v{adapter['version']}.safetensors"
    customer.client.download(f"/adapters/{adapter['id']}/download", target)
    stage.check(target.stat().st_size == adapter["size_bytes"], f"adapter {target} ({adapter['size_bytes']} bytes)")
    with stage.console.status("loading the base model and the adapter in plain transformers and peft"):
        answers = _answer_with_peft(target)
    table = Table("", PROMPT, show_lines=True)
    table.add_row("before", answers["before"])
    table.add_row("after", answers["after"])
    stage.console.print(table)
    stage.check(answers["before"] != answers["after"], "the adapter loads in plain peft and changes the answer")


def _answer_with_peft(adapter: Path) -> dict[str, str]:
    script = EXAMPLES / "complete_with_peft.py"
    done = subprocess.run(
        [sys.executable, str(script), "--adapter", str(adapter), "--prompt", PROMPT],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise StepFailed(f"{script.name} failed:\n{done.stderr[-2000:]}")
    answers: dict[str, str] = json.loads(done.stdout)
    return answers


def kill_worker(stage: Stage, run_id: str) -> int:
    """Kill (`kill -9`) the training process of a run, as a crashing machine would; returns its process id."""
    record = json.loads((stage.settings.data_dir / "runs" / run_id / "run.json").read_text())
    os.kill(record["pid"], signal.SIGKILL)
    return int(record["pid"])
