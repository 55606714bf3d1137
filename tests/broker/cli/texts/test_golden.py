"""The texts of the command line, as they look in 80 columns: `golden/*.txt`. GOLDEN=write writes them anew."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.text import Text

from broker.cli.texts.columns import fold
from broker.cli.texts.findings import make_report
from broker.cli.texts.job_card import JobView, make_job_card
from broker.cli.texts.job_list import make_job_list
from broker.cli.texts.job_log import make_event_line, make_event_text
from broker.cli.texts.price import Offer, make_offer, make_question
from broker.cli.texts.rate_card import make_rate_card
from tests.broker.cli import objects
from tests.broker.cli.objects import NOW

GOLDEN = Path(__file__).parent / "golden"
WIDTH = 80
WAITS = {"code": "waiting_for_gpus", "message": "Needs 1 GPU; pool local has 0 of 1 free.", "position": 2}
ADVICE = "overfitting: the validation loss rises (2.44, best 2.31 after epoch 2); train fewer epochs, or set a dropout"
SAMPLE = "慢渡口的旅行杯：早晨的第一口茶，不必着急。" * 4
EVENTS = [
    objects.event(1, "submitted", queue="priority", contract_id=objects.CONTRACT_ID),
    objects.event(2, "dispatched", run_id="run_1", pool="local", attempt=1),
    objects.event(3, "started", run_id="run_1", attempt=1),
    objects.event(4, "validated", run_id="run_1", step=10, loss=2.4456),
    objects.event(5, "validated", run_id="run_1", step=20, loss=None),
    objects.event(6, "overfitting_noticed", run_id="run_1", step=20, message=ADVICE),
    objects.event(7, "sampled", run_id="run_1", step=20, prompt="写一句产品文案", text=SAMPLE),
    objects.event(8, "sampled", run_id="run_1", step=20, prompt="a mug", image="data:image/jpeg;base64,AAAA"),
    objects.event(9, "run_lost", run_id="run_1", job_status="queued", explanation="goes on from the last checkpoint"),
    objects.event(10, "something_new", facts=1),
]
RUNS = [
    objects.run(status="lost", cause="machine_lost", ended_at="2026-11-24T09:58:50Z"),
    objects.run(attempt=2, claimed_at="2026-11-24T09:59:00Z"),
]


def list_jobs() -> list[Text]:
    jobs = [
        objects.running(name="brand tone, rank 16"),
        objects.job(id=objects.OTHER_ID, pending_reason=WAITS, expected_start="2026-11-24T10:09:00Z"),
        objects.job(status="paused", pause_reason="limit", name="品牌语气，第二版" * 5, cost=objects.money("1.4202")),
        objects.job(
            status="failed", error={"code": "out_of_memory", "message": "CUDA out of memory\nset batch_size: 2"}
        ),
        objects.job(status="succeeded", cost=objects.money("0.0031"), created_at="2026-11-02T09:57:00Z"),
    ]
    return make_job_list(jobs, NOW, WIDTH)


def show_running() -> list[Text]:
    quoted = objects.quote()["prices"][1]
    view = JobView(objects.running(name="品牌语气 v2"), RUNS, EVENTS, objects.contract(), quoted)
    return make_job_card(view, NOW, WIDTH)


def show_succeeded() -> list[Text]:
    job = objects.running(
        status="succeeded",
        expected_end=None,
        finished_at="2026-11-24T09:59:40Z",
        adapter_id="ada_01kb3v0x8m7q2w5r9t6y1z4ada",
        cap=objects.money("1.42"),
        limit=None,
        borne=objects.money("0.31"),
        quote_guarantee="cap",
    )
    return make_job_card(JobView(job), NOW, WIDTH)


def price_own() -> list[Text]:
    offer = Offer(objects.quote(), objects.contract(), objects.balance(), "1.00")
    return [*make_offer(offer, NOW, WIDTH), *map(Text, fold(make_question(offer), WIDTH - 8))]


def price_compared() -> list[Text]:
    buys = {"steps": 24, "epochs": "1.50", "percent": "75.00", "cost": objects.money("0.98")}
    bought = {"max_cost": objects.money("1.00"), "plan": "prepaid", "p50": buys, "p90": {**buys, "steps": 22}}
    left_out = {"error": 1, "warning": 0, "hint": 0, "left_out": 1, "first": []}
    offer = Offer(
        objects.quote(max_cost_buys=bought, findings=left_out),
        objects.contract(quote_guarantee="cap"),
        objects.balance(),
    )
    return [*make_offer(offer, NOW, WIDTH, compare=True), *map(Text, fold(make_question(offer), WIDTH - 8))]


def price_without_contract() -> list[Text]:
    return make_offer(Offer(objects.quote()), NOW, WIDTH)


def findings() -> list[Text]:
    found = [
        {"file": "train.jsonl", "line": 40 + number, "level": level, "message": f"{ADVICE} {number}"}
        for number, level in enumerate(["warning", "error", "hint"] + ["error"] * 20)
    ]
    counts = {"error": 300, "warning": 1, "hint": 1}
    return make_report(objects.dataset(findings=found, finding_counts=counts), WIDTH)


def rate_card() -> list[Text]:
    return make_rate_card(objects.rate_card(), WIDTH)


def log() -> list[Text]:
    return [line for event in EVENTS for line in make_event_text(event, NOW, WIDTH)]


def events() -> list[Text]:
    return [make_event_line(event, NOW, WIDTH) for event in EVENTS]


@pytest.fixture(autouse=True)
def in_shanghai() -> Iterator[None]:
    """Set the clock of this machine, by which people read times."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Shanghai")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    "make",
    [
        list_jobs,
        show_running,
        show_succeeded,
        price_own,
        price_compared,
        price_without_contract,
        findings,
        rate_card,
        log,
        events,
    ],
)
def test_text_looks_as_it_did(make: Callable[[], list[Text]]) -> None:
    lines = [line.plain for line in make()]
    assert [line for line in lines if cell_len(line) > WIDTH] == []
    text = "".join(f"{line.rstrip()}\n" for line in lines)
    path = GOLDEN / f"{make.__name__}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_job_whose_estimate_cannot_be_read_is_shown_without_it() -> None:
    """A past fault: `broker jobs show` of a job that was set aside ended in a traceback."""
    card = "\n".join(line.plain for line in make_job_card(JobView(objects.job(estimate=None)), NOW, WIDTH))
    assert "queued" in card
    assert "Model" not in card
    assert "to go" not in card
