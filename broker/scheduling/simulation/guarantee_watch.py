"""Whether contracts have what they are guaranteed, at each moment of a replay at which something changed. Pure."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from broker.scheduling.planning.values.jobs import WaitingJob
from broker.scheduling.planning.values.pools import GRACE_SECONDS
from broker.scheduling.planning.values.queues import ContractShare, QueueState
from broker.scheduling.simulation.played import GroupKey, MissedGuarantee

GRACE = timedelta(seconds=GRACE_SECONDS)

# A contract, and a GPU type that it is guaranteed.
Claim = tuple[str, str]


@dataclass(slots=True)
class Spell:
    """A time in which a contract lacks guaranteed GPUs: since when, how many now, and GPU-seconds so far."""

    since: datetime
    gpus: int
    counted_to: datetime
    gpu_seconds: float = 0.0


@dataclass
class GuaranteeWatch:
    """Counts what contracts lack: GPUs that they were sold, that their own queue's jobs wait for, and do not have.

    A job that is larger than the whole guarantee is none of it. What lasts no longer than the grace of a preemption is
    no miss: what was lent is on its way back.
    """

    owners: dict[str, str] = field(default_factory=dict)
    sold: dict[Claim, int] = field(default_factory=dict)
    held: Counter[Claim] = field(default_factory=Counter)
    waiting: dict[str, WaitingJob] = field(default_factory=dict)
    spells: dict[Claim, Spell] = field(default_factory=dict)
    missed: dict[GroupKey, MissedGuarantee] = field(default_factory=dict)

    def tell_queues(self, queues: Iterable[QueueState]) -> None:
        self.owners = {queue.name: queue.contract_id for queue in queues if queue.contract_id is not None}

    def tell_share(self, share: ContractShare) -> None:
        for claim in [claim for claim in self.sold if claim[0] == share.contract_id]:
            del self.sold[claim]
        for each in share.guarantees:
            self.sold[share.contract_id, each.sku] = each.gpus if each.promised is None else each.promised

    def come(self, job: WaitingJob) -> None:
        if self._is_own(job.contract_id, job.queue):
            self.waiting[job.job_id] = job

    def leave(self, job_id: str) -> None:
        self.waiting.pop(job_id, None)

    def hold(self, contract_id: str, queue: str, sku: str, gpus: int) -> None:
        """Count GPUs that a job of a contract's own queue holds from now on; fewer, where it lets them go."""
        if self._is_own(contract_id, queue):
            self.held[contract_id, sku] += gpus

    def look(self, now: datetime) -> None:
        """Look who lacks what, once all that happens at a moment has happened."""
        for claim in self.sold.keys() | self.spells.keys():
            self._measure(claim, self._count_lacking(claim), now)

    def close(self, now: datetime) -> dict[GroupKey, MissedGuarantee]:
        """Count what still lasts when the window ends; returns what was missed, by contract and its own queue."""
        for claim in list(self.spells):
            self._measure(claim, 0, now)
        return self.missed

    def _is_own(self, contract_id: str, queue: str) -> bool:
        return self.owners.get(queue) == contract_id

    def _count_lacking(self, claim: Claim) -> int:
        contract_id, sku = claim
        sold = self.sold.get(claim, 0)
        left = sold - self.held[claim]
        if left <= 0:
            return 0
        own = (job for job in self.waiting.values() if job.contract_id == contract_id and job.gpus <= sold)
        return min(left, sum(job.gpus for job in own if job.shape.find_option(sku) is not None))

    def _measure(self, claim: Claim, lacking: int, now: datetime) -> None:
        spell = self.spells.get(claim)
        if spell is None:
            if lacking:
                self.spells[claim] = Spell(now, lacking, now)
            return
        spell.gpu_seconds += spell.gpus * (now - spell.counted_to).total_seconds()
        spell.counted_to, spell.gpus = now, lacking
        if not lacking:
            del self.spells[claim]
            self._note(claim[0], spell, now)

    def _note(self, contract_id: str, spell: Spell, now: datetime) -> None:
        own = [queue for queue, owner in self.owners.items() if owner == contract_id]
        if now - spell.since > GRACE and own:
            key = contract_id, own[0]
            known = self.missed.get(key, MissedGuarantee())
            self.missed[key] = MissedGuarantee(known.times + 1, known.gpu_seconds + spell.gpu_seconds)
