"""What happened to a job, as the message of an event, in the caller's language. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

from broker.http.languages import Language

SENTENCES: Mapping[Language, Mapping[str, str]] = {
    "en": {
        "submitted": "Submitted to queue {queue}",
        "dispatched": "Attempt {attempt} handed to pool {pool}",
        "started": "Attempt {attempt} started",
        "checkpoint_saved": "Checkpoint saved at step {step}",
        "validated": "Step {step}: validation loss {loss}",
        "overfitting_noticed": "Step {step}: {message}",
        "stop_requested": "Told to stop: {reason}",
    },
    "zh": {
        "submitted": "已提交到队列 {queue}",
        "dispatched": "第 {attempt} 次运行已交给资源池 {pool}",
        "started": "第 {attempt} 次运行已开始",
        "checkpoint_saved": "已在第 {step} 步保存检查点",
        "validated": "第 {step} 步：验证损失 {loss}",
        "overfitting_noticed": "第 {step} 步：可能过拟合",
        "stop_requested": "已要求停止：{reason}",
        "cancelled": "已取消",
        "paused": "已暂停：{reason}",
        "resumed": "已恢复排队",
        "not_resumed": "未能恢复：{detail}",
        "limit_raised": "费用上限已提高到 {max_cost} 元",
        "annotated": "名称或备注已修改",
        "priority_changed": "优先级已调整：{reason}",
        "gpu_types_changed": "可用 GPU 型号已修改",
        "sampled": "第 {step} 步：已生成样例",
        "lost_work_borne": "丢失的进度由平台承担",
        "lost_work_corrected": "丢失进度的归属已更正",
        "maintenance_announced": "已通知维护",
        "run_succeeded": "运行成功",
        "run_failed": "运行失败：{reason}",
        "run_stopped": "运行已停止：{reason}",
        "run_preempted": "已让出资源，稍后从检查点继续",
        "run_lost": "运行中断：{reason}",
    },
}
LEVELS = {"run_failed": "error", "run_lost": "warn", "run_preempted": "warn"} | dict.fromkeys(
    ("overfitting_noticed", "paused"), "warn"
)


def tell_event(kind: str, data: Mapping[str, Any], language: Language = "en", say: Callable[[str], str] = str) -> str:
    """Tell an event in a sentence; one that has none here is told by its kind and its reason.

    `say` says the reason in the language, which is told in English.
    """
    told = data.get("explanation") or data.get("reason")
    reason = None if told is None else say(str(told))
    try:
        return SENTENCES[language][kind].format_map({**data, **({"reason": reason} if reason else {})})
    except KeyError:
        words = kind.replace("_", " ").capitalize()
        return f"{words}: {reason}" if reason else words


def level_of(kind: str) -> str:
    return LEVELS.get(kind, "info")
