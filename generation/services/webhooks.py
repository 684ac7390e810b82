"""Receivers of webhooks, and bringing each notice to them: at least once, signed, tried with back-off."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from generation.errors import TooManyWebhooks, WebhookIsOff
from generation.models import Delivery, DeliveryTry, Notice, WebhookEndpoint
from generation.services import notify, retrying, webhook_calls
from generation.services.secret_box import seal
from generation.services.webhook_calls import Outcome, check_address
from generation.services.webhook_signing import new_secret
from i2v_site.crashpoints import crashpoint
from i2v_site.queue import ring
from i2v_site.sentences import Sentence

MAX_ENDPOINTS = 10
# Two minutes are far more than one call may take; then somebody else makes the next.
HELD = timedelta(minutes=2)
OLD_SECRET_SIGNS = timedelta(hours=24)
OFF_AFTER = timedelta(days=5)
RING_AT_ONCE = 1000

NOTHING_ARRIVED = Sentence(gettext_noop("Nothing arrived for %(days)s days. At last: %(error)s"))

State = Delivery.State


def create_endpoint(
    *, owner: User, url: str, description: str = "", kinds: Sequence[str] = (), enabled: bool = True
) -> tuple[WebhookEndpoint, str]:
    """A new receiver and its secret, which is not shown again. Raises WebhookAddressRefused, TooManyWebhooks."""
    check_address(url)
    secret = new_secret()
    with transaction.atomic():
        # The person's row is the lock: two at once would both count nine.
        User.objects.select_for_update(no_key=True).get(pk=owner.pk)
        if WebhookEndpoint.objects.filter(owner=owner).count() >= MAX_ENDPOINTS:
            raise TooManyWebhooks(
                _("You have %(max_endpoints)s webhooks. Delete one first.") % {"max_endpoints": MAX_ENDPOINTS}
            )
        row = WebhookEndpoint.objects.create(
            owner=owner,
            url=url,
            description=description,
            kinds=list(kinds),
            enabled=enabled,
            secret=seal(secret),
            secret_end=secret[-4:],
        )
    return row, secret


def change_endpoint(*, endpoint: WebhookEndpoint, **values: Any) -> WebhookEndpoint:
    """Change url, description, kinds or enabled. A new address or switching on forgives old trouble."""
    if "url" in values and values["url"] != endpoint.url:
        check_address(values["url"])
        values |= {"failing_since": None, "trouble": ""}
    if values.get("enabled"):
        values |= {"failing_since": None, "trouble": ""}
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(**values)
    endpoint.refresh_from_db()
    return endpoint


def rotate_secret(*, endpoint: WebhookEndpoint) -> str:
    """A new secret, shown once; the one it replaces goes on signing for a day."""
    secret = new_secret()
    # In one statement, so that of two rotations at once the second keeps what the first made.
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        old_secret=F("secret"),
        old_secret_until=timezone.now() + OLD_SECRET_SIGNS,
        secret=seal(secret),
        secret_end=secret[-4:],
    )
    endpoint.refresh_from_db()
    return secret


def send_test(*, endpoint: WebhookEndpoint) -> Delivery:
    """Send a test notice to this receiver alone. Raises WebhookIsOff."""
    _must_be_on(endpoint)
    with transaction.atomic():
        return notify.ping(endpoint)


def replay(*, delivery: Delivery) -> Delivery:
    """Send a notice again, with the same id, now and with all its tries. Raises WebhookIsOff."""
    assert delivery.endpoint is not None  # noqa: S101 (a constraint says so for webhooks)
    _must_be_on(delivery.endpoint)
    with transaction.atomic():
        rows = Delivery.objects.filter(pk=delivery.pk)
        rows.update(state=State.DUE, next_try_at=timezone.now(), tries=0, delivered_at=None)
        ring(notify.DELIVER_TASK, str(delivery.pk))
    delivery.refresh_from_db()
    return delivery


def _must_be_on(endpoint: WebhookEndpoint) -> None:
    if not endpoint.enabled:
        raise WebhookIsOff(_("The webhook is switched off. Switch it on first."))


# --- sending ----------------------------------------------------------------------------------------------------------


def ring_due() -> int:
    """Ask workers to send what is due: failed tries, and what a lost ring or a killed worker left behind."""
    due = Delivery.objects.filter(channel=Delivery.Channel.WEBHOOK, state=State.DUE, next_try_at__lte=timezone.now())
    # The oldest first; the next look rings for the rest.
    ids: list[UUID] = list(due.order_by("next_try_at").values_list("pk", flat=True)[:RING_AT_ONCE])
    with transaction.atomic():
        for pk in ids:
            ring(notify.DELIVER_TASK, str(pk))
    return len(ids)


def deliver(*, delivery_id: str) -> None:
    """Make one try. Safe to run twice or at once: a try holds the row, and what arrived is left alone."""
    now = timezone.now()
    # The end of the hold is also what tells this try from a later one.
    held = now + HELD
    due = Delivery.objects.filter(pk=delivery_id, state=State.DUE, next_try_at__lte=now)
    if not due.update(next_try_at=held, tries=F("tries") + 1):
        return
    row = Delivery.objects.select_related("notice", "endpoint__owner").get(pk=delivery_id)
    endpoint = row.endpoint
    assert endpoint is not None  # noqa: S101 (a constraint says so for webhooks)
    mine = Delivery.objects.filter(pk=row.pk, state=State.DUE, next_try_at=held)
    if not endpoint.enabled:
        mine.update(state=State.GIVEN_UP, next_try_at=None)
        _log(row, Outcome(error="The webhook was switched off."))
        return
    outcome = webhook_calls.call(endpoint, row.notice)
    crashpoint("webhook.sent")
    with transaction.atomic():
        _log(row, outcome)
        if outcome.arrived:
            mine.update(state=State.DELIVERED, next_try_at=None, delivered_at=timezone.now())
            _is_well(endpoint)
        else:
            _failed(row, endpoint, outcome, mine)


def _failed(row: Delivery, endpoint: WebhookEndpoint, outcome: Outcome, mine: Any) -> None:
    again = None if outcome.is_gone else retrying.next_try(row.tries, retry_after=outcome.retry_after)
    mine.update(state=State.DUE if again else State.GIVEN_UP, next_try_at=again)
    rows = WebhookEndpoint.objects.filter(pk=endpoint.pk)
    rows.filter(failing_since=None).update(failing_since=timezone.now())
    rows.filter(enabled=True).update(trouble=outcome.error[:200])
    if outcome.is_gone:
        _switch_off(endpoint, outcome.error)
    elif rows.filter(failing_since__lt=timezone.now() - OFF_AFTER).exists():
        _switch_off(endpoint, NOTHING_ARRIVED(days=OFF_AFTER.days, error=outcome.error))


def _is_well(endpoint: WebhookEndpoint) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True).exclude(failing_since=None, trouble="").update(
        failing_since=None, trouble=""
    )


def _switch_off(endpoint: WebhookEndpoint, why: str) -> None:
    """Call no more, and tell its owner: once, however many deliveries fail together."""
    if not WebhookEndpoint.objects.filter(pk=endpoint.pk, enabled=True).update(enabled=False, trouble=why[:200]):
        return
    since = timezone.now()
    key = f"webhook:{endpoint.pk}:off:{since:%Y%m%dT%H%M%S%f}"
    data = {"webhook_id": str(endpoint.pk), "name": str(endpoint)[:200], "reason": why}
    notify.tell(owner=endpoint.owner, kind=Notice.Kind.SWITCHED_OFF, key=key, data=data)


def _log(row: Delivery, outcome: Outcome) -> None:
    DeliveryTry.objects.create(
        delivery=row, status_code=outcome.status_code, took_ms=outcome.took_ms, error=outcome.error[:200]
    )
