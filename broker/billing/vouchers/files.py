"""Vouchers as files for bookkeeping systems: CSV with a byte order mark, XLSX; heads and summaries in Chinese."""

from collections.abc import Iterator

from broker.billing.documents.workbook import write_workbook
from broker.billing.vouchers.service import VoucherLine, Vouchers
from broker.http.csv_table import write_table

COLUMNS = (
    "凭证字",
    "凭证号",
    "日期",
    "摘要",
    "科目编码",
    "科目名称",
    "借方金额",
    "贷方金额",
    "币种",
    "客户编码",
    "客户名称",
    "合同",
    "合同编号",
    "单据",
)
# What customers wrote, or may have written: no spreadsheet may take it for a formula.
WRITTEN_OUTSIDE = ("客户名称", "合同编号", "科目名称")
VOUCHER_WORD = "记"
SUMMARIES = {
    "advance_invoiced": "开具预付账单",
    "advance_cancelled": "取消预付账单",
    "advance_carried": "资源包余量结转",
    "advance_earned": "预付用量确认收入",
    "advance_returned": "冲回已确认的预付收入",
    "breakage": "过期资源包确认收入",
    "charged_back": "付款被银行拒付",
    "credit_taken_back": "撤回贷项余额抵扣",
    "credit_adjusted": "调整客户余额",
    "credit_used": "客户余额抵扣账单",
    "credited": "贷项通知单",
    "credited_units_left": "已贷记余量转收入",
    "gift_used": "赠送用量",
    "grant_adjusted": "调整资源包",
    "grant_refunded": "资源包退款",
    "kept_taken_back": "撤回收款转客户余额",
    "payment_received": "收到货款",
    "payment_taken_back": "撤回收款核销",
    "receipt_credited": "收到款项",
    "receipt_kept": "收款转客户余额",
    "refund_came_back": "退款被退回",
    "refund_credited": "应退款转客户余额",
    "refund_dropped": "取消退款",
    "refund_requested": "申请退款",
    "refund_return_found": "认领退汇",
    "refund_sent": "支付退款",
    "usage_invoiced": "确认用量收入",
    "written_off": "坏账核销",
}


def write_csv(vouchers: Vouchers) -> bytes:
    """Write the bytes of a CSV file of vouchers."""
    return write_table(COLUMNS, _list_rows(vouchers), names=WRITTEN_OUTSIDE)


def write_xlsx(vouchers: Vouchers) -> bytes:
    """Write the bytes of a workbook of vouchers; a second sheet says what was left out."""
    rows = _list_rows(vouchers)
    notes = describe_left_out(vouchers)
    return write_workbook(f"凭证 {vouchers.month}", COLUMNS, rows, made_at=vouchers.closed_at, notes=notes)


def describe_left_out(vouchers: Vouchers) -> list[str]:
    """Describe what the vouchers are of, and what of the books they leave out."""
    counted = sum(vouchers.left_out.values())
    kinds = "、".join(f"{kind} {count}" for kind, count in sorted(vouchers.left_out.items()))
    left_out = (
        f"{counted} 笔无货币金额的分录(GPU 秒、token、预算、发票备查)未导出:{kinds}" if counted else "没有未导出的分录"
    )
    return [f"会计期间 {vouchers.month},科目表第 {vouchers.chart_version} 版", left_out]


def _list_rows(vouchers: Vouchers) -> Iterator[dict[str, str | int | None]]:
    return (_write_row(line) for line in vouchers.lines)


def _write_row(line: VoucherLine) -> dict[str, str | int | None]:
    summary = SUMMARIES.get(line.summary, line.summary)
    return {
        "凭证字": VOUCHER_WORD,
        "凭证号": line.number,
        "日期": line.day.isoformat(),
        "摘要": f"{summary} {line.reference}" if line.reference else summary,
        "科目编码": line.account.code,
        "科目名称": line.account.name,
        "借方金额": line.debit.format_amount() if line.debit.micros else None,
        "贷方金额": line.credit.format_amount() if line.credit.micros else None,
        "币种": "CNY",
        "客户编码": line.customer_id,
        "客户名称": line.customer,
        "合同": line.contract_id,
        "合同编号": line.contract_number,
        "单据": line.reference,
    }
