"""What the simulated server remembers: sessions, users, renders, traffic."""

import asyncio
import secrets
import uuid
from collections import Counter
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tests.simulators.swarmui.catalogue import Catalogue
from tests.simulators.swarmui.ledger import Ledger
from tests.simulators.swarmui.outputs import OutputStore
from tests.simulators.swarmui.script import Script

if TYPE_CHECKING:
    from tests.simulators.swarmui.backends import BackendPool
    from tests.simulators.swarmui.websocket import WebSocket

T = TypeVar("T")

VERSION = "0.9.8.2.GIT-062407c7"


@dataclass
class User:
    name: str
    next_request: int = 1001

    def take_request_id(self) -> str:
        self.next_request += 1
        return str(self.next_request - 1)


@dataclass(eq=False)
class Claim:
    """One request's hold on its session; `interrupt` is what InterruptAll does to it."""

    tasks: set["asyncio.Task[None]"] = field(default_factory=set)
    interrupted: bool = False

    def interrupt(self) -> None:
        self.interrupted = True
        for task in self.tasks:
            task.cancel()


@dataclass(eq=False)
class Session:
    id: str
    user: User
    waiting_gens: int = 0
    waiting_backends: int = 0
    loading_models: int = 0
    live_gens: int = 0
    claims: set[Claim] = field(default_factory=set)

    def counts(self) -> dict[str, int]:
        names = ("waiting_gens", "loading_models", "waiting_backends", "live_gens")
        return {name: getattr(self, name) for name in names}

    def interrupt(self) -> None:
        for claim in list(self.claims):
            claim.interrupt()


class World:
    def __init__(self, *, script: Script, output: Path) -> None:
        self.script = script
        self.output = output
        self.ledger = Ledger()
        self.catalogue = Catalogue()
        self.sessions: dict[str, Session] = {}
        self.users: dict[str, User] = {}
        self.server_id = str(uuid.uuid4())
        self.calls: Counter[str] = Counter()
        self.bytes_in = self.bytes_out = 0
        self.sockets: set[WebSocket] = set()
        self.settings: dict[str, Any] = {}  # changed by ChangeServerSettings
        self.hashed: set[str] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._kept: set[asyncio.Task[Any]] = set()
        self._encoders = ThreadPoolExecutor(2, thread_name_prefix="swarm-encoder")
        self.outputs = OutputStore(output)
        self.backends: BackendPool

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self.script.time_scale)

    def spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something that outlives the connection that asked for it, but not a restart."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def spawn_forever(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Run something that survives a simulated restart, such as the restart itself."""
        task = self.spawn(work)
        self._tasks.discard(task)
        self._kept.add(task)
        task.add_done_callback(self._kept.discard)
        return task

    async def in_encoder(self, work: Callable[..., T], *arguments: Any) -> T:
        """Two at a time, off the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._encoders, work, *arguments)

    def close(self) -> None:
        self._encoders.shutdown(wait=False, cancel_futures=True)

    def count_bytes(self, received: int, sent: int) -> None:
        self.bytes_in += received
        self.bytes_out += sent

    def user(self, name: str) -> User:
        return self.users.setdefault(name, User(name))

    def new_session(self, user_name: str) -> Session:
        session = Session(secrets.token_hex(20).upper(), self.user(user_name))
        self.sessions[session.id] = session
        return session

    def interrupt(self, session: Session, *, other_sessions: bool) -> None:
        for one in list(self.sessions.values()) if other_sessions else [session]:
            if one.user is session.user:
                one.interrupt()

    def forget_work(self, *, keep_sessions: bool) -> None:
        """What a restart does: jobs and counters are gone, sessions only when they were not persisted."""
        for task in list(self._tasks):
            task.cancel()
        self.server_id = str(uuid.uuid4())
        for user in self.users.values():
            user.next_request = 1001
        old = list(self.sessions.values()) if keep_sessions else []
        self.sessions = {session.id: Session(session.id, session.user) for session in old}
        self.hashed.clear()
        self.outputs.forget_names()
