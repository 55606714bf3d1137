"""One message of several statements, sent past the driver's cursors: these cost more than the rows that they bring.

A cursor keeps the results for whoever asks for one after the other, and looks whether it should prepare the message,
which it cannot: each statement in it is prepared already. What is sent here, and how its results are waited for, read
and told as errors, are the driver's own functions.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import abc, generators
from psycopg.adapt import Transformer
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult

Row = tuple[Any, ...]
FAILED = frozenset({ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE})


async def send_message(driver: psycopg.AsyncConnection[Row], script: bytes) -> list[list[Row]]:
    """Send statements in one message; returns the rows of each that answers with rows, be it none.

    Raises: psycopg.Error, of the statement that failed; those after it were not executed.
    """
    async with driver.lock:
        driver.pgconn.send_query(script)
        results = await driver.wait(generators.execute(driver.pgconn))
    _refuse_failed(driver, results)
    read = Transformer(driver)
    return [_load_rows(read, result) for result in results if result.status == ExecStatus.TUPLES_OK]


def _refuse_failed(driver: psycopg.AsyncConnection[Row], results: Sequence[PGresult]) -> None:
    for result in results:
        if result.status in FAILED:
            raise psycopg.errors.error_from_result(result, encoding=driver.info.encoding)


def _load_rows(read: abc.Transformer, result: PGresult) -> list[Row]:
    read.set_pgresult(result)
    return read.load_rows(0, result.ntuples, tuple)
