"""Storing usage events: each under a key that is taken once for ever, and added to the sums of its hour.

Every event comes this way, whoever reported it. A batch is one JSON document, and one statement.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from broker.persistence.driver import Command, Row, Statement, write_rows
from broker.work import Work

RUN_SOURCES = "/runs/"
EventName = tuple[str, str]
EventRow = dict[str, Any]

# Keys are taken in their order, so that no two batches wait for each other.
CLAIM = Statement(
    text("""
    INSERT INTO usage_event_keys (source, event_id, customer_id, digest, ended_at)
    SELECT source, event_id, customer_id, md5(event::text)::uuid, ended_at
    FROM jsonb_to_recordset(CAST(:rows AS jsonb))
        AS told (source text, event_id text, customer_id text, ended_at timestamptz, event jsonb)
    ORDER BY source, event_id
    ON CONFLICT DO NOTHING RETURNING source, event_id
    """),
    planned_once=True,
)
FIND_SAME = Statement(
    text("""
    SELECT told.place
    FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told (place bigint, source text, event_id text, event jsonb)
    JOIN usage_event_keys kept USING (source, event_id) WHERE kept.digest = md5(told.event::text)::uuid
    """)
)
STORE = Statement(
    text("""
    WITH told AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS told (
            source text, event_id text, ended_at timestamptz, run_id text, sequence bigint, customer_id text,
            contract_id text, project_id text, job_id text, gpu_type text, labels jsonb, gpu_seconds bigint,
            tokens bigint, started_at timestamptz, checkpoint_step bigint, corrects text, event jsonb,
            received_at timestamptz)
    ), stored AS (
        INSERT INTO usage_events (
            source, event_id, ended_at, run_id, sequence, customer_id, contract_id, project_id, job_id, gpu_type,
            labels, gpu_seconds, tokens, started_at, checkpoint_step, corrects, event, received_at)
        SELECT * FROM told
    )
    INSERT INTO usage_rollups AS kept (
        hour, contract_id, project_id, job_id, source, gpu_type, labels, customer_id, gpu_seconds, tokens, events)
    SELECT date_trunc('hour', ended_at, 'UTC'), contract_id, coalesce(project_id, ''), coalesce(job_id, ''),
           CASE WHEN source LIKE '/runs/%' THEN '' ELSE source END, coalesce(gpu_type, ''), labels, customer_id,
           sum(gpu_seconds), sum(tokens), count(*)
    FROM told GROUP BY 1, 2, 3, 4, 5, 6, 7, 8 ORDER BY 1, 2, 3, 4, 5, 6, 7
    ON CONFLICT (hour, contract_id, project_id, job_id, source, gpu_type, labels_digest) DO UPDATE
    SET gpu_seconds = kept.gpu_seconds + excluded.gpu_seconds, tokens = kept.tokens + excluded.tokens,
        events = kept.events + excluded.events
    """),
    planned_once=True,
)


def name_run_event(run_id: str, sequence: int) -> EventName:
    """Name an interval of a run, whatever its event calls itself: no run can take another's name."""
    return f"{RUN_SOURCES}{run_id}", f"{run_id}/{sequence}"


async def claim_keys(work: Work, rows: Sequence[EventRow]) -> set[EventName]:
    """Take the keys of events that are new; returns them. Whoever takes the same one at once is waited for.

    Each row has the columns of a key, and the event.
    """
    return {(source, event_id) for source, event_id in await _run(work, CLAIM, rows)}


async def find_same(work: Work, rows: Sequence[EventRow]) -> set[int]:
    """Find those of some events, by their places, whose name stands for the very same event already."""
    if not rows:
        return set()
    numbered = [{"place": place, **row} for place, row in enumerate(rows)]
    return {place for (place,) in await _run(work, FIND_SAME, numbered)}


async def _run(work: Work, statement: Statement, rows: Sequence[EventRow]) -> Sequence[Row]:
    (found,) = await work.run_together([Command(statement, {"rows": write_rows(rows)})])
    return found


async def store_events(work: Work, rows: Sequence[EventRow]) -> None:
    """Store events whose keys are taken, and add them to the sums of their hours. The caller locks their contracts.

    Each row has the columns of an event.
    """
    await work.run_together(command_events(rows))


def command_events(rows: Sequence[EventRow], *, claimed: bool = True) -> list[Command]:
    """Make the commands that store events as `store_events` does; those that are new take their keys before."""
    if not rows:
        return []
    told = {"rows": write_rows(rows)}
    return [Command(each, told) for each in ((STORE,) if claimed else (CLAIM, STORE))]
