"""Sends to webhooks' endpoints. Implements :class:`services.api.ports.Endpoint`."""

import asyncio
import socket
import ssl
from collections import OrderedDict
from collections.abc import Mapping

import httpx

from services.api.core.target import Target, choose, parse_target
from services.common.errors import SwitchError, Unavailable

# Standard Webhooks: an endpoint answers within 15 to 30 seconds.
_TIMEOUT_S = 15.0
_MOST_CLIENTS = 256
_MOST_READ = 64 * 1024


class Refused(SwitchError):
    """The endpoint is no place we may send to."""


class HttpEndpoint:
    """Looks a name up once, judges the address, and connects to that very address.

    One client per scheme, name and port: connections are reused, and never for another name that
    happens to share the address.
    """

    def __init__(self, verify: ssl.SSLContext | None = None) -> None:
        self._verify = verify if verify is not None else ssl.create_default_context()
        self._clients: OrderedDict[tuple[str, str, int], httpx.AsyncClient] = OrderedDict()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, allow_private: bool
    ) -> int:
        """See :meth:`services.api.ports.Endpoint.post`."""
        try:
            target = parse_target(url)
        except ValueError as error:
            raise Refused(str(error)) from error
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                address = choose(await _resolve(target), allow_private=allow_private)
                if address is None:
                    raise Refused(f"{target.host} is not on the public Internet")
                return await self._send(target, address, headers, body)
        except (OSError, httpx.TransportError, httpx.InvalidURL) as error:
            raise Unavailable(f"{target.host} ({type(error).__name__}: {error})"[:300]) from error

    async def close(self) -> None:
        """Drop all connections."""
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()

    async def _send(
        self, target: Target, address: str, headers: Mapping[str, str], body: bytes
    ) -> int:
        client = await self._client(target)
        request = client.build_request(
            "POST",
            target.at(address),
            headers={**headers, "host": target.authority, "content-type": "application/json"},
            content=body,
            extensions={"sni_hostname": target.host},
        )
        response = await client.send(request, stream=True)
        try:
            read = 0
            # A short answer is read so that the connection can be used again; a long one is cut.
            async for chunk in response.aiter_raw():
                read += len(chunk)
                if read > _MOST_READ:
                    break
        finally:
            await response.aclose()
        return response.status_code

    async def _client(self, target: Target) -> httpx.AsyncClient:
        key = (target.scheme, target.host, target.port)
        client = self._clients.pop(key, None)
        if client is None:
            client = httpx.AsyncClient(
                verify=self._verify,
                trust_env=False,  # a proxy would look the name up again
                follow_redirects=False,
                timeout=_TIMEOUT_S,
                limits=httpx.Limits(max_connections=8, max_keepalive_connections=4),
                headers={"user-agent": "Tandem-Webhooks/1"},
            )
        self._clients[key] = client
        if len(self._clients) > _MOST_CLIENTS:
            _, oldest = self._clients.popitem(last=False)
            await oldest.aclose()
        return client


async def _resolve(target: Target) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(
        target.host, target.port, type=socket.SOCK_STREAM
    )
    return [str(address[0]) for *_, address in found]
