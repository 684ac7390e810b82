"""The first administrator, and tokens for the command line."""

import secrets
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.validators import validate_email
from django.db import transaction
from knox.crypto import hash_token
from knox.settings import CONSTANTS

from generation.models import ApiToken
from i2v_site import env

# Long enough that nobody guesses it; knox finds a token by its first characters.
LEAST_TOKEN_CHARS = 32
FIRST_TOKEN_NAME = "First token"  # noqa: S105 (a label)


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstAdministrator:
    """What must be shown once, because only hashes are kept."""

    username: str
    password: str
    token: str


@transaction.atomic
def create_first_administrator() -> FirstAdministrator | None:
    """Make an administrator with a token, unless there is one already (then None).

    ADMIN_USERNAME, ADMIN_EMAIL, ADMIN_PASSWORD and ADMIN_TOKEN from the environment; what is unset is made up.
    Raises ImproperlyConfigured for a value that cannot be used.
    """
    if User.objects.filter(is_superuser=True).exists():
        return None
    username, email = env.text("ADMIN_USERNAME", "admin"), env.text("ADMIN_EMAIL", "admin@example.com")
    password = env.text("ADMIN_PASSWORD") or secrets.token_urlsafe(15)
    try:
        validate_email(email)
        User.username_validator(username)
    except ValidationError as exc:
        raise ImproperlyConfigured(f"ADMIN_USERNAME or ADMIN_EMAIL: {exc.messages[0]}") from exc
    if User.objects.filter(username=username).exists():
        raise ImproperlyConfigured(f"ADMIN_USERNAME: {username} exists already and is no administrator.")
    user = User.objects.create_superuser(username, email, password)
    EmailAddress.objects.create(user=user, email=email, primary=True, verified=True)
    given = env.text("ADMIN_TOKEN")
    token = _keep(user, given) if given else create_token(user=user, name=FIRST_TOKEN_NAME)
    return FirstAdministrator(username=username, password=password, token=token)


@transaction.atomic
def replace_token(*, user: User, name: str) -> str:
    """A new token of that name; earlier ones of the same name stop working."""
    ApiToken.objects.filter(user=user, name=name).delete()
    return create_token(user=user, name=name)


def create_token(*, user: User, name: str) -> str:
    """The token's text, which cannot be read again later."""
    _row, token = ApiToken.objects.create(user=user, name=name)
    return str(token)


def _keep(user: User, token: str) -> str:
    if len(token) < LEAST_TOKEN_CHARS or not token.isascii() or any(char.isspace() for char in token):
        raise ImproperlyConfigured(f"ADMIN_TOKEN needs at least {LEAST_TOKEN_CHARS} letters and digits.")
    row = ApiToken(
        digest=hash_token(token), token_key=token[: CONSTANTS.TOKEN_KEY_LENGTH], user=user, name=FIRST_TOKEN_NAME
    )
    row.save(force_insert=True)
    return token
