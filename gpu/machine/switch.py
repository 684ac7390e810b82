"""The dead-man switch of a rented machine: without word from its owner, the machine gives itself back.

Runs on the machine, on the standard library of Python 3.8 or newer; `start.sh` keeps it running. Two clocks, both of
them the kernel's time since boot, which nobody can set: silence (started at boot, started again by every renewal) and
age (never started again). When either has run out it asks vast.ai to destroy this machine, for ever.

    POST /lease    label:issued:milliseconds:hmac    ->  200 {"remaining_s", "age_s", "progress"}

`issued` numbers the renewals (milliseconds by the owner's clock) and must rise; `milliseconds` is what the renewal is
good for, at most the whole silence. 403: not signed by the owner of this machine; 409 {"last"}: not newer than that.

Environment: I2V_LABEL, I2V_LEASE_KEY (hexadecimal), I2V_MAX_AGE_S, I2V_SILENCE_S [600], I2V_LEASE_PORT [7870],
I2V_DIR [/var/lib/i2v], I2V_RETRY_S [5, grows to twelve times as much], I2V_VAST_API [https://console.vast.ai];
from vast.ai: CONTAINER_ID or VAST_CONTAINERLABEL, CONTAINER_API_KEY.
"""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NoReturn

MAX_BODY = 1024
MAX_CALLERS = 32
CALL_TIMEOUT_S = 30


def tell(**what: object) -> None:
    try:
        sys.stdout.write("i2v " + json.dumps(what) + "\n")
        sys.stdout.flush()
    except OSError:
        pass  # a log that cannot be written must not keep the machine alive


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def first_line(path: str) -> str:
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""


class Lease:
    """The two clocks, kept in a file so that a switch that is started again goes on where it was."""

    def __init__(self, folder: str, silence_s: float, max_age_s: float) -> None:
        self._path, self._silence, self._max_age = os.path.join(folder, "lease.json"), silence_s, max_age_s
        self._lock = threading.Lock()
        self._boot = first_line("/proc/sys/kernel/random/boot_id")
        self.last = 0
        self._born, self._until = now(), now() + silence_s
        self._load()
        self.save()

    def _load(self) -> None:
        try:
            with open(self._path) as file:
                kept = json.load(file)
            self.last, same_boot = kept["last"], kept["boot"] == self._boot
            # After a reboot of the host its clock starts at zero: the age goes on, the silence starts again.
            self._born = kept["born"] if same_boot else now() - kept["age"]
            self._until = min(kept["until"], now() + self._silence) if same_boot else self._until
        except (OSError, ValueError, KeyError, TypeError):
            pass  # the first start, or a file cut short by a full disk: the clocks start now

    def save(self) -> None:
        kept = {"boot": self._boot, "born": self._born, "until": self._until, "last": self.last, "age": self.age()}
        try:
            with open(self._path + ".new", "w") as file:
                json.dump(kept, file)
            os.replace(self._path + ".new", self._path)
        except OSError:
            pass  # a full disk must not keep the machine alive, nor end it

    def renew(self, issued: int, milliseconds: int) -> bool:
        """False when a renewal as new as this was seen already."""
        with self._lock:
            if issued <= self.last:
                return False
            self.last = issued
            self._until = now() + min(milliseconds / 1000, self._silence)
            self.save()
            return True

    def age(self) -> float:
        return now() - self._born

    def is_old(self) -> bool:
        return self.age() >= self._max_age

    def remaining(self) -> float:
        return min(self._until - now(), self._max_age - self.age())


def signed_renewal(body: bytes, label: str, key: bytes) -> tuple[int, int] | None:
    """(issued, milliseconds) of a renewal that was signed for this machine, else None."""
    text, _, signature = body.rpartition(b":")
    good = hmac.new(key, text, hashlib.sha256).hexdigest().encode()
    if not hmac.compare_digest(good, signature.strip()):
        return None
    try:
        named, issued, milliseconds = text.decode().rsplit(":", 2)
        return (int(issued), int(milliseconds)) if named == label and int(milliseconds) > 0 else None
    except ValueError:
        return None


