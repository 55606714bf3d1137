"""What documents say, in Chinese and in English."""

from enum import StrEnum

from broker.billing.model import LineKind
from broker.ledger.service import Cause
from pricing.usage import Unit


class Language(StrEnum):
    ZH = "zh"
    EN = "en"


WORDS: dict[str, tuple[str, str]] = {
    "title": ("账单", "Invoice"),
    "void": ("作废", "VOID"),
    "number": ("账单编号", "Invoice number"),
    "issued_on": ("出账日期", "Date of issue"),
    "period": ("计费周期", "Billing period"),
    "due_on": ("付款截止日", "Payable until"),
    "issuer": ("开单方", "From"),
    "buyer": ("客户", "Bill to"),
    "tax_number": ("税号", "Tax number"),
    "address": ("地址", "Address"),
    "phone": ("电话", "Telephone"),
    "customer_id": ("客户编号", "Customer id"),
    "contract_number": ("合同编号", "Contract number"),
    "purchase_order": ("采购订单号", "Purchase order"),
    "currency": ("币种", "Currency"),
    "position": ("序号", "No."),
    "item": ("项目", "Item"),
    "quantity": ("数量", "Quantity"),
    "unit": ("单位", "Unit"),
    "list_price": ("目录价", "List price"),
    "price": ("合同价", "Price"),
    "amount": ("金额", "Amount"),
    "no_project": ("未归属项目", "No project"),
    "whole_contract": ("合同级费用", "Of the whole contract"),
    "subtotal": ("小计", "Subtotal"),
    "list_total": ("本期用量目录价", "This usage at list prices"),
    "net": ("不含税金额", "Net amount"),
    "tax": ("税额", "Tax"),
    "total": ("应付合计", "Total"),
    "in_words": ("大写金额", "In words"),
    "payment": ("付款方式", "Payment"),
    "bank": ("开户行", "Bank"),
    "bank_account": ("账号", "Account"),
    "account_name": ("户名", "Account name"),
    "reference": ("汇款附言", "Payment reference"),
    "reference_note": ("汇款时请务必填写附言，以便及时入账。", "Please write the reference into the transfer."),
    "nothing_due": ("本账单无需付款。", "Nothing is to be paid for this invoice."),
    "evidence": ("计量凭据", "Evidence"),
    "evidence_note": (
        "本文件附有计量凭据，可离线核算每一分钱：broker invoices verify",
        "The metered evidence is attached to this file; it proves the total offline: broker invoices verify",
    ),
    "seal": ("凭据校验值", "Seal"),
    "no_fapiao": ("本账单不是发票，发票另行开具。", "This invoice is no fapiao; a fapiao is issued separately."),
    "hours": ("GPU 小时", "GPU-hour"),
    "tokens": ("Token", "token"),
    "job": ("作业", "Job"),
    "of_month": ("所属账期", "of"),
    "credited": ("该行此前已贷记或核销", "credited or written off of that line before"),
    "grant": ("资源包", "grant"),
    "unused": ("未使用", "not used"),
    "overage": ("其中超出资源包", "beyond grants"),
    "page": ("第 {page} 页，共 {pages} 页", "Page {page} of {pages}"),
    "unnamed": ("（未设置 BROKER_ISSUER_NAME）", "(BROKER_ISSUER_NAME is not set)"),
}
KINDS: dict[LineKind, tuple[str, str]] = {
    LineKind.COMMITMENT: ("预付资源包", "Bought in advance"),
    LineKind.USAGE: ("用量", "Usage"),
    LineKind.ADVANCE: ("资源包抵扣", "Paid by a grant"),
    LineKind.CORRECTION: ("往期更正", "Correction of an earlier month"),
    LineKind.TIER_SETTLEMENT: ("阶梯价优惠", "Volume tiers"),
    LineKind.TRUE_UP: ("承诺用量补差", "True-up of the commitment"),
    LineKind.GUARANTEE: ("GPU 保障预留", "Guaranteed GPUs"),
    LineKind.BORNE: ("平台承担，不计费", "Borne by us, not charged"),
    LineKind.TAX: ("增值税", "Tax"),
}
# Why the house bears usage, by the cause that the line tells.
CAUSES: dict[Cause, tuple[str, str]] = {
    Cause.OUT_OF_MEMORY: ("显存估算不足", "memory was estimated too low"),
    Cause.CHECKPOINT_UNUSABLE: ("检查点不可用", "a checkpoint could not be used"),
    Cause.BROKER_REFUSED: ("平台拒绝", "the broker refused the run"),
    Cause.INTERNAL_ERROR: ("平台内部错误", "an error of ours"),
    Cause.LAUNCH_FAILED: ("启动失败", "the run could not be started"),
    Cause.MACHINE_LOST: ("机器故障", "a machine was lost"),
    Cause.PREEMPTED: ("被抢占", "the run was preempted"),
    Cause.NODE_DOWN: ("机器停用", "a machine was taken down"),
    Cause.QUOTA: ("配额下调", "a quota was lowered"),
    Cause.SHUTDOWN: ("平台停机", "the broker was shut down"),
    Cause.CHECKPOINT_LOST: ("检查点未保存", "a checkpoint was not saved"),
    Cause.OVER_PROMISE: ("超出报价承诺", "beyond what was promised"),
}
METERS: dict[Unit, tuple[str, str]] = {
    Unit.GPU_SECONDS: ("GPU 小时", "GPU-hours"),
    Unit.TOKENS: ("训练 Token", "Tokens"),
}


def _choose(pair: tuple[str, str], language: Language) -> str:
    return pair[0] if language == Language.ZH else pair[1]


def list_words(language: Language) -> dict[str, str]:
    """List all words of one language by their names."""
    return {name: _choose(pair, language) for name, pair in WORDS.items()}


def name_cause(cause: str, language: Language) -> str:
    """Name why the house bears something; a cause of another release as it is written."""
    known = {each.value: pair for each, pair in CAUSES.items()}
    return _choose(known[cause], language) if cause in known else cause


def name_line(kind: LineKind, meter: Unit | None, language: Language) -> str:
    """Name what a line is of."""
    name = _choose(KINDS[kind], language)
    if meter is None:
        return name
    what = _choose(METERS[meter], language)
    if kind == LineKind.USAGE:
        return what
    return f"{what}（{name}）" if language == Language.ZH else f"{what} ({name.lower()})"
