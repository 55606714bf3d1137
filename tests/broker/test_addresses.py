"""Nothing inside the house is reached by a webhook: neither by its URL, nor by a name, nor by a redirect."""

import asyncio
import socket
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import Any

import pytest

from broker import addresses, errors
from broker.addresses import check_url, is_allowed, read_networks
from broker.webhooks import sender
from broker.webhooks.sender import MOST_ANSWER_BYTES, HttpSender, read_retry_after
from tests.broker.webhooks.receivers import open_receiver

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
LOOPBACK = read_networks("127.0.0.1/32")


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fc00::1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::1",
        "2001:db8::1",
        "fec0::1",
        "3fff::1",
        "::7f00:1",
        "64:ff9b:1::a00:1",
    ],
)
def test_addresses_of_no_public_machine_are_refused(address: str) -> None:
    assert not is_allowed(ip_address(address), [])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"])
def test_public_addresses_are_sent_to(address: str) -> None:
    assert is_allowed(ip_address(address), [])


def test_a_network_that_is_allowed_is_sent_to_and_no_other() -> None:
    networks = read_networks("10.0.0.0/8, fd00::/8")
    assert [
        is_allowed(ip_address(each), networks) for each in ("10.9.9.9", "::ffff:10.9.9.9", "fd00::1", "127.0.0.1")
    ] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("ftp://example.com/", "whole address"),
        ("https:///hooks", "whole address"),
        ("https://user:pass@example.com/", "no user"),
        ("http://example.com/", "https://"),
        ("https://127.0.0.1/", "no public address"),
        ("https://[::1]:8000/", "no public address"),
        ("https://localhost/", "this very machine"),
        ("https://example.com:99999/", "no URL"),
        ("https://2130706433/", "no public address"),
        ("https://0x7f.1/", "no public address"),
        ("https://127.1./", "no public address"),
        ("https://münchen.example/", "xn--"),
        ("https://example.com/a b", "%"),
    ],
)
def test_a_url_that_leads_into_the_house_is_refused_with_the_reason(url: str, words: str) -> None:
    with pytest.raises(errors.InvalidRequest) as refused:
        check_url(url, [])
    assert words in str(refused.value)


async def test_a_name_that_leads_into_the_house_is_not_connected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[Any]:
        return [ip_address("93.184.216.34"), ip_address("127.0.0.1")]

    monkeypatch.setattr(addresses, "resolve", resolve)
    async with open_receiver() as receiver:
        url = f"https://hooks.example.com:{receiver.port}/"
        answer = await HttpSender([]).post(url, {}, b"{}", NOW)
    assert (answer.status_code, answer.error) == (
        None,
        "its name leads to 127.0.0.1, which is no public address",
    )
    assert receiver.got == []


async def test_names_that_nobody_resolves_keep_no_thread_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_kwargs: released.wait() and [])
    silent = [asyncio.create_task(addresses.resolve("silent.example.com", 443)) for _each in range(40)]
    try:
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(lambda: "read") == "read"
    finally:
        released.set()
    assert await asyncio.gather(*silent) == [[]] * 40


async def test_without_tls_public_addresses_are_not_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int) -> list[Any]:
        return [ip_address("93.184.216.34")]

    monkeypatch.setattr(addresses, "resolve", resolve)
    answer = await HttpSender(LOOPBACK).post("http://hooks.example.com/", {}, b"{}", NOW)
    assert "without TLS only allowed networks" in (answer.error or "")


async def test_a_redirect_is_not_followed() -> None:
    moved = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with open_receiver(moved) as receiver:
        answer = await HttpSender(LOOPBACK).post(receiver.url, {}, b"{}", NOW)
    assert (answer.status_code, answer.is_taken, len(receiver.got)) == (307, False, 1)
    assert "no redirect is followed" in (answer.error or "")


async def test_of_a_long_answer_the_beginning_is_read() -> None:
    body = b"x" * 10_000_000
    async with open_receiver(b"HTTP/1.1 500 Oops\r\ncontent-length: 10000000\r\n\r\n" + body) as receiver:
        answer = await HttpSender(LOOPBACK).post(receiver.url, {}, b"{}", NOW)
    assert (answer.status_code, answer.text) == (500, "x" * MOST_ANSWER_BYTES)


async def test_a_status_counts_though_its_body_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """A past fault: what was taken, and said so, counted as failed and came ten times."""
    monkeypatch.setattr(sender, "LONGEST_READING_SECONDS", 0.1)
    async with open_receiver(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\ndrip", drips=True) as receiver:
        answer = await HttpSender(LOOPBACK).post(receiver.url, {}, b"{}", NOW)
    assert (answer.is_taken, answer.text, answer.error) == (True, "drip", None)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf", "no HTTP"),
        (b"garbage\r\n\r\n", "no HTTP"),
        (b"", "no HTTP"),
    ],
    ids=["cut short", "garbage", "nothing"],
)
async def test_an_answer_that_is_none_is_told(sent: bytes, words: str) -> None:
    async with open_receiver(sent) as receiver:
        answer = await HttpSender(LOOPBACK).post(receiver.url, {}, b"{}", NOW)
    assert (answer.is_taken, words in (answer.error or "")) == (False, True)


async def test_one_that_is_away_or_silent_is_told_in_bounded_time() -> None:
    async with open_receiver() as receiver:
        url = receiver.url
    assert "no connection" in ((await HttpSender(LOOPBACK).post(url, {}, b"{}", NOW)).error or "")
    async with open_receiver(None) as receiver:
        answer = await HttpSender(LOOPBACK, longest_seconds=0.2).post(receiver.url, {}, b"{}", NOW)
    assert answer.error == "it did not answer within 0.2 s"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"120", 120), (b"Tue, 24 Nov 2026 10:01:00 GMT", 60), (b"soon", 0), (None, 0), (b"-5", 0)],
)
def test_retry_after_is_read_in_seconds_and_as_a_date(value: bytes | None, seconds: int) -> None:
    assert read_retry_after(value, NOW) == timedelta(seconds=seconds)
