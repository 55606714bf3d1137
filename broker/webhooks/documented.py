"""The `webhooks` of the OpenAPI document: what each event looks like, and what is promised of its delivery."""

from typing import Any

from broker.webhooks.model import EventType

HEADERS = {
    "webhook-id": ("The event's id, the same at each attempt: take an event once by it.", "evt_01k"),
    "webhook-timestamp": ("When this attempt was made, in seconds since 1970.", "1795514400"),
    "webhook-signature": (
        "`v1,` and the HMAC-SHA256, in Base64, of `id.timestamp.body`; two of them while a secret is rotated.",
        "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
}
PROMISE = (
    "At least once, by [Standard Webhooks](https://www.standardwebhooks.com). Answer 2xx within 15 seconds; else it is "
    "sent again after 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h and 24 h, with a new timestamp and signature and "
    "the same id. Events come in no promised order: `timestamp` says when each happened; ask the API for the object as "
    "it is now. A redirect counts as a failure; 410 switches the endpoint off."
)
MOMENT = "2026-11-24T10:00:00Z"
JOB = {"job_id": "job_01k", "project_id": "prj_01k"}
TEXTS: dict[EventType, tuple[str, dict[str, Any]]] = {
    EventType.JOB_STARTED: (
        "A run of a job has begun; `attempt` counts its runs.",
        {**JOB, "run_id": "run_01k", "attempt": 1, "status": "running"},
    ),
    EventType.JOB_PREEMPTED: (
        "A run has ended through our doing, and its job waits again; `cause` says why.",
        {**JOB, "run_id": "run_01k", "cause": "preempted", "status": "queued"},
    ),
    EventType.JOB_PAUSED: (
        "A job waits until it is resumed; `cause` says why.",
        {**JOB, "run_id": "run_01k", "cause": "paused", "status": "paused"},
    ),
    EventType.JOB_RESUMED: ("A paused job waits in its queue again.", {**JOB, "status": "queued"}),
    EventType.JOB_ENDED: (
        "A job has succeeded, failed or been cancelled.",
        {**JOB, "run_id": "run_01k", "cause": "succeeded", "status": "succeeded"},
    ),
    EventType.JOB_START_SLIPPED: (
        "A waiting job is expected to start later than was told last.",
        {**JOB, "told": MOMENT, "expected_start": "2026-11-24T12:00:00Z", "latest_start": "2026-11-24T14:00:00Z"},
    ),
    EventType.ADAPTER_CREATED: (
        "A job has uploaded its adapter.",
        {"adapter_id": "ada_01k", **JOB, "name": "brand-tone", "version": 3},
    ),
    EventType.ADAPTER_PROMOTED: (
        "A version of an adapter is current at a stage (`test`, `production`) from now on, also by an undo.",
        {
            "adapter_id": "ada_01k",
            **JOB,
            "name": "brand-tone",
            "version": 3,
            "stage": "test",
            "promotion_id": "prm_01k",
        },
    ),
    EventType.LIMIT_REACHED: (
        "A job is paused since it cost as much as it may (max_cost).",
        {**JOB, "run_id": "run_01k", "cause": "limit", "status": "paused"},
    ),
    EventType.BUDGET_USED: (
        "So many per cent of a contract's monthly budget are used: 50, 80 or 100.",
        {"contract_id": "con_01k", "month": "2026-11", "percent": 80},
    ),
    EventType.BUDGET_REACHED: (
        "A job is paused since nothing of the month's budget is left.",
        {**JOB, "cause": "budget", "status": "paused"},
    ),
    EventType.BALANCE_ENDING: (
        "What is paid ends at the pace of late (`days_left`), or a grant expires (`grant_id`).",
        {"contract_id": "con_01k", "days_left": 3},
    ),
    EventType.BALANCE_REACHED: (
        "A job is paused since nothing of the contract's hours is left.",
        {**JOB, "cause": "balance", "status": "paused"},
    ),
    EventType.INVOICE_ISSUED: (
        "An invoice is final.",
        {"invoice_id": "inv_01k", "contract_id": "con_01k", "number": "INV-2026-000017"},
    ),
    EventType.ARREARS_CHANGED: (
        "A contract's arrears have another state, or more time.",
        {"contract_id": "con_01k", "state": "grace", "state_before": "current", "until": "2026-12-08"},
    ),
    EventType.MAINTENANCE_ANNOUNCED: (
        "Work on the pool that a job runs on is announced.",
        {**JOB, "pool": "a100", "begins_at": MOMENT, "ends_at": "2026-11-24T16:00:00Z"},
    ),
    EventType.WEBHOOK_TEST: ("Nothing has happened: somebody tests the endpoint.", {"endpoint_id": "whe_01k"}),
}


def describe_webhooks() -> dict[str, Any]:
    """Describe every event, as OpenAPI 3.1 has it."""
    return {kind.value: {"post": _describe(kind)} for kind in EventType}


def _describe(kind: EventType) -> dict[str, Any]:
    words, data = TEXTS[kind]
    example = {"type": kind.value, "timestamp": MOMENT, "data": data}
    schema = {
        "type": "object",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"const": kind.value, "description": "What happened."},
            "timestamp": {"type": "string", "format": "date-time", "description": "When it happened (UTC)."},
            "data": {
                "type": "object",
                "description": "Ids, and a few words; more may come.",
                "properties": {name: _describe_value(value) for name, value in data.items()},
            },
        },
    }
    return {
        "operationId": f"on_{kind.value.replace('.', '_')}",
        "tags": ["webhooks"],
        "summary": words,
        "description": PROMISE,
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": told,
                "schema": {"type": "string"},
                "example": example_value,
            }
            for name, (told, example_value) in HEADERS.items()
        ],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema, "example": example}}},
        "responses": {"2XX": {"description": "Taken."}, "default": {"description": "Not taken: it is sent again."}},
    }


def _describe_value(value: Any) -> dict[str, Any]:
    return {"type": "integer"} if isinstance(value, int) else {"type": ["string", "null"]}
