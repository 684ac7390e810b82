"""The simulators' HTTP server, with TLS when a context is given: fal's own client speaks nothing else."""

import asyncio
import socket
import ssl

from tests.simulators.swarmui.server import App, Server


class TlsServer(Server):
    def __init__(self, app: App, *, host: str, tls: ssl.SSLContext | None) -> None:
        super().__init__(app, mbit_per_s=lambda: 0.0, count=lambda _received, _sent: None, host=host)
        self._tls = tls

    async def start(self, port: int = 0) -> None:
        self._listener = await asyncio.start_server(
            self._connected,
            self._host,
            port,
            limit=64 * 1024,
            backlog=2048,
            family=socket.AF_INET,
            ssl=self._tls,
        )
        self.port = self._listener.sockets[0].getsockname()[1]
