"""What fapiao say beyond what was consumed, as invoices and credit notes show it.

The room of fapiao is above this one: it reads what invoices ask for. So what it knows is handed in (`app.py`).
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import Depends, Request

from broker.work import Work
from pricing.money import Money

ReadDebt = Callable[[Work, str], Awaitable[Money]]


def find_reader(request: Request) -> ReadDebt:
    reader: ReadDebt = request.app.state.read_fapiao_debt
    return reader


FapiaoDebts = Annotated[ReadDebt, Depends(find_reader)]
