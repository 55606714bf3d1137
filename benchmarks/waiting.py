"""Waiting for what a benchmark has started."""

import time

import httpx2 as httpx

from tests.broker.served import ServedBroker

START_SECONDS = 120.0


def wait_until_answers(url: str) -> None:
    """Wait until a server answers there. Raises: TimeoutError."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            httpx.get(url, timeout=5).raise_for_status()
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError(f"{url} does not answer")


def wait_for_processes(broker: ServedBroker, processes: int) -> None:
    """Wait until so many processes of a broker answer. Raises: TimeoutError."""
    deadline = time.monotonic() + START_SECONDS
    while broker.read_log().count("Application startup complete") < processes:
        if time.monotonic() > deadline:
            raise TimeoutError(broker.read_log())
        time.sleep(0.05)
