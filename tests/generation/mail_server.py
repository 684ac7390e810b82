"""A mail server on a real socket: takes what is sent, or fails as mail servers do."""

import email
import email.policy
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage

_ANSWERS = {b"EHLO": b"250 here", b"HELO": b"250 here", b"MAIL": b"250 ok", b"RCPT": b"250 ok", b"RSET": b"250 ok"}


@dataclass
class MailServer:
    """The mails it took; `refuses` makes it answer every DATA with a temporary failure."""

    port: int = 0
    refuses: bool = False
    mails: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"


@contextmanager
def taking_mail() -> Iterator[MailServer]:
    state = MailServer()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self._say(b"220 test")
            while line := self.rfile.readline():
                verb = line[:4].upper().strip()
                if verb == b"QUIT":
                    return self._say(b"221 bye")
                if verb == b"DATA":
                    self._data()
                else:
                    self._say(_ANSWERS.get(verb, b"502 no"))
            return None

        def _data(self) -> None:
            self._say(b"354 go on")
            content = b""
            while (line := self.rfile.readline()) not in (b".\r\n", b""):
                content += line.removeprefix(b".")
            if state.refuses:
                self._say(b"451 later")
                return
            state.mails.append(email.message_from_bytes(content, policy=email.policy.default))
            self._say(b"250 taken")

        def _say(self, line: bytes) -> None:
            self.wfile.write(line + b"\r\n")

    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        state.port = server.server_address[1]
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield state
        finally:
            server.shutdown()
