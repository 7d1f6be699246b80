"""Fetches images that requests name by URL, and lets no request reach into the operator's own network.

Every address a host name resolves to must be public, and the connection goes to the very address that was checked,
so a name that resolves differently the second time gains nothing. Redirects pass the same checks.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Protocol

import httpx

from mingmu.core.errors import FetchFailed, ForbiddenUrl
from mingmu.serve.bodies import Take
from mingmu.settings import Settings

Resolve = Callable[[str, int], Awaitable[list[str]]]

PORTS = (80, 443)
AT_ONCE = 8  # fetches that run at the same time, so that nobody uses the service to flood others
HEADERS = {"accept": "image/*", "accept-encoding": "identity", "user-agent": "mingmu"}
GLOBAL_UNICAST = IPv6Network("2000::/3")
NAT64 = IPv6Network("64:ff9b::/96")


class Fetch(Protocol):
    """Something that gets an image by its URL."""

    async def __call__(self, url: str, take: Take) -> bytes: ...


class Fetcher:
    """Gets images over http and https. `resolve` and `transport` stand in for the network in tests."""

    def __init__(self, settings: Settings, resolve: Resolve | None = None, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._resolve = resolve or addresses_of
        self._transport = transport
        self._free = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, url: str, take: Take) -> bytes:
        """The bytes behind a URL; `take` is told of them as they come. Raises ForbiddenUrl, FetchFailed, QueueFull."""
        if not self._settings.fetch_urls:
            raise ForbiddenUrl("images by URL are switched off; send the image itself (settings: fetch_urls)")
        limit = self._settings.fetch_timeout
        try:
            async with asyncio.timeout(limit), self._free, self._client() as client:
                return await self._follow(client, url, take)
        except TimeoutError:
            raise FetchFailed(f"the image did not arrive within {limit:g} s (settings: fetch_timeout)") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise FetchFailed(f"the image could not be fetched: {type(error).__name__}") from error

    def _client(self) -> httpx.AsyncClient:
        """A client for one fetch: kept connections would be found by address, whatever name they were made for."""
        return httpx.AsyncClient(transport=self._transport, verify=self._tls, trust_env=False, timeout=None, headers=HEADERS)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        return httpx.create_ssl_context(trust_env=False)

    async def _follow(self, client: httpx.AsyncClient, address: str, take: Take) -> bytes:
        url = parse(address)
        for _ in range(self._settings.fetch_redirects + 1):
            response = await self._get(client, url)
            try:
                if not response.has_redirect_location:
                    return await self._read(response, take)
            finally:
                await response.aclose()
            url = parse(str(url.join(response.headers["location"])))
        raise FetchFailed(f"more than {self._settings.fetch_redirects} redirects (settings: fetch_redirects)")

    async def _get(self, client: httpx.AsyncClient, url: httpx.URL) -> httpx.Response:
        """Ask one of the addresses of the URL's host, all of which must be public."""
        port = url.port or (443 if url.scheme == "https" else 80)
        addresses = await self._resolve(url.host, port)
        if not all(is_public(address) for address in addresses):
            raise ForbiddenUrl(f"{url.host} is not a public address")
        for address in addresses:
            request = client.build_request(
                "GET",
                url.copy_with(host=address),
                headers={"host": url.netloc.decode()},
                extensions={"sni_hostname": url.raw_host.decode()},
            )
            try:
                return await client.send(request, stream=True)
            except httpx.ConnectError:
                continue
        raise FetchFailed(f"{url.host} cannot be reached")

    async def _read(self, response: httpx.Response, take: Take) -> bytes:
        if response.status_code != 200:
            raise FetchFailed(f"the URL answered {response.status_code}")
        media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not media_type.startswith("image/") and media_type != "application/octet-stream":
            raise FetchFailed(f"the URL gave {media_type[:100] or 'no content type'!r}, not an image")
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            raise FetchFailed("the URL gave compressed content although that was not asked for")
        body = bytearray()
        async for chunk in response.aiter_raw():
            if len(body) + len(chunk) > self._settings.max_image_bytes:
                raise FetchFailed(f"the image is larger than {self._settings.max_image_bytes} bytes (settings: max_image_bytes)")
            take(len(chunk))
            body += chunk
        return bytes(body)


def parse(address: str) -> httpx.URL:
    """A URL that may be asked for; raises ForbiddenUrl for schemes, credentials and ports that are not allowed."""
    try:
        url = httpx.URL(address)
        host = url.host  # decodes it
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ForbiddenUrl(f"not a URL: {error}") from None
    if url.scheme not in ("http", "https") or not host:
        raise ForbiddenUrl("only http and https URLs are fetched")
    if url.userinfo:
        raise ForbiddenUrl("URLs with a user name or password are not fetched")
    if url.port not in (None, *PORTS):
        raise ForbiddenUrl(f"port {url.port} is not allowed; images are fetched from ports 80 and 443")
    return url


async def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a host name, as the system resolves it; raises FetchFailed."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
    except (OSError, UnicodeError):
        raise FetchFailed(f"{host[:300]} cannot be resolved") from None
    return [str(address[0]) for *_, address in found]


def is_public(address: str) -> bool:
    """Whether an address belongs to the public internet; addresses that carry an IPv4 address are judged by that too."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, IPv4Address):
        return ip.is_global and not ip.is_multicast
    inside = _carried(ip)
    if inside is not None:
        return all(is_public(str(each)) for each in inside)
    return ip in GLOBAL_UNICAST and ip.is_global and not ip.is_multicast


def _carried(ip: IPv6Address) -> tuple[IPv4Address, ...] | None:
    """The IPv4 addresses inside an IPv6 address: mapped, 6to4, Teredo (server and client), NAT64."""
    if ip.ipv4_mapped:
        return (ip.ipv4_mapped,)
    if ip.sixtofour:
        return (ip.sixtofour,)
    if ip.teredo:
        return ip.teredo
    if ip in NAT64:
        return (IPv4Address(int(ip) & 0xFFFFFFFF),)
    return None
