"""People's secrets at rest: encrypted with the newest of the operator's keys, opened with any that is still listed."""

from base64 import urlsafe_b64encode

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings


class Unreadable(Exception):
    """The key that encrypted this is not among the operator's any more."""


def seal(text: str) -> str:
    return _box().encrypt(text.encode()).decode("ascii")


def unseal(sealed: str) -> str:
    """Raises Unreadable."""
    try:
        return _box().decrypt(sealed.encode()).decode()
    except InvalidToken as exc:
        raise Unreadable from exc


def _box() -> MultiFernet:
    # What SECRET_KEY encrypted stays readable after FIELD_KEYS has been set.
    texts = [*settings.FIELD_KEYS, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(_key(text)) for text in texts])


def _key(text: str) -> bytes:
    """A key of the right size from any long random text."""
    derive = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"i2v field encryption")
    return urlsafe_b64encode(derive.derive(text.encode()))
