"""Small servers on real sockets for tests of what goes over the wire, with TLS from an authority made on the spot."""

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Handler = Callable[[socket.socket, bytes], None]


@dataclass
class Wire:
    """A running server: where it is, and the heads of the requests it got."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def serve(handler: Handler, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[Wire]:
    """Call `handler(connection, request_head)` in a thread for every connection; its exceptions end that connection."""
    listener = socket.create_server((address, 0))
    wire = Wire(port=listener.getsockname()[1])

    def answer(connection: socket.socket) -> None:
        try:
            with tls.wrap_socket(connection, server_side=True) if tls else connection as stream:
                head = b""
                while b"\r\n\r\n" not in head and (data := stream.recv(65536)):
                    head += data
                wire.requests.append(head)
                handler(stream, head)
        except OSError:
            pass

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield wire
    finally:
        listener.close()


def reply(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> Handler:
    """A handler that sends one fixed answer; header names are written with underscores."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    answer = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    return lambda connection, _: connection.sendall(answer)


@dataclass(frozen=True)
class Authority:
    """A certificate authority, and a server certificate that it signed."""

    ca_file: Path
    server: ssl.SSLContext
    client: ssl.SSLContext


def authority(folder: Path, *names: str) -> Authority:
    """Make an authority and a server certificate for `names` (host names or addresses) in `folder`."""
    ca_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    ca = (
        _certificate(subject, subject, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    server = (
        _certificate(subject, x509.Name([]), server_key)
        .add_extension(x509.SubjectAlternativeName([_name(text) for text in names]), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    ca_file, chain = folder / "ca.pem", folder / "server.pem"
    ca_file.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = server_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + server.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return Authority(ca_file, context, ssl.create_default_context(cafile=str(ca_file)))


def _certificate(issuer: x509.Name, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
    )


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)
