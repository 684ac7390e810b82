"""Which addresses may be called. The resolved address is judged, never the text: 127.1 and 0x7f.1 are loopback too."""

import re
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import httpx

Resolver = Callable[[str, int], Sequence[str]]

MAX_URL_CHARS = 2048

# ipaddress.is_private and is_global let a third of the hostile addresses through, so the table is our own.
_DENIED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's host agent
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_ALLOWED_V6 = IPv6Network("2000::/3")
_DENIED_V6 = tuple(
    IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

_SENTENCES = {
    "invalid": "This is not an address we can call: write it like https://example.com:443.",
    "scheme": "Only https addresses can be called; an operator can allow plain http by exact host and port.",
    "port": "This port cannot be called: use 80, 443 or one from 1024 up.",
    "not_public": "This address is not on the public internet; an operator can allow it by its exact host and port.",
    "unknown_host": "This host name cannot be found.",
}
_HOST = re.compile(r"(?!.{254})[a-z0-9_:-]{1,63}(\.[a-z0-9_:-]{1,63})*\.?")
# Backslashes, white space and control characters are what parsers disagree about.
_SUSPECT = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2000-\u200f\u2028-\u202f\u2066-\u2069\ufeff]")


class GuardError(Exception):
    """A call that was refused on our side; `code` for programs, a fixed sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class AddressRefused(GuardError):
    """An address that may not be called. Codes: invalid, scheme, port, not_public, unknown_host."""

    def __init__(self, code: str) -> None:
        super().__init__(code, _SENTENCES[code])


def resolve_with_system(host: str, port: int) -> list[str]:
    """All addresses of `host`, in the order to try them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a guarded client may call.

    `private_hosts`: exact "host:port" ("[::1]:7801" for IPv6), compared as typed without regard to case. They may be
    private, may use any port and may be called without TLS; nothing else may.
    `ports`: the allowed ports; None means 80, 443 and 1024 up.
    `keep_alive`: reuse connections. The address is checked when a connection is made.
    `ssl_context`: None trusts the public authorities.
    """

    private_hosts: frozenset[str] = frozenset()
    ports: frozenset[int] | None = None
    keep_alive: bool = False
    ssl_context: ssl.SSLContext | None = None
    resolve: Resolver = resolve_with_system

    def is_private_host(self, host: str, port: int) -> bool:
        """Whether the operator has named exactly this host and port."""
        text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return text.lower() in {known.lower() for known in self.private_hosts}

    def check_target(self, scheme: str, host: str, port: int) -> None:
        """Raises AddressRefused unless scheme and port are allowed for this host."""
        private = self.is_private_host(host, port)
        if scheme != "https" and not (scheme == "http" and private):
            raise AddressRefused("scheme")
        self.check_port(host, port)

    def check_port(self, host: str, port: int) -> None:
        allowed = port in (80, 443) or 1024 <= port <= 65535 if self.ports is None else port in self.ports
        if not allowed and not self.is_private_host(host, port):
            raise AddressRefused("port")

    def addresses(self, host: str, port: int) -> list[str]:
        """Resolve `host` once; the addresses that may be connected to. Blocks.

        Raises AddressRefused unless every answer is allowed, socket.gaierror when the name service does not answer.
        """
        self.check_port(host, port)
        try:
            found = self.resolve(host, port)
        except socket.gaierror as exc:
            if exc.errno == socket.EAI_AGAIN:
                raise
            raise AddressRefused("unknown_host") from exc
        except UnicodeError as exc:  # a label of more than 63 characters
            raise AddressRefused("invalid") from exc
        if not found:
            raise AddressRefused("unknown_host")
        # One bad answer spoils all: which of them is used is the attacker's choice.
        if not self.is_private_host(host, port) and not all(is_public(address) for address in found):
            raise AddressRefused("not_public")
        return list(found)


def is_public(address: str) -> bool:
    """Whether an address (as text, from a resolver) is one of the public internet's."""
    try:
        judged: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(judged, IPv6Address):
        if judged.ipv4_mapped is None:
            return judged in _ALLOWED_V6 and not any(judged in network for network in _DENIED_V6)
        judged = judged.ipv4_mapped
    return not any(judged in network for network in _DENIED_V4)


def check_syntax(url: str, policy: Policy, *, allow_query: bool = False) -> httpx.URL:
    """The parsed address, as the client will understand it. Looks nothing up. Raises AddressRefused."""
    if len(url) > MAX_URL_CHARS or _SUSPECT.search(url):
        raise AddressRefused("invalid")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as exc:
        raise AddressRefused("invalid") from exc
    host = parsed.raw_host.decode("ascii")
    authority = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    if "://" not in url or "@" in authority or not _HOST.fullmatch(host):
        raise AddressRefused("invalid")
    if not allow_query and ("?" in url or "#" in url):
        raise AddressRefused("invalid")
    policy.check_target(parsed.scheme, host, port_of(parsed))
    return parsed


def check_url(url: str, policy: Policy) -> None:
    """Whether a base address may be saved: syntax, scheme, port, and every address it resolves to now. Blocks.

    Raises AddressRefused. It is checked again at every connection, so a name that moves later gains nothing.
    """
    parsed = check_syntax(url, policy)
    try:
        policy.addresses(parsed.raw_host.decode("ascii"), port_of(parsed))
    except socket.gaierror as exc:
        raise AddressRefused("unknown_host") from exc


def port_of(url: httpx.URL) -> int:
    """The port that will be called; 0 for a scheme without one."""
    return url.port if url.port is not None else {"https": 443, "http": 80}.get(url.scheme, 0)
