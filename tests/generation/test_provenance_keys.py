"""Who signs our videos: a key made once, or the operator's own."""

import os
import runpy
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.core.exceptions import ImproperlyConfigured
from pytest_django import Settings

from generation import checks
from generation.models import Provider
from generation.services.provenance import SigningFailed, sign, verify
from generation.services.provenance_keys import identity
from tests.generation.test_media import video

PEM = serialization.Encoding.PEM
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


@pytest.fixture(autouse=True)
def signing(settings: Settings, tmp_path: Path) -> None:
    settings.PROVENANCE = True
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    path: Path = video(tmp_path / "v.mp4")
    sign([path], provider=Provider.SWARMUI, model="Wan 2.2")
    return path


RACER = """
import sys, django
django.setup()
from generation.services.provenance_keys import identity
print("ready", flush=True)
sys.stdin.readline()
print(identity().key_pem)
"""


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    environment = os.environ | {"I2V_DATA_DIR": str(tmp_path), "DJANGO_SETTINGS_MODULE": "tests.settings"}
    start = [sys.executable, "-c", RACER]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(start, env=environment, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]
    assert [racer.stdout and racer.stdout.readline() for racer in racers] == ["ready\n"] * 4
    for racer in racers:
        assert racer.stdin
        racer.stdin.write("go\n")
        racer.stdin.flush()
    made = {racer.communicate()[0] for racer in racers}

    assert len(made) == 1
    assert "PRIVATE KEY" in made.pop()
    assert [path.name for path in tmp_path.glob("provenance*")] == ["provenance"]


def test_the_key_is_for_our_eyes_only_and_stays(settings: Settings) -> None:
    first, second = identity(), identity()

    assert first == second
    assert first.key_pem.splitlines()[1] not in repr(first)
    folder = settings.DATA_DIR / "provenance"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, folder / "key.pem")] == [0o700, 0o600]


def operators_pair(key: Key, *, days: int = 30) -> tuple[str, str]:
    """Key and chain as an operator's authority would issue them."""
    authority = ec.generate_private_key(ec.SECP256R1())
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]) for name in ("Studio CA", "Studio")]
    start = datetime.now(UTC) - timedelta(days=2)

    def certificate(subject: x509.Name, public: Any, *, ca: bool) -> str:
        rights = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"), False)
        rights |= {"encipher_only": False, "decipher_only": False, "crl_sign": False}
        made = x509.CertificateBuilder(names[0], subject, public, x509.random_serial_number()).not_valid_before(start)
        made = made.not_valid_after(start + timedelta(days=days))
        made = made.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        made = made.add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, **rights), critical=True)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
        made = made.add_extension(issuer, critical=False)
        if not ca:
            made = made.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        return made.sign(authority, hashes.SHA256()).public_bytes(PEM).decode()

    form = serialization.PrivateFormat.PKCS8
    if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        form = serialization.PrivateFormat.TraditionalOpenSSL  # what `openssl ecparam -genkey` writes
    chain = certificate(names[1], key.public_key(), ca=False) + certificate(names[0], authority.public_key(), ca=True)
    return key.private_bytes(PEM, form, serialization.NoEncryption()).decode(), chain


@pytest.mark.parametrize(
    "make_key",
    [
        lambda: ec.generate_private_key(ec.SECP256R1()),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
        lambda: rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-256", "P-384", "Ed25519", "RSA"],
)
def test_an_operators_own_key_signs(tmp_path: Path, settings: Settings, make_key: Callable[[], Key]) -> None:
    settings.PROVENANCE_KEY, settings.PROVENANCE_CERT = operators_pair(make_key())
    path = video(tmp_path / "v.mp4")
    sign([path], provider=Provider.SWARMUI, model="Wan 2.2")

    marks = verify(path)
    assert (marks.intact, marks.trusted, marks.issuer) == (True, True, "Studio")
    assert not settings.DATA_DIR.exists()


def test_what_another_server_signed_is_intact_but_not_ours(signed: Path, settings: Settings) -> None:
    settings.PROVENANCE_KEY, settings.PROVENANCE_CERT = operators_pair(ec.generate_private_key(ec.SECP256R1()))

    assert (verify(signed).intact, verify(signed).trusted) == (True, False)


def mismatched() -> tuple[str, str]:
    return operators_pair(ed25519.Ed25519PrivateKey.generate())[0], operators_pair(
        ec.generate_private_key(ec.SECP256R1())
    )[1]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (mismatched, "does not belong"),
        (lambda: operators_pair(ed25519.Ed25519PrivateKey.generate(), days=1), "not valid today"),
        (lambda: operators_pair(ec.generate_private_key(ec.SECP256K1())), "must be"),
        (lambda: ("nonsense", "nonsense"), "not PEM"),
    ],
)
def test_a_key_that_cannot_sign_is_refused_with_the_reason(
    signed: Path, settings: Settings, pair: Callable[[], tuple[str, str]], reason: str
) -> None:
    settings.PROVENANCE_KEY, settings.PROVENANCE_CERT = pair()
    before = signed.read_bytes()

    with pytest.raises(SigningFailed, match=reason):
        sign([signed], provider=Provider.SWARMUI, model="Wan 2.2")
    assert signed.read_bytes() == before


def test_a_key_without_certificates_stops_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "key.pem").write_text("a key")
    monkeypatch.setenv("PROVENANCE_KEY_FILE", str(tmp_path / "key.pem"))

    with pytest.raises(ImproperlyConfigured, match="together"):
        runpy.run_path(str(settings.BASE_DIR / "i2v_site" / "settings.py"))


def test_ready_says_why_an_operators_key_cannot_sign(settings: Settings) -> None:
    assert checks.signing() is None
    settings.PROVENANCE_KEY, settings.PROVENANCE_CERT = mismatched()

    assert "does not belong" in str(checks.signing())
