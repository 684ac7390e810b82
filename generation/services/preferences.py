"""What a person has settled once. A person without a row has the defaults."""

from typing import Any

from django.contrib.auth.models import User
from django.core import signing

from generation.models import Preferences

_SALT = "generation.mail_off"


class BadToken(Exception):
    """Not a link that we sent."""


def preferences_of(person: User) -> Preferences:
    """The saved row, or an unsaved one with the defaults. A token's person comes with theirs: then nothing is asked."""
    if User.preferences.is_cached(person):
        saved = getattr(person, "preferences", None)
    else:
        saved = Preferences.objects.filter(person=person).first()
    return saved or Preferences(person=person)


def change_preferences(*, person: User, **values: Any) -> Preferences:
    """Set `rule`, `mail` and `visible_label`, or some of them."""
    row, _ = Preferences.objects.update_or_create(person=person, defaults=values)
    return row


def mail_off_token(person_id: int) -> str:
    """What stands in the link that ends mail without signing in. It can do nothing else, and never expires."""
    return signing.dumps(person_id, salt=_SALT)


def person_of_token(token: str) -> User:
    """Whose mail this link ends. Raises BadToken."""
    try:
        return User.objects.get(pk=signing.loads(token, salt=_SALT))
    except (signing.BadSignature, User.DoesNotExist, ValueError, TypeError) as exc:
        raise BadToken from exc


def switch_mail_off(token: str) -> None:
    """Raises BadToken."""
    change_preferences(person=person_of_token(token), mail=Preferences.Mail.OFF)
