"""The check of `make lint` that money is never a float: it finds one where there is one, and there is none."""

from pathlib import Path

import pytest

from tests.exact_money import EXACT, find_floats, find_money_floats, list_faults

LINT = Path(__file__).resolve().parents[1] / "Makefile"


def test_there_is_no_float_money() -> None:
    assert list_faults() == []


def test_lint_asks_for_it() -> None:
    assert "-m tests.exact_money" in LINT.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "source",
    [
        "rate = 0.06",
        "def price(hours: int) -> float: ...",
        "micros = int(float(text))",
        "share: float | None = None",
        "LIMITS: dict[str, float] = {}",
        "total = 1e6 * hours",
    ],
)
def test_float_in_an_exact_module_is_found(source: str) -> None:
    assert list(find_floats(source)) == [1]


def test_asking_whether_a_value_is_a_float_is_how_one_is_refused() -> None:
    assert list(find_floats("if isinstance(value, float | int): raise TypeError")) == []


@pytest.mark.parametrize(
    "source",
    [
        "gpu_cost: float = 0",
        "def bill(*, amount: float) -> None: ...",
        "def compute_price() -> float: ...",
        "shown = float(invoice.total_micros)",
        "self.monthly_budget: float | None = None",
    ],
)
def test_float_that_is_named_for_money_is_found_anywhere(source: str) -> None:
    assert list(find_money_floats(source)) == [1]


def test_floats_of_times_and_sizes_are_let_be() -> None:
    source = "def run(seconds: float, memory_gib: float) -> float: return float(seconds) * 2.5"
    assert list(find_money_floats(source)) == []


def test_planted_float_is_listed_with_its_place(tmp_path: Path) -> None:
    places = {
        "pricing/rates.py": "RATE = 0.5\n",
        "broker/ledger/deep/down.py": "x = float(1)\n",
        "broker/jobs/a.py": "",
    }
    for place, source in places.items():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(source, encoding="utf-8")
    faults = [fault.partition(": ")[0] for fault in list_faults(tmp_path)]
    assert faults == ["broker/ledger/deep/down.py:1", "pricing/rates.py:1"]
    assert any(pattern.startswith("broker/billing/") for pattern in EXACT)
