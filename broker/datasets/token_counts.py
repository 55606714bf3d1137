"""Counts of tokens as rows: asked for, claimed by whoever counts, kept part by part, and read again for quotes.

What is in a part is the business of those who count (`broker.quotes`); here it is bytes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import aliased

from broker.datasets.stored_tar import StoredTar
from broker.datasets.tables import Dataset, TokenCount, TokenCountPart
from broker.work import Work

__all__ = [
    "ClaimedCount",
    "CountKey",
    "TokenCount",
    "ask_for_count",
    "claim_count",
    "fail_count",
    "find_count",
    "finish_count",
    "is_another_waiting",
    "is_small",
    "keep_part",
    "list_counts",
    "list_unplanned",
    "read_parts",
    "release_count",
]

Values = Mapping[str, object]
Condition = ColumnElement[bool]

CLAIM_SECONDS = 30
MOST_FAILURES = 3
PLANNED_WITHIN = timedelta(days=1)
# A data set of no more than this is counted when it is needed and not remembered: in less time than it takes to wait.
SMALL_ROWS, SMALL_BYTES = 2_000, 1 << 20
UNCLAIMED: dict[str, object] = {"claimed_by": None, "claimed_until": None}
IS_OPEN = and_(TokenCount.counted_at.is_(None), TokenCount.error.is_(None))


@dataclass(frozen=True)
class CountKey:
    """Which count: of this data set, by this tokenizer."""

    dataset_id: str
    tokenizer: str


@dataclass(frozen=True)
class ClaimedCount:
    """A count that is ours until the claim runs out: `counted` rows in `parts` parts are there already."""

    key: CountKey
    claimant: str
    base_model: str
    rows: int
    counted: int
    parts: int
    tar: StoredTar


def is_small(dataset: Dataset) -> bool:
    return dataset.usable_rows <= SMALL_ROWS and dataset.size_bytes <= SMALL_BYTES


async def find_count(work: Work, key: CountKey) -> TokenCount | None:
    """Find how far a count is; None where nobody has asked for it."""
    return await work.session.get(TokenCount, (key.dataset_id, key.tokenizer), populate_existing=True)


async def list_counts(work: Work, dataset_ids: Sequence[str]) -> Sequence[TokenCount]:
    """List the counts of data sets, the oldest first."""
    query = select(TokenCount).where(TokenCount.dataset_id.in_(dataset_ids))
    return (await work.session.scalars(query.order_by(TokenCount.created_at, TokenCount.tokenizer))).all()


async def read_parts(work: Work, key: CountKey) -> list[bytes]:
    """Read the parts of a count in their order."""
    query = select(TokenCountPart.content).where(_is(TokenCountPart, key)).order_by(TokenCountPart.number)
    return list((await work.session.scalars(query)).all())


async def list_unplanned(work: Work, limit: int) -> Sequence[Dataset]:
    """List new data sets that are not small and that nobody counts yet."""
    counted = exists().where(TokenCount.dataset_id == Dataset.id)
    is_large = or_(Dataset.usable_rows > SMALL_ROWS, Dataset.size_bytes > SMALL_BYTES)
    is_new = and_(Dataset.created_at > work.now - PLANNED_WITHIN, Dataset.deleted_at.is_(None))
    query = select(Dataset).where(is_large, is_new, ~counted)
    return (await work.session.scalars(query.order_by(Dataset.created_at).limit(limit))).all()


async def ask_for_count(work: Work, key: CountKey, dataset: Dataset, base_model: str, *, waits: bool) -> None:
    """Have a data set counted, which may be asked for already; `waits` where a quote waits for it."""
    asked_at = work.now if waits else None
    row = {
        "dataset_id": key.dataset_id,
        "tokenizer": key.tokenizer,
        "customer_id": dataset.customer_id,
        "base_model": base_model,
        "rows": dataset.usable_rows,
        "counted": 0,
        "parts": 0,
        "failures": 0,
        "asked_at": asked_at,
        "created_at": work.now,
    }
    statement = insert(TokenCount).values(row)
    again = {"asked_at": func.coalesce(TokenCount.asked_at, asked_at)}
    await work.session.execute(statement.on_conflict_do_update(index_elements=["dataset_id", "tokenizer"], set_=again))


async def claim_count(work: Work, claimant: str) -> ClaimedCount | None:
    """Claim the count whose turn it is: customers in turn, of each first what a quote waits for; None where none is.

    One that was claimed again and again without a part to show is given up, so that it stops no other.
    """
    is_free = or_(TokenCount.claimed_until.is_(None), TokenCount.claimed_until < work.now)
    given_up = {"error": f"counting broke off {MOST_FAILURES} times without a result"} | UNCLAIMED
    hopeless = and_(IS_OPEN, is_free, TokenCount.failures >= MOST_FAILURES)
    await work.session.execute(update(TokenCount).where(hopeless).values(given_up))
    found = (await work.session.execute(_select_next().where(is_free))).first()
    if found is None:
        return None
    count, tar = found[0], StoredTar(*found[1:])
    count.failures += 1
    count.claimed_by, count.claimed_until, count.turn_at = claimant, _claim_end(work), work.now
    await work.session.flush()
    key = CountKey(count.dataset_id, count.tokenizer)
    return ClaimedCount(key, claimant, count.base_model, count.rows, count.counted, count.parts, tar)


def _select_next() -> Select[TokenCount, str, int, str | None]:
    theirs = aliased(TokenCount)
    last_turn = select(func.max(theirs.turn_at)).where(theirs.customer_id == TokenCount.customer_id).scalar_subquery()
    return (
        select(TokenCount, Dataset.storage_key, Dataset.size_bytes, Dataset.base_key)
        .join(Dataset, Dataset.id == TokenCount.dataset_id)
        .where(IS_OPEN)
        .order_by(last_turn.nulls_first(), TokenCount.asked_at.nulls_last(), TokenCount.created_at, Dataset.id)
        .limit(1)
        .with_for_update(of=TokenCount, skip_locked=True)
    )


async def keep_part(work: Work, claim: ClaimedCount, number: int, content: bytes, rows: int) -> bool:
    """Keep a part, numbered from 0, and renew the claim; False where the claim was lost, and nothing is kept."""
    values = {
        "counted": TokenCount.counted + rows,
        "parts": number + 1,
        "failures": 0,
        "claimed_until": _claim_end(work),
    }
    if not await _change_claimed(work, claim, values, TokenCount.parts == number):
        return False
    await _insert_part(work, claim.key, number, content)
    return True


async def finish_count(work: Work, claim: ClaimedCount) -> None:
    """Mark a count as done, where it is still ours: its parts hold all rows."""
    values = {"counted_at": work.now, "rows": TokenCount.counted} | UNCLAIMED
    await _change_claimed(work, claim, values)


async def fail_count(work: Work, claim: ClaimedCount, error: str) -> None:
    """Give a count up for a reason that trying again does not cure."""
    await _change_claimed(work, claim, {"error": error} | UNCLAIMED)


async def release_count(work: Work, claim: ClaimedCount) -> None:
    """Let another have its turn; the parts stay, and whoever claims it next goes on from them."""
    await _change_claimed(work, claim, {"failures": 0} | UNCLAIMED)


async def is_another_waiting(work: Work, claim: ClaimedCount) -> bool:
    """Tell whether another customer's count waits for a turn."""
    owner = select(TokenCount.customer_id).where(_is(TokenCount, claim.key)).scalar_subquery()
    query = select(exists().where(IS_OPEN, TokenCount.claimed_by.is_(None), TokenCount.customer_id != owner))
    return bool(await work.session.scalar(query))


async def _insert_part(work: Work, key: CountKey, number: int, content: bytes) -> None:
    owner = select(Dataset.customer_id).where(Dataset.id == key.dataset_id).scalar_subquery()
    part = {"dataset_id": key.dataset_id, "tokenizer": key.tokenizer, "number": number, "content": content}
    await work.session.execute(insert(TokenCountPart).values(part | {"customer_id": owner}))


async def _change_claimed(work: Work, claim: ClaimedCount, values: Values, condition: Condition | None = None) -> bool:
    """Change a count that is ours; returns False where the claim was lost."""
    is_ours = and_(_is(TokenCount, claim.key), TokenCount.claimed_by == claim.claimant, IS_OPEN)
    statement = update(TokenCount).where(is_ours if condition is None else and_(is_ours, condition))
    changed = await work.session.execute(statement.values(values).returning(TokenCount.dataset_id))
    return changed.first() is not None


def _is(table: type[TokenCount] | type[TokenCountPart], key: CountKey) -> Condition:
    return and_(table.dataset_id == key.dataset_id, table.tokenizer == key.tokenizer)


def _claim_end(work: Work) -> datetime:
    return work.now + timedelta(seconds=CLAIM_SECONDS)
