"""A full library in a moment: rows as they are after months, without files."""

from datetime import timedelta
from decimal import Decimal
from itertools import cycle, islice

from django.contrib.auth.models import User
from django.utils import timezone

from generation.models import SourceImage, Status, Tag, VideoJob, VideoModel
from tests import factories

SUBJECTS = ("a red fox", "a lake at dawn", "an old harbour", "two dancers", "a paper boat", "läufer im regen")
MOVES = ("slow zoom in", "orbit left", "pan right, handheld", "gentle wind", "push in slowly")
# Of twenty videos: most are done, some failed, few are cancelled.
STATES = [Status.SUCCEEDED] * 16 + [Status.FAILED] * 3 + [Status.CANCELLED]
TAGS = ("keep", "holiday", "client work", "test")


def seed(owner: User, count: int) -> list[VideoJob]:
    """`count` videos of `owner` over the past months, one every ten minutes; favourites and tags among them."""
    now, models = timezone.now(), list(VideoModel.objects.order_by("pk"))
    image = factories.source_image(owner)
    rows = [_row(owner, image, models, number) for number in range(count)]
    for number, row in enumerate(rows):
        row.created_at = row.updated_at = now - timedelta(minutes=10 * number)
        row.finished_at = row.created_at + timedelta(minutes=1)
    VideoJob.objects.bulk_create(rows, batch_size=500)
    tags = [Tag.objects.get_or_create(owner=owner, name=name)[0] for name in TAGS]
    links = VideoJob.tags.through
    links.objects.bulk_create(
        [
            links(videojob_id=row.pk, tag_id=tag.pk)
            for row, tag in zip(rows[::3], islice(cycle(tags), len(rows)), strict=False)
        ],
        batch_size=500,
    )
    return rows


def _row(owner: User, image: SourceImage, models: list[VideoModel], number: int) -> VideoJob:
    status, model = STATES[number % len(STATES)], models[number % len(models)]
    row = VideoJob(
        owner=owner, model=model, image=image, status=status, seed=number, frames=81, fps=16, cfg_scale=1, steps=4,
        prompt=f"{SUBJECTS[number % len(SUBJECTS)]}, {MOVES[number % len(MOVES)]}, take {number}",
        width=832, height=480, progress=1 if status == Status.SUCCEEDED else 0,
        cost_usd=Decimal("0.031") if status == Status.SUCCEEDED else Decimal(0),
    )  # fmt: skip
    if status == Status.SUCCEEDED:
        row.video_key, row.poster_key, row.loop_key = (f"out/{row.pk}/{part}" for part in ("1.mp4", "p.jpg", "l.mp4"))
        row.video_bytes = 1_000_000
    if status == Status.FAILED:
        row.error_code, row.error_message = "engine_failed", "It broke."
    if number % 10 == 0:
        row.favourite_at = timezone.now()
    return row
