"""Records what cycles were planned from, so that a window can be replayed; reads and sweeps these records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import BigInteger, Boolean, DateTime, Text, bindparam, cast, delete, func, insert, or_, select
from sqlalchemy.dialects.postgresql import JSONB

from broker.persistence.driver import Command, Statement
from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.snapshot import ClusterSnapshot
from broker.scheduling.simulation.recording import CycleRecord, RecordedState, record_changes, record_cycle
from broker.scheduling.tables import RecordedCycle
from broker.work import Work

RECORD: TypeAdapter[CycleRecord] = TypeAdapter(CycleRecord)
NEWEST = Statement(select(func.max(RecordedCycle.id)))
APPEND = Statement(
    insert(RecordedCycle)
    .values(
        is_baseline=bindparam("is_baseline", type_=Boolean),
        size_bytes=bindparam("size_bytes", type_=BigInteger),
        record=cast(bindparam("record", type_=Text), JSONB),
        created_at=bindparam("now", type_=DateTime(timezone=True)),
    )
    .returning(RecordedCycle.id)
)
# So many records after a baseline there is another: a window begins at one, and older ones are of no use without.
BASELINE_EVERY = 1_000
# A window is read whole: about a gigabyte of memory.
MOST_RECORDS = 500_000


@dataclass
class CycleRecorder:
    """What this process knows to be recorded, up to `last_id`; what others record meanwhile it reads.

    Cycles take turns, so that ids are in the order of commits. Where what it wrote was rolled back, it begins anew.
    """

    state: RecordedState | None = None
    last_id: int | None = None
    since_baseline: int = 0

    async def record(
        self,
        work: Work,
        conditions: ClusterSnapshot,
        started: Sequence[str],
        waiting: Mapping[str, WaitingJob],
        changed: Mapping[str, WaitingJob | None] | None = None,
        withheld: Sequence[str] = (),
    ) -> None:
        """Record a cycle in its own transaction, if it has anything to say beside the one before.

        `waiting` are those who waited, `changed` what changed of them since that; None: any of them may have.
        `withheld` were planned to start, and did not.
        """
        (((newest,),),) = await work.run_together([Command(NEWEST)])
        if newest != self.last_id:
            await self._catch_up(work)
        if self.since_baseline >= BASELINE_EVERY:
            self.state = None
        record = self._write(conditions, started, waiting, changed, work.now)
        record = replace(record, withheld=tuple(withheld))
        if record.says_something:
            self.last_id = await write_record(work, record)
            self.since_baseline = 0 if record.is_baseline else self.since_baseline + 1
        self.state = self.state or RecordedState()
        self.state.take(record)

    def _write(
        self,
        conditions: ClusterSnapshot,
        started: Sequence[str],
        waiting: Mapping[str, WaitingJob],
        changed: Mapping[str, WaitingJob | None] | None,
        at: datetime,
    ) -> CycleRecord:
        if self.state is None or changed is None:
            return record_cycle(self.state, replace(conditions, waiting=tuple(waiting.values())), started, at)
        return record_changes(self.state, conditions, started, changed, at)

    async def _catch_up(self, work: Work) -> None:
        """Take what others have recorded since, if what this process recorded last is there."""
        since = select(RecordedCycle.id, RecordedCycle.record).where(RecordedCycle.id >= (self.last_id or 0))
        rows = (await work.session.execute(since.order_by(RecordedCycle.id).limit(BASELINE_EVERY))).all()
        if self.state is None or not rows or rows[0][0] != self.last_id or len(rows) == BASELINE_EVERY:
            self.state = None
            return
        for row_id, written in rows[1:]:
            record = RECORD.validate_python(written, strict=False)
            self.state.take(record)
            self.last_id, self.since_baseline = row_id, 0 if record.is_baseline else self.since_baseline + 1


async def write_record(work: Work, record: CycleRecord) -> int:
    """Append a record; returns its id."""
    written = RECORD.dump_json(record, exclude_defaults=True)
    told = {"is_baseline": record.is_baseline, "size_bytes": len(written), "record": written.decode()}
    (((row_id,),),) = await work.run_together([Command(APPEND, {**told, "now": work.now})])
    return int(row_id)


async def read_records(work: Work, begin: datetime, end: datetime) -> list[CycleRecord]:
    """Read the records of a window, in order, from the last baseline before it on, or else from the first within.

    At most `MOST_RECORDS` are read: the window ends earlier then.
    """
    baselines = select(func.max(RecordedCycle.id)).where(RecordedCycle.is_baseline, RecordedCycle.created_at <= begin)
    first = await work.session.scalar(baselines)
    rows = select(RecordedCycle.record).where(RecordedCycle.created_at <= end).order_by(RecordedCycle.id)
    rows = rows.where(RecordedCycle.created_at >= begin if first is None else RecordedCycle.id >= first)
    return [RECORD.validate_python(row, strict=False) for row in await work.session.scalars(rows.limit(MOST_RECORDS))]


async def forget_records(work: Work, *, before: datetime, most_bytes: int, limit: int) -> int:
    """Forget the oldest records: those of before a moment, and those beyond what all may take; returns how many.

    The newest stays, whatever it takes.
    """
    newer = func.sum(RecordedCycle.size_bytes).over(order_by=RecordedCycle.id.desc()) - RecordedCycle.size_bytes
    ranked = select(
        RecordedCycle.id, RecordedCycle.created_at, RecordedCycle.size_bytes, newer.label("newer")
    ).subquery()
    is_beyond = (ranked.c.newer > 0) & (ranked.c.newer + ranked.c.size_bytes > most_bytes)
    old = select(ranked.c.id).where(or_(ranked.c.created_at < before, is_beyond)).order_by(ranked.c.id).limit(limit)
    gone = await work.session.execute(
        delete(RecordedCycle).where(RecordedCycle.id.in_(old.scalar_subquery())).returning(RecordedCycle.id)
    )
    return len(gone.all())