class Listener(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int, lease: Lease, label: str, key: bytes, folder: str) -> None:
        super().__init__(("0.0.0.0", port), Handler)  # noqa: S104 (the port is there to be called from outside)
        self.lease, self.label, self.key, self.folder = lease, label, key, folder
        self._seats = threading.BoundedSemaphore(MAX_CALLERS)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._seats.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._seats.release()

    def handle_error(self, *_: object) -> None:
        pass  # a caller that went away

    def progress(self) -> object:
        """What start.sh said last; its first trouble, when there is one."""
        for name in ("failed/line", "progress.json"):
            try:
                with open(os.path.join(self.folder, name)) as file:
                    return json.load(file)
            except (OSError, ValueError):
                continue
        return None


class Handler(BaseHTTPRequestHandler):
    timeout = 5  # a caller that says nothing is sent away
    server_version, sys_version = "switch", ""
    server: Listener

    def do_POST(self) -> None:
        lease, length = self.server.lease, self.headers.get("Content-Length") or ""
        if self.path != "/lease" or not length.isdigit() or not 0 < int(length) <= MAX_BODY:
            return self.answer(404, {})
        renewal = signed_renewal(self.rfile.read(int(length)), self.server.label, self.server.key)
        if renewal is None:
            return self.answer(403, {})
        if not lease.renew(*renewal):
            return self.answer(409, {"last": lease.last})
        news = {"remaining_s": lease.remaining(), "age_s": lease.age(), "progress": self.server.progress()}
        return self.answer(200, news)

    def answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def destroy_once() -> int | str:
    """The HTTP status of one try, or what went wrong, in a word."""
    env = os.environ
    name = env.get("CONTAINER_ID") or env.get("VAST_CONTAINERLABEL") or first_line("/root/.vast_containerlabel")
    key = env.get("CONTAINER_API_KEY") or first_line("/root/.vast_api_key")
    base = (env.get("I2V_VAST_API") or "https://console.vast.ai").rstrip("/")
    url = f"{base}/api/v0/instances/{name[2:] if name.startswith('C.') else name}/"
    headers = {"Authorization": "Bearer " + key, "Content-Type": "application/json"}
    try:
        # The address comes from our own environment.
        request = urllib.request.Request(url, data=b"{}", method="DELETE", headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=CALL_TIMEOUT_S) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as exc:
        return exc.code
    except Exception as exc:
        return type(exc).__name__


def destroy_for_ever(reason: str, retry_s: float) -> NoReturn:
    wait = retry_s
    while True:
        tell(switch="destroying", reason=reason)
        result = destroy_once()
        # While this line can be written the machine is still there, so even a yes is not believed.
        tell(switch="asked", result=result)
        time.sleep(wait)
        wait = min(wait * 1.5, retry_s * 12)


def listen(port: int, lease: Lease, label: str, key: bytes, folder: str) -> None:
    try:
        server = Listener(port, lease, label, key, folder)
    except OSError as exc:
        # Nobody can renew it then: the silence will end the machine, which is right.
        return tell(switch="deaf", reason=str(exc.strerror))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return tell(switch="on", remaining_s=round(lease.remaining(), 1), age_s=round(lease.age(), 1))


def main() -> NoReturn:
    env = os.environ
    folder = env.get("I2V_DIR") or "/var/lib/i2v"
    port, label, key = int(env.get("I2V_LEASE_PORT") or 7870), env["I2V_LABEL"], bytes.fromhex(env["I2V_LEASE_KEY"])
    only = os.open(os.path.join(folder, "switch.lock"), os.O_CREAT | os.O_WRONLY, 0o600)
    fcntl.flock(only, fcntl.LOCK_EX)  # a second one waits for the first to die
    lease = Lease(folder, float(env.get("I2V_SILENCE_S") or 600), float(env["I2V_MAX_AGE_S"]))
    listen(port, lease, label, key, folder)
    while lease.remaining() > 0:
        time.sleep(max(0.05, min(5.0, lease.remaining())))
        lease.save()
    destroy_for_ever("age" if lease.is_old() else "silence", float(env.get("I2V_RETRY_S") or 5))


if __name__ == "__main__":
    main()
