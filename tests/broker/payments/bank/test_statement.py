"""Statements as banks export them: encodings, layouts, separators, full-width signs, titles above and sums below."""

import pytest

from broker.errors import InvalidRequest
from broker.payments.bank.lines import ReadLine, StatementLine, read_line
from broker.payments.bank.statement import MOST_BYTES, read_statement
from broker.payments.bank.values import read_amount

ICBC = """历史明细,,,,,,,,
账号：1102 0200 0900,,户名：智算科技,,,,,,
交易流水号,交易时间,借贷标志,发生额,币种,对方单位名称,对方账号,附言,摘要
="00000000000012345678",2026-11-05 10:20:30,贷,"12,600.00",人民币,苏州青茶文化有限公司,62220001,RF94INV2026000001,汇款
00000000000012345679,2026-11-06 09:00:00,借,15.00,人民币,工商银行,,,手续费
合计,,,"12,615.00",,,,,
"""
CMB = """# 招商银行交易明细
交易日,交易时间,起息日,交易类型,借方金额,贷方金额,余额,摘要,流水号,用途,收/付方名称,收/付方账号,收/付方开户行名
20261105,102030,20261105,汇入汇款,,2600.00,2600.00,货款,C0012345,RF94INV2026000001,苏州青茶文化有限公司,62220001,工行
20261106,090000,20261106,手续费,1.50,,2598.50,,C0012346,,招商银行,,
"""
CCB = """账号,交易时间,借方发生额（支取）,贷方发生额（收入）,余额,币种,对方户名,对方账号,对方开户机构,备注,交易流水号
3200 1616,20261105 10:20:30,0.00,"２,６００．００",0,人民币元,苏州青茶,62220001,建行,RF94INV2026000001,17-320000001
3200 1616,20261106 10:20:30,0.00,10.00,2610.00,美元,外商,99,,,17-320000002
"""
SIGNED = """日期\t流水号\t金额\t对方名称\t附言
2026年11月5日\tA1\t+2,600.00\t苏州青茶\tRF94INV2026000001
2026/11/06\tA2\t-15\t银行\t
"""
FILES = {"icbc": ICBC, "cmb": CMB, "ccb": CCB, "signed": SIGNED}


def read(content: bytes, layout: str | None = None) -> list[ReadLine]:
    return [read_line(line, "ours") for line in read_statement(content, layout).lines]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk"])
@pytest.mark.parametrize("layout", FILES)
def test_a_statement_is_recognised_and_read(layout: str, encoding: str) -> None:
    content = FILES[layout].encode(encoding)
    assert read_statement(content).layout.name == layout
    came, other = read(content)
    assert came.receipt is not None
    assert came.receipt.amount.format_amount() == ("12600.00" if layout == "icbc" else "2600.00")
    assert came.receipt.value_on.isoformat() == "2026-11-05"
    assert "RF94INV2026000001" in came.receipt.remark
    assert came.receipt.payer.name.startswith("苏州青茶")
    assert other.receipt is None
    assert [fault.field for fault in other.faults] == (["currency"] if layout == "ccb" else [])


def test_cells_lose_what_spreadsheets_put_around_them() -> None:
    first = read(ICBC.encode())[0].receipt
    assert first is not None
    assert (first.serial, first.account) == ("00000000000012345678", "110202000900"), "as it stands above the table"
    account = read(CCB.encode())[0].receipt
    assert account is not None
    assert account.account == "32001616"


def test_a_file_without_a_known_header_is_refused_with_the_columns_that_it_needs() -> None:
    for content in (b"a,b\n1,2\n", b"", b"\xff\xfe\x00\x01", "交易流水号,金额\n1,2".encode()):
        with pytest.raises(InvalidRequest) as refused:
            read_statement(content)
        assert refused.value.errors[0].field == "file"


def test_a_named_layout_is_held_to() -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_statement(CMB.encode(), "ccb")
    assert refused.value.errors[0].field == "file"
    with pytest.raises(InvalidRequest) as unknown:
        read_statement(CMB.encode(), "boc")
    assert unknown.value.errors[0].field == "layout"


def test_a_row_that_is_short_or_wrong_is_told_and_sinks_no_other() -> None:
    spoiled = CMB + "20261107,1,20261107,x,,12.345,0,,C0012347,,x,,\n20261108\n"
    lines = read(spoiled.encode())
    assert [[fault.field for fault in line.faults] for line in lines] == [
        [],
        [],
        ["amount"],
        ["amount", "serial"],
    ]
    assert [line.line.number for line in lines] == [3, 4, 5, 6], "as the file counts its rows"


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1,234.56", 1_234_560_000),
        ("¥12", 12_000_000),
        ("１２．５", 12_500_000),
        ("-", 0),
        ("1,23", None),
        ("1e3", None),
    ],
)
def test_amounts_are_read_as_banks_write_them_or_refused(text: str, micros: int | None) -> None:
    if micros is None:
        with pytest.raises(ValueError, match="is no amount"):
            read_amount(text)
    else:
        assert read_amount(text).micros == micros


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ("cmb", "20261107,1,20261107,冲正,,-2600.00,0,,C9,RF94INV2026000001,青茶,1,"),
        ("cmb", "20261107,1,20261107,冲正,-2600.00,,0,,C9,,青茶,1,"),
        ("icbc", "C9,2026-11-07,贷,-2600.00,人民币,青茶,1,冲正,"),
        ("icbc", "C9,2026-11-07,借,－2600.00,人民币,青茶,1,冲正,"),
    ],
)
def test_a_reversal_is_neither_kept_nor_passed_over_in_silence(layout: str, row: str) -> None:
    *_others, last = read(f"{FILES[layout]}{row}\n".encode())
    (fault,) = last.faults
    assert (fault.field, "冲正" in fault.message) == ("amount", True)


def test_what_is_printed_below_the_table_is_no_line() -> None:
    footer = "打印时间：2026-11-30 10:00:00,,\n以上为全部明细\n总计：借方2笔,,\n"
    for layout, content in FILES.items():
        assert len(read(f"{content}{footer}".encode(), layout)) == 2


@pytest.mark.parametrize("name", ["serial", "payer_account"])
def test_a_number_that_a_spreadsheet_rounded_is_refused(name: str) -> None:
    usual = {"serial": "C1", "payer_account": "1"} | {name: "1.10202E+18"}
    read_one = read_line(StatementLine(1, value_on="2026-11-05", came="1", **usual), "ours")
    assert [fault.field for fault in read_one.faults] == [name]


def test_a_file_that_is_too_large_is_refused_and_not_cut() -> None:
    with pytest.raises(InvalidRequest, match="bytes"):
        read_statement(SIGNED.encode() + b"\n" * MOST_BYTES)


@pytest.mark.parametrize(
    ("fields", "field"), [({"value_on": "0001-01-01"}, "value_on"), ({"came": "1000000000.01"}, "amount")]
)
def test_absurd_days_and_amounts_are_refused(fields: dict[str, str], field: str) -> None:
    """Once a thousand large lines were more than an account holds, and broke the import."""
    usual = {"value_on": "2026-11-05", "came": "1000000000"} | fields
    assert [fault.field for fault in read_line(StatementLine(1, serial="C1", **usual), "ours").faults] == [field]
