"""The sentences of waiting reasons and what helps, in English and Chinese. Pure: who decides is `reasons`."""

from dataclasses import dataclass

from broker.scheduling.planning.values.answers import Reason, ReasonCode


@dataclass(frozen=True)
class Words:
    """What is said in place of a reason's own sentences, or which of them (`how`)."""

    english: str | None = None
    chinese: str | None = None
    how: str = ""


NO_WORDS = Words()
WAIT = "Nothing: it starts by itself."
WAIT_ZH = "无需操作：轮到时会自动开始。"
ASK = "Ask operations, or cancel it and submit it anew."
ASK_ZH = "请联系运维，或取消后重新提交。"
RESUBMIT = "Cancel it and submit it with what there is."
RESUBMIT_ZH = "请取消后按现有资源重新提交。"

# By code and `how`: English, Chinese. Numbers are put in by name.
SENTENCES: dict[tuple[ReasonCode, str], tuple[str, str]] = {
    (ReasonCode.QUEUE_UNKNOWN, ""): ("Queue {queue} does not exist.", "队列 {queue} 不存在。"),
    (ReasonCode.POOL_UNKNOWN, ""): ("Pool {pool} does not exist.", "资源池 {pool} 不存在。"),
    (ReasonCode.NO_POOL_OF_TYPE, ""): (
        "No pool has {types}, which it accepts.",
        "没有资源池提供它接受的 GPU 型号 {types_zh}。",
    ),
    (ReasonCode.TOO_LARGE_FOR_POOL, "pool"): (
        "Needs {gpus}; pool {pool} has {total} in all.",
        "需要 {gpus_zh}；资源池 {pool} 总共只有 {total} 张。",
    ),
    (ReasonCode.TOO_LARGE_FOR_POOL, "largest"): (
        "Needs {gpus}; the largest open pool, {pool}, has {total} in all.",
        "需要 {gpus_zh}；最大的开放资源池 {pool} 总共只有 {total} 张。",
    ),
    (ReasonCode.QUEUE_CLOSED, ""): ("Queue {queue} is closed.", "队列 {queue} 已关闭。"),
    (ReasonCode.QUEUE_CLOSED, "holding"): (
        "Queue {queue} is on hold: it starts nothing.",
        "队列 {queue} 已暂停：暂不启动作业。",
    ),
    (ReasonCode.POOL_CLOSED, ""): ("Pool {pool} is closed.", "资源池 {pool} 已关闭。"),
    (ReasonCode.NO_OPEN_POOL, ""): ("No pool is open.", "没有开放的资源池。"),
    (ReasonCode.NO_OPEN_POOL, "types"): ("No pool of {types} is open.", "没有开放的 {types_zh} 资源池。"),
    (ReasonCode.POOL_NOT_ALLOWED, ""): (
        "Queue {queue} may use the pools {pools} only, and none of them is open.",
        "队列 {queue} 只能使用资源池 {pools}，而它们都未开放。",
    ),
    (ReasonCode.QUEUE_LIMIT, "queue_jobs"): (
        "Queue {queue} runs {held} jobs at one time, as many as it may.",
        "队列 {queue} 正在运行 {held} 个作业，已达上限。",
    ),
    (ReasonCode.QUEUE_LIMIT, "queue_gpus"): (
        "Queue {queue} holds {held} GPUs of the {limit} that it may have at one time.",
        "队列 {queue} 占用 {held} 张 GPU，上限为 {limit} 张。",
    ),
    (ReasonCode.QUEUE_LIMIT, "queue_hours"): (
        "Queue {queue} has used the GPU-hours of its window.",
        "队列 {queue} 已用完本时段的 GPU 时。",
    ),
    (ReasonCode.QUOTA, ""): (
        "Needs {gpus}; its contract holds {held} of the {limit} that it may have at one time.",
        "需要 {gpus_zh}；合同占用 {held} 张，配额为 {limit} 张。",
    ),
    (ReasonCode.GUARANTEED_TO_OTHERS, ""): (
        "Needs {gpus}; those that are free are kept for contracts to which they are guaranteed.",
        "需要 {gpus_zh}；空闲的 GPU 已为其他合同保留。",
    ),
    (ReasonCode.MAINTENANCE, ""): (
        "Needs {gpus}; where they are free, maintenance begins before it would have ended.",
        "需要 {gpus_zh}；空闲 GPU 所在的机器将在它结束之前进入维护。",
    ),
    (ReasonCode.MAKING_ROOM, ""): (
        "Needs {gpus}; others write a checkpoint and stop to make room for it.",
        "需要 {gpus_zh}；其他作业正在保存检查点并为它让出资源。",
    ),
}

NEXT_STEPS: dict[ReasonCode, tuple[str, str]] = {
    ReasonCode.QUEUE_UNKNOWN: (ASK, ASK_ZH),
    ReasonCode.POOL_UNKNOWN: (ASK, ASK_ZH),
    ReasonCode.NO_POOL_OF_TYPE: (RESUBMIT, RESUBMIT_ZH),
    ReasonCode.TOO_LARGE_FOR_POOL: (RESUBMIT, RESUBMIT_ZH),
    ReasonCode.QUEUE_CLOSED: ("Operations has to open the queue.", "需由运维开放该队列。"),
    ReasonCode.POOL_CLOSED: ("The pool has to be opened or served again.", "需等待资源池重新开放或恢复服务。"),
    ReasonCode.NO_OPEN_POOL: ("A pool has to be opened or served again.", "需等待资源池重新开放或恢复服务。"),
    ReasonCode.POOL_NOT_ALLOWED: ("Operations has to open one, or to allow another.", "需由运维开放或允许其他资源池。"),
    ReasonCode.QUEUE_LIMIT: (WAIT, WAIT_ZH),
    ReasonCode.QUOTA: ("One of your jobs has to end, or the quota to be raised.", "需等待自己的作业结束，或提高配额。"),
}


def count(number: int, noun: str) -> str:
    """Count things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def say(code: ReasonCode, words: Words = NO_WORDS, **evidence: int | str | None) -> Reason:
    """Say a reason with what was read for it."""
    english, chinese = SENTENCES.get((code, words.how), ("", ""))
    gpus = evidence.get("gpus")
    known = {**evidence, "gpus": count(gpus, "GPU"), "gpus_zh": f"{gpus} 张 GPU"} if isinstance(gpus, int) else evidence
    english, chinese = english.format_map(known), chinese.format_map(known)
    if code == ReasonCode.NO_OPEN_POOL:
        english, chinese = f"{english} {words.english or ''}".strip(), f"{chinese} {words.chinese or ''}".strip()
    else:
        english, chinese = words.english or english, words.chinese or chinese
    step, step_zh = NEXT_STEPS.get(code, (WAIT, WAIT_ZH))
    return Reason(code, english, chinese, step, step_zh, evidence)
