"""Where a person's mail goes."""

from allauth.account.models import EmailAddress
from django.conf import settings
from django.contrib.auth.models import User


def mail_address(person: User) -> str:
    """The address that may be written to, or "".

    An address that somebody typed and nobody confirmed may be a stranger's, so it gets nothing, unless the operator
    asks for no confirmation at all. Accounts made by the operator have no such record and are trusted.
    """
    if not person.email or not person.is_active:
        return ""
    if settings.ACCOUNT_EMAIL_VERIFICATION == "none":
        return person.email
    unconfirmed = EmailAddress.objects.filter(user=person, email__iexact=person.email, verified=False)
    return "" if unconfirmed.exists() else person.email
