"""Bytes on one TCP connection, as slowly as the script wants them."""

import asyncio
import contextlib
from collections.abc import Callable

PIECE = 64 * 1024
# Kestrel's send timeout: a peer that cannot take one message in this time is cut off.
SEND_TIMEOUT_S = 120.0


class Pace:
    """Lets bytes of one direction of one connection pass at a given speed."""

    def __init__(self, mbit_per_s: Callable[[], float]) -> None:
        self._mbit_per_s = mbit_per_s
        self._free_at = 0.0

    @property
    def limited(self) -> bool:
        return self._mbit_per_s() > 0

    async def spend(self, size: int) -> None:
        speed = self._mbit_per_s()
        if speed <= 0:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + size * 8 / (speed * 1e6)
        await asyncio.sleep(self._free_at - now)


class Stream:
    """A connection with counted and paced bytes; `abort` cuts it without a goodbye."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        mbit_per_s: Callable[[], float],
        count: Callable[[int, int], None],
    ) -> None:
        self._reader, self._writer, self._count = reader, writer, count
        self._down, self._up = Pace(mbit_per_s), Pace(mbit_per_s)
        self._sending = asyncio.Lock()

    async def read(self) -> bytes:
        """The next bytes; empty at the end, also when the peer vanished."""
        try:
            data = await self._reader.read(PIECE)
        except (ConnectionError, OSError):
            return b""
        self._count(len(data), 0)
        await self._up.spend(len(data))
        return data

    async def write(self, data: bytes) -> None:
        """Raises ConnectionError when the peer is gone or takes nothing for two minutes."""
        async with self._sending:
            for start in range(0, len(data), PIECE) if self._down.limited else (0,):
                piece = data[start : start + PIECE] if self._down.limited else data
                await self._down.spend(len(piece))
                await self._write_piece(piece)

    async def _write_piece(self, piece: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError
        self._writer.write(piece)
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self._writer.drain()
        except TimeoutError:
            self.abort()
            raise ConnectionResetError from None
        self._count(0, len(piece))

    def abort(self) -> None:
        self._writer.transport.abort()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError, OSError):
            await self._writer.wait_closed()
