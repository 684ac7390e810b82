import socket
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import pytest
from AntiSSRF import AntiSSRFPolicy, PolicyConfigOptions  # type: ignore[import-untyped]  # ships no types
from hypothesis import given, settings
from hypothesis import strategies as st
from ssrfguard import DEFAULT_DENIED

from gpu.clients.guarded import AddressRefused, Policy, check_syntax, check_url
from gpu.clients.guarded_addresses import is_public

PUBLIC = "93.184.216.34"
MICROSOFT = AntiSSRFPolicy(PolicyConfigOptions.EXTERNAL_ONLY_LATEST)


def refused_by_an_oracle(address: str) -> bool:
    return DEFAULT_DENIED.classify(address).blocked or not MICROSOFT._is_str_ip_address_connection_allowed(address)


def edges(network: IPv4Network | IPv6Network) -> set[str]:
    first, last = int(network.network_address), int(network.broadcast_address)
    top = 2**network.max_prefixlen - 1
    kind = type(network.network_address)
    return {str(kind(n)) for n in (first - 1, first, (first + last) // 2, last, last + 1) if 0 <= n <= top}


def known_networks() -> list[IPv4Network | IPv6Network]:
    theirs = [block.network for block in DEFAULT_DENIED.blocks]
    return theirs + [ip_network(str(block.get_network())) for block in MICROSOFT.denied_addresses]


def resolving(*answers: str) -> Policy:
    return Policy(resolve=lambda host, port: answers)


def test_what_another_guard_refuses_at_the_edges_of_its_networks_is_refused_here() -> None:
    addresses = set().union(*(edges(network) for network in known_networks()))

    assert len(addresses) > 200
    assert [text for text in addresses if refused_by_an_oracle(text) and is_public(text)] == []


@settings(deadline=None)
@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str))
def test_what_another_guard_refuses_is_refused_here(address: str) -> None:
    assert not (refused_by_an_oracle(address) and is_public(address))


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_an_address_mapped_into_ipv6_is_judged_like_itself(address: object) -> None:
    assert is_public(f"::ffff:{address}") == is_public(str(address))


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700:4700::1111", "2001:4860:4860::8888"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        *("0.0.0.0", "127.0.0.1", "10.1.2.3", "100.100.100.200", "168.63.129.16", "169.254.169.254", "172.31.255.255"),
        *("192.168.1.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0"),
        *("fc00::1", "ff02::1", "64:ff9b::7f00:1", "2002:7f00:1::", "2001::1", "::ffff:10.0.0.1", "fd00:ec2::254"),
        *("::127.0.0.1", "100::1", "5f00::1", "fec0::1", "", "localhost", "127.1", "0x7f.1"),
    ],
)
def test_addresses_that_lead_inside_are_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f.1", "127.1", "0", "0177.0.0.1", "localhost", "127.0.0.1.", "[::1]", "[::ffff:7f00:1]"]
)
def test_spellings_of_loopback_are_refused_by_what_they_resolve_to(host: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        check_url(f"https://{host}/", Policy())

    assert refusal.value.code in ("not_public", "unknown_host", "invalid")


@pytest.mark.parametrize("answers", [(PUBLIC, "127.0.0.1"), ("10.0.0.1", PUBLIC), (PUBLIC, "::1"), (PUBLIC, "rubbish")])
def test_one_bad_answer_among_good_ones_refuses_the_name(answers: tuple[str, ...]) -> None:
    with pytest.raises(AddressRefused, match="not on the public internet"):
        check_url("https://mixed.example", resolving(*answers))


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("", "invalid"),
        ("example.com", "invalid"),
        ("https:example.com", "invalid"),
        ("https:///path", "invalid"),
        ("//example.com", "invalid"),
        ("https://user:secret@example.com", "invalid"),
        ("https://@example.com", "invalid"),
        ("https://127.0.0.1\\@example.com", "invalid"),
        ("https://exa mple.com", "invalid"),
        ("https://example.com\n", "invalid"),
        ("https://example.com\t.evil", "invalid"),
        ("https://example.com/?a=1", "invalid"),
        ("https://example.com/#part", "invalid"),
        ("https://a%2eb/", "invalid"),
        ("https://[fe80::1%25eth0]/", "invalid"),
        ("https://①②⑦.0.0.1/", "invalid"),
        ("https://example.com:99999", "port"),
        ("https://example.com:x", "invalid"),
        ("https://" + "a" * 64 + ".com", "invalid"),
        ("https://example.com/" + "a" * 2048, "invalid"),
        ("http://example.com", "scheme"),
        ("ftp://example.com", "scheme"),
        ("file:///etc/passwd", "invalid"),
        ("javascript://example.com/%0aalert(1)", "scheme"),
        ("gopher://example.com:80", "scheme"),
        ("https://example.com:22", "port"),
        ("https://example.com:0", "port"),
        ("https://example.com:1023", "port"),
    ],
)
def test_an_address_that_may_not_be_saved_is_refused_with_its_reason(url: str, code: str) -> None:
    with pytest.raises(AddressRefused) as refusal:
        check_url(url, resolving(PUBLIC))

    assert refusal.value.code == code


@pytest.mark.parametrize(
    "url",
    ["https://example.com", "https://example.com:8443/swarm/", "HTTPS://EXAMPLE.com:443", "https://münchen.de:80"],
)
def test_a_public_https_address_may_be_saved(url: str) -> None:
    check_url(url, resolving(PUBLIC))


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_either_refused_or_an_https_address_without_tricks(text: str) -> None:
    try:
        parsed = check_syntax("https://" + text, Policy(), allow_query=True)
    except AddressRefused:
        return
    assert (parsed.scheme, parsed.userinfo, "\\" in text, "@" in parsed.host) == ("https", b"", False, False)


def test_a_host_that_the_operator_named_may_be_private_and_without_tls() -> None:
    policy = Policy(private_hosts=frozenset({"GPU.internal:81", "127.0.0.1:7801", "[::1]:7801"}))

    for url in ("http://127.0.0.1:7801", "https://127.0.0.1:7801", "http://[::1]:7801"):
        check_url(url, policy)
    check_syntax("http://gpu.INTERNAL:81", policy)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:7802", "http://127.1:7801", "http://localhost:7801", "http://0:7801"]
)
def test_only_the_exact_host_and_port_is_excused(url: str) -> None:
    with pytest.raises(AddressRefused):
        check_url(url, Policy(private_hosts=frozenset({"127.0.0.1:7801"})))


def test_a_name_that_cannot_be_found_is_refused() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    with pytest.raises(AddressRefused, match="cannot be found"):
        check_url("https://nowhere.example", Policy(resolve=unknown))
    with pytest.raises(AddressRefused, match="cannot be found"):
        check_url("https://nowhere.example", resolving())


def test_the_addresses_are_asked_for_once() -> None:
    asked: list[str] = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append(host)
        return [PUBLIC if len(asked) == 1 else "127.0.0.1"]

    assert Policy(resolve=rebinding).addresses("rebind.example", 443) == [PUBLIC]
    assert [ip_address(PUBLIC).is_global, asked] == [True, ["rebind.example"]]
