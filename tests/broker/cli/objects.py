"""Objects of the API with defaults, for the texts of the command line."""

from datetime import UTC, datetime
from typing import Any, cast

from broker.client.objects.contracts import Balance, Contract, RateCard
from broker.client.objects.jobs import JobDetail, JobEvent, Run
from broker.client.objects.quotes import Dataset, Estimate, Quote

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
JOB_ID = "job_01kb3v0x8m7q2w5r9t6y1z4abc"
OTHER_ID = "job_01kb3v0x8m7q2w5r9t6y1z4abd"
CONTRACT_ID = "con_01kb3v0x8m7q2w5r9t6y1z4con"


def money(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "CNY"}


def estimate(**fields: Any) -> Estimate:
    values = {
        "gpu_hours": {"p50": "0.0264", "p90": "0.0500"},
        "gpu_seconds": {"p50": 95, "p90": 180},
        "tokens": 12840,
        "rows": 64,
        "steps": 32,
        "vram_gib": 3.1,
        "base_model": "smollm2-135m-instruct",
        "sku": "cpu",
        "calibration_runs": 30,
    }
    return cast("Estimate", {**values, **fields})


def job(**fields: Any) -> JobDetail:
    values = {
        "id": JOB_ID,
        "customer_id": "cus_01kb3v0x8m7q2w5r9t6y1z4cus",
        "contract_id": CONTRACT_ID,
        "project_id": None,
        "dataset_id": "dat_01kb3v0x8m7q2w5r9t6y1z4dat",
        "quote_id": "quo_01kb3v0x8m7q2w5r9t6y1z4quo",
        "name": None,
        "labels": {},
        "config": {"lora_rank": 8, "lora_alpha": 16, "batch_size": 4, "epochs": 2, "learning_rate": 0.0002, "seed": 0},
        "estimate": estimate(),
        "queue": "priority",
        "status": "queued",
        "stop_requested": None,
        "pause_reason": None,
        "pending_reason": None,
        "expected_start": None,
        "expected_end": None,
        "progress": None,
        "attempts": 0,
        "used_gpu_seconds": 0,
        "used_gpu_hours": "0.0000",
        "used_tokens": 0,
        "charged_gpu_seconds": 0,
        "charged_tokens": 0,
        "borne_gpu_seconds": 0,
        "borne_tokens": 0,
        "cost": money("0.00"),
        "borne": money("0.00"),
        "borne_by_cause": {},
        "lost_work": [],
        "max_cost": None,
        "quote_guarantee": "pause",
        "limit": money("1.4202"),
        "limit_gpu_seconds": 180,
        "cap": None,
        "remaining": None,
        "adapter_id": None,
        "error": None,
        "started_at": None,
        "finished_at": None,
        "created_at": "2026-11-24T09:57:00Z",
    }
    return cast("JobDetail", {**values, **fields})


def running(**fields: Any) -> JobDetail:
    values = {
        "status": "running",
        "attempts": 1,
        "progress": {"step": 12, "total_steps": 32, "epoch": 1, "loss": 2.3123, "validation_loss": 2.4456},
        "used_gpu_seconds": 50,
        "used_gpu_hours": "0.0139",
        "used_tokens": 5398,
        "cost": money("0.558042"),
        "started_at": "2026-11-24T09:58:30Z",
        "expected_end": {"p50": "2026-11-24T10:03:00Z", "p90": "2026-11-24T10:09:00Z"},
    }
    return job(**{**values, **fields})


def run(**fields: Any) -> Run:
    values = {
        "id": "run_01kb3v0x8m7q2w5r9t6y1z4run",
        "job_id": JOB_ID,
        "attempt": 1,
        "pool": "local",
        "gpus": 1,
        "status": "running",
        "cause": None,
        "claimed_at": "2026-11-24T09:58:30Z",
        "ended_at": None,
        "created_at": "2026-11-24T09:58:29Z",
    }
    return cast("Run", {**values, **fields})


def event(number: int, kind: str, **data: Any) -> JobEvent:
    fields = {"id": number, "job_id": JOB_ID, "kind": kind, "data": data, "created_at": "2026-11-24T09:58:00Z"}
    return cast("JobEvent", fields)


def price(plan: str, gpu: str, gpu_p90: str, total: str, total_p90: str, contract_id: str | None = None) -> Any:
    costs = {"gpu_cost": gpu, "gpu_cost_p90": gpu_p90, "token_cost": "1.16", "total": total, "total_p90": total_p90}
    return {"plan": plan, "contract_id": contract_id, **{name: money(amount) for name, amount in costs.items()}}


