"""The server's end of one WebSocket: whole text messages, .NET's closing manners."""

import asyncio

from websockets.exceptions import ProtocolError
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.simulators.swarmui.messages import Request
from tests.simulators.swarmui.stream import Stream

CLOSE_TIMEOUT_S = 60.0
PONG_INTERVAL_S = 30.0


class WebSocket:
    """Created after the handshake. Messages are queued while nobody receives."""

    def __init__(self, stream: Stream, protocol: ServerProtocol, request: Request) -> None:
        self.request = request
        self._stream, self._protocol = stream, protocol
        self._inbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._fragments: list[bytes] = []
        self._gone = asyncio.Event()
        self.closed_by_us = False

    @property
    def open(self) -> bool:
        return not self._gone.is_set() and self._protocol.state is OPEN

    async def run_reader(self) -> None:
        """Feed the inbox until the peer closes or vanishes."""
        try:
            while not self._gone.is_set():
                self._take_frames()
                await self._answer_peer()
                data = await self._stream.read()
                if not data:
                    break
                self._protocol.receive_data(data)
        except (ConnectionError, ProtocolError):
            pass
        finally:
            self._gone.set()
            self._inbox.put_nowait(None)

    async def run_pongs(self) -> None:
        # .NET 8's keep-alive is an unsolicited pong, never a ping.
        while self.open:
            await asyncio.sleep(PONG_INTERVAL_S)
            if self.open:
                self._protocol.send_pong(b"")
                await self._answer_peer()

    async def receive(self) -> str | None:
        """The next text message; None when there will be no more."""
        message = await self._inbox.get()
        if message is None:
            self._inbox.put_nowait(None)
        return message

    async def send(self, text: str) -> bool:
        """False when the peer is gone or closing; nothing is raised."""
        if not self.open:
            return False
        self._protocol.send_text(text.encode())
        return await self._flush()

    async def close(self) -> None:
        """Close 1000 with an empty reason, then wait up to a minute for the peer's Close."""
        self.closed_by_us = True
        if self._protocol.state is OPEN:
            self._protocol.send_close(1000)
        await self._flush()
        if self._protocol.close_rcvd is not None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._gone.wait()
        except TimeoutError:
            pass

    def abort(self) -> None:
        self._gone.set()
        self._stream.abort()

    async def _answer_peer(self) -> None:
        # A polite Close is answered only when the job is over: SwarmUI stays in its send loop until then.
        if self._protocol.close_rcvd is not None and not self.closed_by_us:
            self._inbox.put_nowait(None)
            return
        await self._flush()
        if self._protocol.close_expected():
            self._gone.set()

    async def _flush(self) -> bool:
        try:
            for data in self._protocol.data_to_send():
                if data:
                    await self._stream.write(data)
        except ConnectionError:
            self._gone.set()
            return False
        return True

    def _take_frames(self) -> None:
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._fragments.append(bytes(frame.data))
                if frame.fin:
                    self._inbox.put_nowait(b"".join(self._fragments).decode("utf-8", "replace"))
                    self._fragments.clear()
