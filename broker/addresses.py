"""Which addresses are sent to: public ones, and those of networks that the operator allows. Nothing else is connected.

A name is resolved where it is connected to, all its addresses are checked, and the connection goes to one of those that
were: a name that leads elsewhere the next moment leads nobody into the house.
"""

import asyncio
import contextlib
import socket
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from urllib.parse import urlsplit

import httpcore2

from broker import errors

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

MOST_URL = 500
# Names that are being resolved at once: twice as many as attempts of one process.
MOST_NAMES = 64
# The translation of IPv4 into IPv6, whose last 32 bits are an address to be judged for itself.
NAT64 = IPv6Network("64:ff9b::/96")
# All that is given out of IPv6 as addresses of single machines, but for what documents use; site-local is not of it.
GIVEN_OUT = IPv6Network("2000::/3")
DOCUMENTED = IPv6Network("3fff::/20")


class RefusedAddress(Exception):
    """An address is not one to send to."""


def read_networks(text: str) -> list[Network]:
    """Read networks with commas between, such as `10.0.0.0/8,127.0.0.1/32`. Raises: ValueError."""
    return [ip_network(part.strip()) for part in text.split(",") if part.strip()]


def is_allowed(address: Address, networks: Iterable[Network]) -> bool:
    """Tell whether an address may be sent to: it is public, or of a network that is allowed."""
    inner = find_inner(address)
    if any(each in network for each in {address, inner} for network in networks if each.version == network.version):
        return True
    return is_public(inner)


def find_inner(address: Address) -> Address:
    """Find the IPv4 address that one of IPv6 stands for; every other stands for itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = None if address.teredo is None else address.teredo[1]
    return address.ipv4_mapped or address.sixtofour or teredo or address


def is_public(address: Address) -> bool:
    """Tell whether an address is one of the public internet, and of one machine."""
    if isinstance(address, IPv6Address) and (address not in GIVEN_OUT or address in DOCUMENTED):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def check_url(url: str, networks: Collection[Network]) -> None:
    """Check where a customer's server is, as far as its URL says; its name is resolved when it is sent to.

    Raises: InvalidRequest.
    """
    if not url.isascii() or any(char.isspace() for char in url):
        told = (
            "has characters that no URL has; write a name as xn--…, and others as %…, as a browser's address bar copies"
        )
        raise errors.invalid_field("url", told)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as fault:
        raise errors.invalid_field("url", f"is no URL ({fault}); write one like https://example.com/hooks") from fault
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0:
        raise errors.invalid_field("url", "must be a whole address, such as https://example.com/hooks")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise errors.invalid_field("url", "must have no user, password or fragment: it is shown in lists")
    if parts.scheme == "http" and not networks:
        raise errors.invalid_field("url", "must begin with https://: what is sent must not be read on its way")
    address = find_address(parts.hostname)
    if address is not None and not is_allowed(address, networks):
        raise errors.invalid_field("url", f"names {address}, which is no public address; name one that is")
    if parts.hostname.rstrip(".").lower().endswith("localhost") and not networks:
        raise errors.invalid_field("url", "names this very machine; name a public address")


def find_address(host: str) -> Address | None:
    """Find the address that a host is written as; None for a name."""
    with contextlib.suppress(ValueError):
        return ip_address(host)
    with contextlib.suppress(OSError, UnicodeError):  # as the C library reads them: 2130706433, 0x7f.1, 127.1
        return IPv4Address(socket.inet_aton(host.rstrip(".")))
    return None


@cache
def _open_threads() -> ThreadPoolExecutor:
    """Open the threads that names are resolved in: one whose server never answers keeps a thread beyond its attempt.

    They are others than the event loop's own, in which files are read and written for everybody.
    """
    return ThreadPoolExecutor(MOST_NAMES, thread_name_prefix="webhook-name")


async def resolve(host: str, port: int) -> list[Address]:
    """Resolve a host. Raises: OSError."""
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_open_threads(), ask)
    return list(dict.fromkeys(ip_address(str(sockaddr[0]).partition("%")[0]) for *_family, sockaddr in found))


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to checked addresses alone. Without TLS, only to those of networks that are allowed."""

    def __init__(self, networks: Collection[Network], *, encrypted: bool) -> None:
        self.networks, self.encrypted = networks, encrypted
        self.inner = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (as the library calls it)
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Resolve a host, check all that it leads to, and connect to the first that answers.

        Raises: RefusedAddress; httpcore2.ConnectError, also where the name leads nowhere.
        """
        try:
            addresses = await resolve(host, port)
        except OSError as fault:
            raise httpcore2.ConnectError("its name leads to no address") from fault
        for address in addresses:
            self._check(address)
        failures: list[Exception] = []
        for address in addresses:
            try:
                return await self.inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as failure:
                failures.append(failure)
        raise failures[-1]

    def _check(self, address: Address) -> None:
        if not is_allowed(address, self.networks):
            raise RefusedAddress(f"its name leads to {address}, which is no public address")
        if not self.encrypted and not any(address in each for each in self.networks if each.version == address.version):
            raise RefusedAddress(f"its name leads to {address}: without TLS only allowed networks are sent to")

    async def sleep(self, seconds: float) -> None:
        await self.inner.sleep(seconds)
