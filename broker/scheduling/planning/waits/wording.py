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
    (ReasonCode.POOL_NEVER_ALLOWED, ""): (
        "Queue {queue} may use the pools {pools} only, and none of them could take it.",
        "队列 {queue} 只能使用资源池 {pools}，而它们都无法容纳此作业。",
    ),
    (ReasonCode.TOO_LARGE_FOR_QUEUE, ""): (
        "Needs {gpus}; all jobs of queue {queue} together may hold {limit} at one time.",
        "需要 {gpus_zh}；队列 {queue} 的全部作业同时最多占用 {limit} 张。",
    ),
    (ReasonCode.TOO_LONG_FOR_QUEUE, ""): (
        "Needs {hours} GPU-hours; queue {queue} may use {limit} within {window} hours.",
        "需要 {hours} GPU 小时；队列 {queue} 每 {window} 小时最多使用 {limit} GPU 小时。",
    ),
    (ReasonCode.TOO_LARGE_FOR_QUOTA, ""): (
        "Needs {gpus}; its contract may hold {limit} at one time.",
        "需要 {gpus_zh}；合同配额为同时 {limit} 张。",
    ),
    (ReasonCode.QUEUE_CLOSED, ""): ("Queue {queue} is closed.", "队列 {queue} 已关闭。"),
    (ReasonCode.QUEUE_CLOSED, "holding"): (
        "Queue {queue} is on hold: it starts nothing.",
        "队列 {queue} 已暂停：暂不启动作业。",
    ),
    (ReasonCode.POOL_CLOSED, ""): ("Pool {pool} is closed.", "资源池 {pool} 已关闭。"),
    (ReasonCode.NO_OPEN_POOL, ""): ("No pool is open.", "没有开放的资源池。"),
    (ReasonCode.NO_OPEN_POOL, "types"): ("No pool of {types} is open.", "没有开放的 {types_zh} 资源池。"),
    (ReasonCode.NO_OPEN_POOL, "nodes"): (
        "Needs {gpus}; no machine that is large enough takes starts now.",
        "需要 {gpus_zh}；目前没有足够大的机器可供启动。",
    ),
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
        "Queue {queue} may use {limit} GPU-hours within {window} hours; {used} are used, or needed by what runs.",
        "队列 {queue} 每 {window} 小时最多使用 {limit} GPU 小时，已用及在运行作业所需共 {used}。",
    ),
    (ReasonCode.QUOTA, ""): (
        "Needs {gpus}; its contract holds {held} of the {limit} that it may have at one time.",
        "需要 {gpus_zh}；合同占用 {held} 张，配额为 {limit} 张。",
    ),
    (ReasonCode.QUOTA, "quota_jobs"): (
        "Its contract runs {held} jobs at one time, as many as it may.",
        "合同正在运行 {held} 个作业，已达配额。",
    ),
    (ReasonCode.BATCH_LIMIT, "one"): (
        "At most 1 job of its batch runs at one time; earlier ones run, or go first.",
        "同一批次同时最多运行 1 个作业；较早的正在运行，或排在它前面。",
    ),
    (ReasonCode.BATCH_LIMIT, ""): (
        "At most {limit} jobs of its batch run at one time; earlier ones run, or go first.",
        "同一批次同时最多运行 {limit} 个作业；较早的正在运行，或排在它前面。",
    ),
    (ReasonCode.GUARANTEED_TO_OTHERS, ""): (
        "Needs {gpus}; those that are free are kept for contracts to which they are guaranteed.",
        "需要 {gpus_zh}；空闲的 GPU 已为其他合同保留。",
    ),
    (ReasonCode.GUARANTEE_SHORT, ""): (
        "Needs {gpus}; machines have failed, and its contract's share of those that are left is in use.",
        "需要 {gpus_zh}；部分机器故障，合同在剩余 GPU 中的份额已用完。",
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

FEWER = "Cancel it and submit it with fewer GPUs, or ask operations to raise the limit."
FEWER_ZH = "请取消后以更少的 GPU 重新提交，或请运维提高上限。"

NEXT_STEPS: dict[ReasonCode, tuple[str, str]] = {
    ReasonCode.QUEUE_UNKNOWN: (ASK, ASK_ZH),
    ReasonCode.POOL_UNKNOWN: (ASK, ASK_ZH),
    ReasonCode.NO_POOL_OF_TYPE: (RESUBMIT, RESUBMIT_ZH),
    ReasonCode.TOO_LARGE_FOR_POOL: (RESUBMIT, RESUBMIT_ZH),
    ReasonCode.POOL_NEVER_ALLOWED: (
        "Submit it to another queue, or ask operations to allow another pool.",
        "请提交到其他队列，或请运维允许其他资源池。",
    ),
    ReasonCode.TOO_LARGE_FOR_QUEUE: (FEWER, FEWER_ZH),
    ReasonCode.TOO_LONG_FOR_QUEUE: (
        "Cancel it and submit a shorter one, or ask operations to raise the limit.",
        "请取消后提交更短的作业，或请运维提高上限。",
    ),
    ReasonCode.TOO_LARGE_FOR_QUOTA: (FEWER, FEWER_ZH),
    ReasonCode.QUEUE_CLOSED: ("Operations has to open the queue.", "需由运维开放该队列。"),
    ReasonCode.POOL_CLOSED: ("The pool has to be opened or served again.", "需等待资源池重新开放或恢复服务。"),
    ReasonCode.NO_OPEN_POOL: ("A pool has to be opened or served again.", "需等待资源池重新开放或恢复服务。"),
    ReasonCode.POOL_NOT_ALLOWED: ("Operations has to open one, or to allow another.", "需由运维开放或允许其他资源池。"),
    ReasonCode.QUEUE_LIMIT: (WAIT, WAIT_ZH),
    ReasonCode.GUARANTEE_SHORT: (
        "Operations has been told; it starts by itself.",
        "运维已收到通知；恢复后会自动开始。",
    ),
    ReasonCode.QUOTA: ("One of your jobs has to end, or the quota to be raised.", "需等待自己的作业结束，或提高配额。"),
}


def count(number: int, noun: str) -> str:
    """Count things in words."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_hours(seconds: int) -> str:
    """Write seconds as hours, to two places where they are no whole ones."""
    hundredths = -(-seconds // 36)
    return f"{hundredths // 100}" if hundredths % 100 == 0 else f"{hundredths // 100}.{hundredths % 100:02}"


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
