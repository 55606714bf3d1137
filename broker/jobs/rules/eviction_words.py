"""What is said of an eviction to the customer of the job that made room; it names no other customer. Pure."""

from broker.jobs.rules.model import EvictionReason
from pricing.money import Money
from pricing.usage import Usage

BY = {
    EvictionReason.GUARANTEE: ("a guaranteed contract", "一个有保障的合同"),
    EvictionReason.DISCIPLINE: ("a job that goes first by the discipline of its pool", "按资源池规则应先运行的作业"),
    EvictionReason.QUOTA: (
        "a lowered limit of its queue or contract, which operations set",
        "运维下调的队列或合同上限",
    ),
}


def name_evictor(reason: EvictionReason) -> str:
    """Name who needed the room, as any customer may know it."""
    return BY[reason][0]


def explain_eviction(
    reason: EvictionReason, price: Money, other_price: Money | None, lost: Usage | None
) -> tuple[str, str]:
    """Explain an eviction in English and Chinese: for whom, at which prices of a GPU-hour, what was lost, who paid.

    `other_price` None: no other job needed the room. `lost` None: its run still saves.
    """
    (who, who_zh), (told, told_zh) = BY[reason], _tell_loss(lost)
    if other_price is None:
        return f"It made way for {who}. {told}", f"因{who_zh}而让出资源。{told_zh}"
    prices = f"which pays {other_price.format_amount()} yuan a GPU-hour (this job: {price.format_amount()})"
    prices_zh = f"对方每 GPU 小时 {other_price.format_amount()} 元（本作业 {price.format_amount()} 元）"
    return f"It made room for {who}, {prices}. {told}", f"已为{who_zh}让出资源；{prices_zh}。{told_zh}"


def _tell_loss(lost: Usage | None) -> tuple[str, str]:
    if lost is None:
        return "It saves; what it has not saved is on us.", "正在保存检查点；未保存的部分由我们承担。"
    if lost == Usage():
        return "Nothing was lost.", "没有损失工作量。"
    tokens = f" and {lost.tokens:,} tokens" if lost.tokens else ""
    tokens_zh = f"和 {lost.tokens} token" if lost.tokens else ""
    return (
        f"{lost.gpu_seconds:,} GPU-seconds{tokens} after its last checkpoint were lost; they are on us.",
        f"损失最后检查点之后的 {lost.gpu_seconds} GPU 秒{tokens_zh}，由我们承担。",
    )
