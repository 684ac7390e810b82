"""Who signs our videos: the operator's key and certificates, or a pair made once for this data folder."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from django.conf import settings

# Nothing is timestamped, so a signature counts only as long as its certificate.
VALIDITY = timedelta(days=20 * 365)
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}
_PEM = serialization.Encoding.PEM


class UnusableKey(Exception):
    """Key or certificates cannot sign; the sentence is for the operator."""


@dataclass(frozen=True, slots=True)
class Identity:
    algorithm: str  # C2PA's name: es256, es384, es512, ps256, ed25519
    key_pem: str
    chain_pem: str  # the signer's certificate first
    anchors_pem: str  # the certificates above it

    def __repr__(self) -> str:
        return f"Identity({self.algorithm})"  # a log or an error page must not show the key


def identity() -> Identity:
    """The operator's identity, or our own, made at the first call. Raises UnusableKey, OSError."""
    if settings.PROVENANCE_KEY:
        return _checked(settings.PROVENANCE_KEY, settings.PROVENANCE_CERT)
    folder = settings.DATA_DIR / "provenance"
    if not (folder / "key.pem").exists():
        _make(folder)
    return _checked((folder / "key.pem").read_text(), (folder / "chain.pem").read_text())


def _checked(key_pem: str, chain_pem: str) -> Identity:
    try:
        key = serialization.load_pem_private_key(key_pem.encode(), password=None)
        chain = x509.load_pem_x509_certificates(chain_pem.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        raise UnusableKey(
            "The key or the certificates are not PEM files that can be read, or need a password."
        ) from exc
    if chain[0].public_key() != key.public_key():
        raise UnusableKey("The first certificate does not belong to the key.")
    if not chain[0].not_valid_before_utc <= datetime.now(UTC) < chain[0].not_valid_after_utc:
        raise UnusableKey("The certificate is not valid today.")
    # The signer reads only this form of a key.
    key_pem = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    above = "".join(_text(certificate) for certificate in chain[1:])
    return Identity(_algorithm(key), key_pem, "".join(map(_text, chain)), above)


def _algorithm(key: object) -> str:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    if isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048:
        return "ps256"
    raise UnusableKey("The key must be Ed25519, an elliptic curve P-256, P-384 or P-521, or RSA of 2048 bits or more.")


def _text(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(_PEM).decode()


def _make(folder: Path) -> None:
    """Put a new key and its chain into `folder`, both at once, or leave there what another process was first with."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix="provenance.", dir=folder.parent))  # only for us: 0700
    try:
        key_pem, chain_pem = _self_made()
        for name, text in (("key.pem", key_pem), ("chain.pem", chain_pem)):
            with os.fdopen(os.open(new / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        try:
            new.rename(folder)  # fails when `folder` holds something
        except OSError:
            if not (folder / "key.pem").exists():
                raise
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _self_made() -> tuple[str, str]:
    """Key and chain. The authority's own key is forgotten: nobody can sign a second certificate with it."""
    authority, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name, name = _name("Image to Video, made on this server"), _name("Image to Video")
    root = (
        _certificate(root_name, root_name, authority.public_key(), authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    leaf = (
        _certificate(name, root_name, signer.public_key(), authority.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        # C2PA wants a purpose, and takes only a few without settings at the reader's end; this is the usual one.
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
    )
    key_pem = signer.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()
    return key_pem, "".join(_text(made.sign(authority, hashes.SHA256())) for made in (leaf, root))


def _name(common_name: str) -> x509.Name:
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Image to Video (self-signed)")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, signed_by: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signed_by)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(issuer_id, critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
