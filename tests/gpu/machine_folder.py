"""A folder that stands for a rented machine, a server that hands out files as badly as asked, and one for vast.ai."""

import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

MACHINE = Path(__file__).parents[2] / "gpu" / "machine"
# Everything that the script needs on a machine; aria2c is the one thing that may be missing.
TOOLS = (
    "bash base64 gzip stat df awk sha256sum cut mv rm mkdir chmod dirname basename sleep grep flock curl setsid nohup"
)
TOOLS += " sed python3 seq chown"


def wait_for(look: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"It never came to this: {what}"
        time.sleep(0.02)
    return found


@dataclass(frozen=True)
class File:
    name: str
    content: bytes
    link: str
    folder: str = "diffusion_models/Wan"
    size: int = -1
    sha256: str = ""

    def line(self) -> str:
        size = self.size if self.size >= 0 else len(self.content)
        sha256 = self.sha256 or hashlib.sha256(self.content).hexdigest()
        return "\t".join((self.name, self.folder, str(size), sha256, self.link)) + "\n"


class MachineFolder:
    """Runs gpu/machine/start.sh and switch.py as a machine would, with everything under `root`."""

    def __init__(self, root: Path, downloader: str = "aria2c", **env: str) -> None:
        self.root, self.log = root, root / "container.log"
        self.swarm, self.state = root / "workspace" / "SwarmUI", root / "state"
        self.swarm.mkdir(parents=True, exist_ok=True)
        self.log.touch()
        tools = root / f"with-{downloader}"
        tools.mkdir(exist_ok=True)
        for name in [*TOOLS.split(), *(["aria2c"] if downloader == "aria2c" else [])]:
            found = sys.executable if name == "python3" else shutil.which(name)
            assert found, f"{name} is missing here"
            with suppress(FileExistsError):
                (tools / name).symlink_to(found)
        # Short times: the real ones are minutes.
        self.env = {"PATH": str(tools), "I2V_DIR": str(self.state), "WORKSPACE": str(root / "workspace")} | {
            "I2V_LOG": str(self.log),
            "I2V_WAIT_S": "0.05",
            "I2V_TICK_S": "0.1",
            "I2V_STALL_S": "2",
            "I2V_SPARE_MB": "1",
            **env,
        }
        self.running: list[subprocess.Popen[bytes]] = []

    def give(self, *files: File) -> None:
        packed = gzip.compress("".join(one.line() for one in files).encode())
        self.env |= {"I2V_FILES": base64.b64encode(packed).decode(), "I2V_FILE_COUNT": str(len(files))}

    def start(self, *what: str) -> subprocess.Popen[bytes]:
        command = ["python3", str(MACHINE / "switch.py")]
        if what != ("switch",):
            command = ["bash", str(MACHINE / "start.sh"), *what]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, env=self.env, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        self.running.append(process)
        return process

    def fetch(self, *files: File, seconds: float = 40) -> int:
        self.give(*files)
        return self.start("fetch").wait(seconds)

    def said(self, **wanted: Any) -> list[dict[str, Any]]:
        """The machine-readable lines with these values."""
        lines = [json.loads(text) for text in re.findall(r"^i2v (.*)$", self.log.read_text(), re.MULTILINE)]
        return [one for one in lines if wanted.items() <= one.items()]

    def error(self) -> str:
        return next((str(one["error"]) for one in self.said(step="failed")), "")

    def placed(self) -> dict[str, bytes]:
        models = self.swarm / "Models"
        return {str(p.relative_to(models)): p.read_bytes() for p in models.rglob("*") if p.is_file()}

    def power_off(self) -> None:
        """As a container ends: everything in it at once."""
        for process in self.running:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.running.clear()
        for environ in Path("/proc").glob("[0-9]*/environ"):  # what has a session of its own
            with suppress(OSError):
                if f"I2V_DIR={self.state}\0".encode() in environ.read_bytes():
                    os.kill(int(environ.parent.name), signal.SIGKILL)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # callers that hang up are what these tests are about


@contextmanager
def _serving(handler: type[_Handler]) -> Iterator[str]:
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class FileServer:
    """Hands out `contents` by path, with ranges. What goes wrong is set in the fields below."""

    url: str = ""
    contents: dict[str, bytes] = field(default_factory=dict)
    cut_after: int | None = None  # bytes of an answer, then the connection is closed
    stall_once: bool = False  # the first answer stops half-way and keeps quiet
    bytes_per_s: float | None = None  # of each connection
    statuses: list[int] = field(default_factory=list)  # for the next requests
    requests: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    open_now: dict[str, int] = field(default_factory=dict)
    most_paths: int = 0
    most_of_one: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    gone: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def connection(self, path: str) -> Iterator[None]:
        with self.lock:
            self.open_now[path] = self.open_now.get(path, 0) + 1
            self.most_paths = max(self.most_paths, sum(n > 0 for n in self.open_now.values()))
            self.most_of_one = max(self.most_of_one, self.open_now[path])
        try:
            yield
        finally:
            with self.lock:
                self.open_now[path] -= 1


@contextmanager
def file_server() -> Iterator[FileServer]:
    world = FileServer()

    class Handler(_Handler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            asked = self.headers.get("Range", "")
            with world.lock:
                world.requests.append((path, asked))
                status = world.statuses.pop(0) if world.statuses else 0
            if status:
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            content = world.contents[path]
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
            first = int(match[1]) if match else 0
            last = int(match[2]) if match and match[2] else len(content) - 1
            self.send_response(206 if match else 200)
            self.send_header("Content-Length", str(last - first + 1))
            self.send_header("Accept-Ranges", "bytes")
            if match:
                self.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
            self.end_headers()
            with world.connection(path):
                self.body(content[first : last + 1])

        def body(self, content: bytes) -> None:
            limit = world.cut_after if world.cut_after is not None else len(content)
            if world.stall_once:
                limit, world.stall_once, stall = len(content) // 2, False, True
            else:
                stall = False
            piece = 16384 if world.bytes_per_s is None else max(1024, int(world.bytes_per_s / 20))
            for at in range(0, min(limit, len(content)), piece):
                self.wfile.write(content[at : min(at + piece, limit)])
                world.sent += min(piece, limit - at)
                if world.bytes_per_s:
                    world.gone.wait(piece / world.bytes_per_s)
            self.close_connection = limit < len(content)
            if stall:
                world.gone.wait(60)

    with _serving(Handler) as world.url:
        try:
            yield world
        finally:
            world.gone.set()


@dataclass
class VastApi:
    """Stands for vast.ai where machines destroy themselves; answers with `statuses` in turn (0: hangs up), then 200."""

    url: str = ""
    statuses: list[int] = field(default_factory=list)
    destroys: list[tuple[str, str, float]] = field(default_factory=list)  # path, authorization, when


@contextmanager
def vast_api() -> Iterator[VastApi]:
    world = VastApi()

    class Handler(_Handler):
        def do_DELETE(self) -> None:
            world.destroys.append((self.path, self.headers.get("Authorization", ""), time.monotonic()))
            status = world.statuses.pop(0) if world.statuses else 200
            if status == 0:
                self.close_connection = True
                return
            body = b'{"success": true}'
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with _serving(Handler) as world.url:
        yield world