def quote(**fields: Any) -> Quote:
    values = {
        "id": "quo_01kb3v0x8m7q2w5r9t6y1z4quo",
        "customer_id": "cus_01kb3v0x8m7q2w5r9t6y1z4cus",
        "dataset_id": "dat_01kb3v0x8m7q2w5r9t6y1z4dat",
        "config": {},
        "estimate": estimate(),
        "prices": [
            price("on_demand", "0.18", "0.34", "1.72", "1.88"),
            price("prepaid", "0.14", "0.26", "1.30", "1.42", CONTRACT_ID),
            price("long_term", "0.11", "0.20", "0.88", "0.97"),
        ],
        "max_cost_buys": None,
        "findings": None,
        "expires_at": "2026-11-25T10:00:00Z",
        "created_at": "2026-11-24T10:00:00Z",
    }
    return cast("Quote", {**values, **fields})


def contract(**fields: Any) -> Contract:
    values = {
        "id": CONTRACT_ID,
        "customer_id": "cus_01kb3v0x8m7q2w5r9t6y1z4cus",
        "plan": "prepaid",
        "committed_gpu_hours": 500,
        "gpu_hour_price": "5.2",
        "token_price": "0.00009",
        "rate_card": "pinned",
        "rate_card_version": "2026-01-01",
        "queue": "priority",
        "overage": "block",
        "quote_guarantee": "pause",
        "monthly_budget": None,
        "budget_hard_stop": True,
        "credit_limit": None,
        "contract_number": CONTRACT_ID,
        "purchase_order": None,
        "payment_days": 30,
        "draft_working_days": None,
        "finalizes": None,
        "true_up": "at_end",
        "guaranteed_gpus": [],
        "auto_renew": False,
        "renewed_from_id": None,
        "status": "active",
        "time_zone": "Asia/Shanghai",
        "billing_day": 1,
        "starts_at": "2026-11-01T00:00:00Z",
        "ends_at": None,
    }
    return cast("Contract", {**values, **fields})


def balance(**fields: Any) -> Balance:
    values = {
        "contract_id": CONTRACT_ID,
        "granted_gpu_hours": "500.0000",
        "available_gpu_hours": "499.9200",
        "monthly_budget": money("5000.00"),
        "budget_left": money("4990.00"),
    }
    return cast("Balance", {**values, **fields})


def dataset(**fields: Any) -> Dataset:
    values = {
        "id": "dat_01kb3v0x8m7q2w5r9t6y1z4dat",
        "name": "brand tone, autumn",
        "kind": "text",
        "usable_rows": 64,
        "size_bytes": 20480,
        "files": [{"name": "train.jsonl", "size_bytes": 18342}],
        "findings": [],
    }
    return cast("Dataset", {**values, **fields})


def rate_card(**fields: Any) -> RateCard:
    """Make a card with everything that one can say."""
    steps = [{"above": 100, "price": "6.5"}, {"above": 5000, "price": "6"}]
    tiers = {"gpu_hours": {"mode": "graduated", "steps": steps}, "tokens": None}
    volume = {"gpu_hours": None, "tokens": {"mode": "volume", "steps": [{"above": 1_000_000, "price": "0.00008"}]}}
    plans = {
        plan: {
            "per_gpu_hour": per_gpu_hour,
            "per_token": per_token,
            "minimum_commit_gpu_hours": hours,
            "advance": plan == "prepaid",
            "queue": queue,
            "tiers": tiers,
        }
        for plan, per_gpu_hour, per_token, hours, queue, tiers in (
            ("on_demand", "6.8", "0.00012", 0, "standard", tiers),
            ("prepaid", "5.2", "0.00009", 500, "priority", volume),
            ("long_term", "4", "0.00006", 2000, "dedicated", None),
        )
    }
    values = {
        "id": "2027-01-01",
        "object": "rate_card",
        "version": "2027-01-01",
        "status": "upcoming",
        "currency": "CNY",
        "effective_from": "2027-01-01",
        "plans": plans,
        "gpu_multipliers": {"h100-80g": "2.5", "rtx-3090": "0.75"},
        "published_at": "2026-11-24T09:57:00Z",
    }
    return cast("RateCard", {**values, **fields})
