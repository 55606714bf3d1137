"""Why a contract waits, against the peer that gets the next GPU, in one sentence; in English and Chinese. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.scheduling.planning.rules.order import EXPEDITED, GUARANTEED, ORDINARY, OVERDUE, Key, compute_share


@dataclass(frozen=True)
class Head:
    """The first of a contract's jobs that wait for one GPU type, and what ranks it.

    `usage` is decayed, in GPU-microseconds; `held` in GPUs; `weight` in hundredths.
    """

    contract_id: str
    tier: int
    priority: int
    usage: int
    held: int
    weight: int
    submitted_at: datetime

    @property
    def key(self) -> Key:
        share = compute_share(self.usage, self.held, self.weight) if self.tier == ORDINARY else 0
        return self.tier, 0 if self.tier in (EXPEDITED, OVERDUE) else -self.priority, share, self.submitted_at, ""


# What is said of a peer by what puts it ahead.
AHEAD = {
    EXPEDITED: ("which lost its machine", "它的机器出了故障"),
    GUARANTEED: ("whose guarantee is not used up", "它的保障配额尚未用完"),
    OVERDUE: ("which has waited as long as its queue allows", "它的等待已达队列上限"),
}
PRIORITY = ("in a queue of higher priority", "它所在队列的优先级更高")
LESS_USED = ("which has used less this week", "它本周用得更少")
HOLDS_LESS = ("which holds fewer GPUs", "它占用的 GPU 更少")
DUE_MORE = ("which is due a larger share", "它应得的份额更大")
CAME_FIRST = ("which submitted earlier", "它提交得更早")


def explain_against_peer(mine: Head, heads: Sequence[Head], name: Callable[[str], tuple[str, str]]) -> tuple[str, str]:
    """Explain why a contract waits, against who is first; `name` names a contract in both languages."""
    own, own_zh = name(mine.contract_id)
    first = min(heads, key=lambda head: (head.key, head.contract_id))
    if first.contract_id == mine.contract_id:
        return f"{own} is next: it waits for GPUs to become free.", f"下一个就轮到{own_zh}，等待 GPU 空闲。"
    peer, peer_zh = name(first.contract_id)
    why, why_zh = find_lead(first, mine)
    return f"{own} waits because {peer}, {why}, is ahead.", f"{own_zh}在等待，因为{peer_zh}排在前面：{why_zh}。"


def find_lead(first: Head, mine: Head) -> tuple[str, str]:
    """Find what puts one ahead of another."""
    if first.tier != mine.tier:
        return AHEAD[first.tier]
    if first.key[1] != mine.key[1]:
        return PRIORITY
    if first.key[2] == mine.key[2]:
        return CAME_FIRST
    if first.usage < mine.usage:
        return LESS_USED
    return HOLDS_LESS if first.held < mine.held else DUE_MORE
