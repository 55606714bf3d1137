"""The training log of a run, as its worker tells it: kept once, within what a run may write, without secrets."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import delete, insert, select
from sqlalchemy.dialects.postgresql import insert as insert_or_skip

from broker.customer_secrets.service import list_given_keys
from broker.jobs.rules.log_lines import KeptLog, LogLine, choose_lines
from broker.jobs.rules.redaction import redact_secrets
from broker.jobs.running.locked_run import check_current, get_run
from broker.jobs.tables import Job, LoggedLine, Run, RunLog
from broker.work import Work


async def keep_lines(work: Work, run_id: str, fence_token: int, told: Sequence[LogLine]) -> KeptLog:
    """Keep lines of a run that may report; those that were told before, or are too many, are left out.

    It locks the run's log alone, never the job: heartbeats go on beside it. Raises: NotFound, StaleFenceToken.
    """
    await check_current(work, run_id, fence_token)
    run = await get_run(work, run_id)
    row = await _lock_log(work, run)
    log = KeptLog(row.next_number, row.kept, row.characters)
    alive = (work.now - (run.claimed_at or run.created_at)).total_seconds()
    known = await _list_known(work, run)
    redacted = [replace(line, text=redact_secrets(line.text, known)) for line in told]
    chosen = choose_lines(redacted, log, alive_seconds=alive)
    log = log.add(chosen, max([log.next_number, *(line.number + 1 for line in told)]))
    row.next_number, row.kept, row.characters, row.told_at = log.next_number, log.kept, log.characters, work.now
    if chosen:
        own = {"job_id": run.job_id, "run_id": run_id, "customer_id": run.customer_id}
        await work.session.execute(insert(LoggedLine), [{**own, **vars(line)} for line in chosen])
    return log


async def _list_known(work: Work, run: Run) -> list[str]:
    """List the secrets that the run was given: the keys of the tracker that its job names."""
    tracker = await work.session.scalar(select(Job.tracker).where(Job.id == run.job_id))
    return await list_given_keys(work, run.customer_id, tracker)


async def _lock_log(work: Work, run: Run) -> RunLog:
    own = {"run_id": run.id, "job_id": run.job_id, "customer_id": run.customer_id}
    empty = {"next_number": 0, "kept": 0, "characters": 0, "told_at": work.now}
    await work.session.execute(insert_or_skip(RunLog).values(**own, **empty).on_conflict_do_nothing())
    return await work.session.get_one(RunLog, run.id, with_for_update=True, populate_existing=True)


async def find_next_number(work: Work, run_id: str) -> int:
    """Find the number of the next line of a run: a process that takes its place goes on from there."""
    return await work.session.scalar(select(RunLog.next_number).where(RunLog.run_id == run_id)) or 0


async def forget_logs(work: Work, *, before: datetime, limit: int) -> int:
    """Forget the logs of runs that have told nothing since a moment; returns how many runs there were."""
    query = select(RunLog.run_id, RunLog.job_id).where(RunLog.told_at < before).order_by(RunLog.told_at).limit(limit)
    found = (await work.session.execute(query.with_for_update(skip_locked=True))).all()
    for run_id, job_id in found:
        lines = delete(LoggedLine).where(LoggedLine.job_id == job_id, LoggedLine.run_id == run_id)
        await work.session.execute(lines)
    await work.session.execute(delete(RunLog).where(RunLog.run_id.in_([run_id for run_id, _job in found])))
    return len(found)
