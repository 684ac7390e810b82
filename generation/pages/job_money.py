"""What the page of a video says of its price, of what was really used, and of the final that a draft can become."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from generation.models import Attempt, Provider, Status, VideoJob
from generation.services.drafts import Final, finals, is_draft
from generation.services.history import busy_seconds
from i2v_site.errors import DomainError

HOUR_S = 3600
# Above this a click asks once more.
ASK_ABOVE_USD = Decimal("0.25")


@dataclass(frozen=True, slots=True)
class Bill:
    """The price of one video. `share_usd` is None where there is no such part; amounts are US dollars."""

    usd: Decimal
    direct_usd: Decimal
    share_usd: Decimal | None
    usd_per_hour: Decimal | None  # of the machine
    not_charged_usd: Decimal  # what it cost above what was promised
    is_final: bool
    promised_usd: Decimal
    cloud: bool
    took_s: float
    paid_for: str

    @property
    def is_free(self) -> bool:
        return not self.usd and not self.promised_usd


def bill_of(job: VideoJob, attempt: Attempt | None) -> Bill:
    """`attempt` is the last one, if there was any."""
    took_s = busy_seconds(attempt.timings) if attempt else 0.0
    cloud = job.model.provider == Provider.FAL
    rented = attempt is not None and attempt.machine is not None
    return Bill(
        usd=job.cost_usd,
        direct_usd=job.direct_usd,
        share_usd=job.share_usd if rented else None,
        usd_per_hour=job.direct_usd * HOUR_S / Decimal(str(took_s)) if rented and took_s else None,
        not_charged_usd=max(Decimal(0), job.direct_usd + job.share_usd - job.cost_usd) if job.is_over else Decimal(0),
        is_final=job.cost_is_final,
        promised_usd=job.reserved_usd,
        cloud=cloud,
        took_s=took_s,
        paid_for=str(job.estimate.get("paid_for", "")),
    )


def prompt_used(job: VideoJob, attempt: Attempt | None) -> str:
    """The prompt that the provider really used, where it told another one."""
    used = attempt.engine_metadata.get("prompt") if attempt and job.status == Status.SUCCEEDED else None
    return used.strip() if isinstance(used, str) and used.strip() != job.prompt.strip() else ""


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to make the final of a draft."""

    final: Final

    @property
    def asks(self) -> bool:
        return self.final.option.estimate.usd > ASK_ABOVE_USD

    @property
    def more(self) -> bool:
        return self.final.difference_usd > 0


def offers_of(job: VideoJob) -> dict[str, list[Offer]]:
    """What can make the final of a finished draft now: on this site's machines and in the cloud. Nothing for others."""
    found = []
    if job.status == Status.SUCCEEDED and is_draft(job):
        try:
            found = [Offer(final) for final in finals(job) if final.option.runnable]
        except DomainError:
            found = []  # its picture is gone
    return {
        "finals": [offer for offer in found if not offer.final.option.cloud],
        "cloud_finals": [offer for offer in found if offer.final.option.cloud],
    }


def offer_of(job: VideoJob, slug: str) -> Offer | None:
    """The one with this model, if it can make the final now."""
    rows: list[Offer] = [offer for offers in offers_of(job).values() for offer in offers]
    return next((offer for offer in rows if offer.final.option.model.slug == slug), None)


def money_context(job: VideoJob, attempt: Attempt | None) -> dict[str, Any]:
    return {
        "bill": bill_of(job, attempt),
        "prompt_used": prompt_used(job, attempt),
        "drift": attempt.drift if attempt and job.status == Status.SUCCEEDED else [],
        **offers_of(job),
    }
