"""Which models can be given the picture to end with, and how fal.ai's endpoints call it.

SwarmUI gives Wan 2.2 14B its `videoendimage` with ComfyUI's node for a first and a last frame. `end_image_url` is the
field of all fal.ai endpoints below; where that is known from differs: Hailuo 02 and LTX-2 from fal.ai's own pages, read
on 2026-11-23; Wan 2.2 Turbo from third-party code that calls it; the plain Wan 2.2 endpoint is NOT confirmed, it is
taken to be like its Turbo. Kling 2.5 Turbo Standard (only Pro has one), Seedance Pro Fast and the Wan 2.5 preview name
none.
"""

from django.db import migrations

SWARMUI = ("wan-2-2",)
FAL = ("fal-wan-2-2", "fal-wan-2-2-turbo", "fal-hailuo-02", "fal-ltx-2")
FIELD = "end_image_url"


def mark(apps, schema_editor):
    model = apps.get_model("generation", "VideoModel")
    model.objects.filter(slug__in=SWARMUI, provider="swarmui").update(takes_end_image=True)
    for row in model.objects.filter(slug__in=FAL, provider="fal"):
        row.parameters = {"end_image": FIELD} | row.parameters
        row.takes_end_image = True
        row.save(update_fields=["parameters", "takes_end_image"])


def unmark(apps, schema_editor):
    model = apps.get_model("generation", "VideoModel")
    model.objects.filter(slug__in=(*SWARMUI, *FAL)).update(takes_end_image=False)
    for row in model.objects.filter(slug__in=FAL, provider="fal", parameters__end_image=FIELD):
        row.parameters = {name: value for name, value in row.parameters.items() if name != "end_image"}
        row.save(update_fields=["parameters"])


class Migration(migrations.Migration):
    dependencies = [("generation", "0010_studio")]
    operations = [migrations.RunPython(mark, unmark)]
