"""What needs ops, as sentences with the page that helps. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from broker.console.frame.menu import N_
from broker.operations.attention import Need, NeedKind

# By kind: what it is, and the page that helps.
WORDS = {
    NeedKind.NO_CYCLE: (N_("No cycle is planned: nothing starts"), "/console/ops/agents"),
    NeedKind.BOOKS_DIFFER: (N_("The ledger differs: broker ledger verify names the rows"), "/console/ops/audit"),
    NeedKind.AGENT_SILENT: (N_("An agent is silent"), "/console/ops/agents?pool={of}"),
    NeedKind.POOL_BROKEN: (N_("A pool takes no jobs"), "/console/ops/pools?tile={of}/{of}"),
    NeedKind.GUARANTEE_SHORT: (
        N_("Machines fall short of a guarantee, in GPUs"),
        "/console/ops/shares?contract_id={of}",
    ),
    NeedKind.OUTBOX_LATE: (N_("Messages to engines wait"), "/console/ops/agents"),
    NeedKind.JOBS_SET_ASIDE: (N_("Jobs are set aside: the log says why"), "/console/ops/queues?reason=set_aside"),
    NeedKind.BOOKS_UNVERIFIED: (N_("The books were not verified lately"), "/console/ops/audit"),
}


@dataclass(frozen=True)
class NeedRow:
    """A need in words; `of` names whom it is about, where that is one."""

    words: str
    of: str
    href: str
    since: datetime | None
    count: int
    is_bad: bool


BAD = frozenset({NeedKind.NO_CYCLE, NeedKind.BOOKS_DIFFER, NeedKind.AGENT_SILENT, NeedKind.GUARANTEE_SHORT})


def list_need_rows(needs: Iterable[Need], names: Mapping[str, str]) -> list[NeedRow]:
    """List what needs ops in words; contracts by the names of their customers."""
    return [_make_row(need, names) for need in needs]


def _make_row(need: Need, names: Mapping[str, str]) -> NeedRow:
    words, href = WORDS[need.kind]
    told = names.get(need.of, need.of)
    return NeedRow(words, told, href.format(of=need.of), need.since, need.count, need.kind in BAD)
