"""Streams: what one source reports under one contract. A stream numbers its events, and has a standing hold."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from sqlalchemy import select

from broker.contracts.terms.model import ContractTerms
from broker.ledger import service as ledger
from broker.metering.tables import UsageStream
from broker.persistence.membership import is_one_of
from broker.work import Work


@dataclass(frozen=True)
class StreamKey:
    """What a stream is of, within its contract. Project and GPU type decide which grants pay."""

    source: str
    project_id: str | None
    gpu_type: str | None

    @classmethod
    def of(cls, row: UsageStream) -> "StreamKey":
        return cls(row.source, row.project_id, row.gpu_type)


async def open_streams(work: Work, terms: ContractTerms, keys: Iterable[StreamKey]) -> dict[StreamKey, UsageStream]:
    """Open streams of a contract, where they are new. The caller holds the contract's lock."""
    query = select(UsageStream).where(UsageStream.contract_id == terms.id).execution_options(populate_existing=True)
    streams = {StreamKey.of(row): row for row in await work.session.scalars(query)}
    for key in keys:
        if key not in streams:
            streams[key] = _new_stream(work, terms, key)
            work.session.add(streams[key])
    await work.session.flush()
    return streams


def _new_stream(work: Work, terms: ContractTerms, key: StreamKey) -> UsageStream:
    return UsageStream(
        id=work.new_id("str"),
        customer_id=terms.customer_id,
        contract_id=terms.id,
        source=key.source,
        project_id=key.project_id,
        gpu_type=key.gpu_type,
        last_sequence=-1,
        created_at=work.now,
    )


async def open_hold(work: Work, terms: ContractTerms, stream: UsageStream) -> ledger.HoldView:
    """Open the standing hold that a stream's usage is charged to. The caller holds the contract's lock."""
    return await ledger.open_standing_hold(
        work, terms, stream.id, project_id=stream.project_id, gpu_type=stream.gpu_type
    )


async def list_stream_keys(work: Work, contract_ids: Collection[str]) -> dict[str, StreamKey]:
    """List what contracts' streams are of, by the streams' ids."""
    query = select(UsageStream).where(is_one_of(UsageStream.contract_id, contract_ids))
    return {row.id: StreamKey.of(row) for row in await work.session.scalars(query)}
