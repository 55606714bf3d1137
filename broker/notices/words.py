"""What notices say, in Chinese and English: one title and one text for each kind. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from broker.errors import STATES_ZH
from broker.notices.model import Happening, Language

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class Words:
    """A title and a text."""

    title: str
    body: str


@dataclass(frozen=True)
class Telling:
    """What is told of one kind of happening, in each language."""

    zh: Callable[[Facts], tuple[str, str]]
    en: Callable[[Facts], tuple[str, str]]


HOW_ZH = "请按账单附言号对公汇款，详见 GET /v1/customers/{customer_id}/arrears。"
HOW_EN = "Pay by bank transfer with the references that GET /v1/customers/{customer_id}/arrears lists."
AFTER_ZH = {
    "current": "欠费已结清，暂停的作业将自动恢复。",
    "grace": "宽限期内运行中的作业继续；新作业只能使用已付资源包。",
    "suspended": "超出已付资源包的作业已保存检查点并暂停，结清后自动恢复。",
    "retention": "所有作业已停止，数据暂时保留。",
    "closed": "数据集、检查点和模型将被删除；账单依法保留。",
}
WEBHOOK_ZH = {"failing": "已连续多日投递失败", "gone": "返回 410"}
WEBHOOK_EN = {"failing": "has taken nothing for days", "gone": "answered 410"}
AFTER_EN = {
    "current": "The arrears are settled; what was paused goes on by itself.",
    "grace": "What runs goes on; new jobs are taken within paid grants only.",
    "suspended": "Jobs beyond paid grants were saved and paused; they go on by themselves once it is paid.",
    "retention": "All jobs were stopped; data is kept for now.",
    "closed": "Data sets, checkpoints and adapters are deleted; invoices are kept as the law wants.",
}


def _tell_arrears_zh(facts: Facts) -> tuple[str, str]:
    state, lines = facts["state"], [AFTER_ZH[facts["state"]]]
    if state != "current":
        lines.insert(0, f"逾期金额 {facts['owed']} 元，账单：{'、'.join(facts['invoices']) or '账户余额'}。")
        lines.append(HOW_ZH.format_map(facts))
    if state == "retention":
        lines.append(f"若未付款，数据将于 {facts['deletion_on']} 删除。")
    elif facts["until"] is not None:
        lines.append(f"若未付款，{facts['until']} 起进入下一阶段。")
    return f"欠费状态：{STATES_ZH[state]}", "".join(lines)


def _tell_arrears_en(facts: Facts) -> tuple[str, str]:
    state, lines = facts["state"], [AFTER_EN[facts["state"]]]
    if state != "current":
        lines.insert(0, f"{facts['owed']} CNY is overdue: {', '.join(facts['invoices']) or 'money below zero'}.")
        lines.append(HOW_EN.format_map(facts))
    if state == "retention":
        lines.append(f"Unpaid, the data is deleted on {facts['deletion_on']}.")
    elif facts["until"] is not None:
        lines.append(f"Unpaid, the next stage begins on {facts['until']}.")
    return f"Arrears: {state}", " ".join(lines)


def _tell_reminder_zh(facts: Facts) -> tuple[str, str]:
    late = f"账单已于 {facts['due_on']} 到期，逾期 {facts['days_overdue']} 天，尚欠 {facts['owed']} 元。"
    return f"催款：账单 {facts['number']}", f"{late}请尽快付款，汇款附言：{facts['reference']}。"


def _tell_reminder_en(facts: Facts) -> tuple[str, str]:
    ago = "1 day" if facts["days_overdue"] == 1 else f"{facts['days_overdue']} days"
    late = f"It was due on {facts['due_on']}, {ago} ago; {facts['owed']} CNY are owed."
    how = f"Please pay it now; reference of the transfer: {facts['reference']}."
    return f"Reminder: invoice {facts['number']}", f"{late} {how}"


TELLINGS: Mapping[str, Telling] = {
    "arrears_changed": Telling(_tell_arrears_zh, _tell_arrears_en),
    "arrears_extended": Telling(
        lambda facts: (
            "付款期限已提前" if facts["kind"] == "shortened" else "付款期限已延长",
            f"付款期限改为 {facts['until']}（含当日）。",
        ),
        lambda facts: (
            "Less time to pay" if facts["kind"] == "shortened" else "More time to pay",
            f"You have until the end of {facts['until']} to pay.",
        ),
    ),
    "invoice_issued": Telling(
        lambda facts: (
            f"新账单 {facts['number']}",
            f"账单金额 {facts['total']} 元，请于 {facts['due_on']} 前付款，汇款附言：{facts['reference']}。",
        ),
        lambda facts: (
            f"Invoice {facts['number']}",
            f"{facts['total']} CNY is due by {facts['due_on']}; reference of the transfer: {facts['reference']}.",
        ),
    ),
    "invoice_reminded": Telling(_tell_reminder_zh, _tell_reminder_en),
    "money_ending": Telling(
        lambda facts: (
            f"余量预警：约 {facts['days_left']} 天",
            f"按近期用量，已付资源包约 {facts['days_left']} 天后用完，请及时购买。",
        ),
        lambda facts: (
            f"What is paid lasts some {facts['days_left']} days",
            f"At the pace of late your paid hours end in about {facts['days_left']} days: buy more in time.",
        ),
    ),
    "grant_expiring": Telling(
        lambda facts: (
            f"资源包 {facts['days']} 天内到期",
            f"资源包 {facts['grant_id']} 将于 {facts['expires_at']} 到期，尚有余量。",
        ),
        lambda facts: (
            f"A grant expires within {facts['days']} days",
            f"Grant {facts['grant_id']} expires at {facts['expires_at']} with something left in it.",
        ),
    ),
    "budget_used": Telling(
        lambda facts: (
            f"预算已使用 {facts['percent']}%",
            f"{facts['month']} 预算 {facts['budget']} 元，已使用 {facts['used']} 元。",
        ),
        lambda facts: (
            f"{facts['percent']}% of the budget is used",
            f"{facts['used']} of {facts['month']}'s budget of {facts['budget']} CNY is used.",
        ),
    ),
    "end_near": Telling(
        lambda facts: (f"合同 {facts['days']} 天内到期", f"合同将于 {facts['ends_at']} 到期。"),
        lambda facts: (f"The contract ends within {facts['days']} days", f"It ends at {facts['ends_at']}."),
    ),
    "payment_credited": Telling(
        lambda facts: ("款项已入账", f"收到 {facts['amount']} 元，已记入账户余额。"),
        lambda facts: ("Your payment came", f"{facts['amount']} CNY came in, and is your credit."),
    ),
    "invoice_voided": Telling(
        lambda facts: (
            f"账单 {facts['number']} 已作废",
            f"原金额 {facts['amount']} 元，无需再支付。原因：{facts['reason']}。",
        ),
        lambda facts: (
            f"Invoice {facts['number']} is void",
            f"Its {facts['amount']} CNY are not to be paid any more: {facts['reason']}.",
        ),
    ),
    "webhook_disabled": Telling(
        lambda facts: (
            f"Webhook 已停用：{facts['name']}",
            f"{facts['url']} {WEBHOOK_ZH[facts['disabled_for']]}，不再发送。修复后请重新启用，并重放错过的事件。",
        ),
        lambda facts: (
            f"Webhook endpoint switched off: {facts['name']}",
            f"{facts['url']} {WEBHOOK_EN[facts['disabled_for']]}: nothing is sent. Enable it, replay what it missed.",
        ),
    ),
    "grant_paid": Telling(
        lambda facts: ("资源包已到账", f"资源包 {facts['grant_id']} 已付款，可以使用。"),
        lambda facts: ("Your hours are there", f"Grant {facts['grant_id']} is paid and can be used."),
    ),
}


def word(happening: Happening, language: Language) -> Words:
    """Word what a contact is told of a happening; which contract it is of stands below."""
    telling = TELLINGS[happening.kind]
    facts = {**happening.facts, "customer_id": happening.customer_id}
    title, body = (telling.zh if language == Language.ZH else telling.en)(facts)
    if happening.contract_id is None:
        return Words(title, body)
    contract = "合同" if language == Language.ZH else "Contract"
    return Words(title, f"{body}\n{contract} {happening.contract_id}")
