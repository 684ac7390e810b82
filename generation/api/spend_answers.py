"""What the API takes and answers about money."""

from typing import Any

from rest_framework import serializers

from gpu.months import PATTERN
from i2v_site.serializers import QuerySerializer


def _dollars(text: str = "US dollars, to four places.") -> serializers.FloatField:
    return serializers.FloatField(help_text=text)


class SpendFilter(QuerySerializer):
    month = serializers.RegexField(
        PATTERN,
        required=False,
        help_text='"2026-11", a month of UTC. Left out: this month.',
        error_messages={"invalid": 'The month must look like "2026-11".'},
    )
    scope = serializers.ChoiceField(
        ["me", "site"], default="me", help_text="me: your own videos. site: everything the site pays for (staff)."
    )


class DayUsd(serializers.Serializer[Any]):
    day = serializers.DateField()
    usd = _dollars()


class ModelUsd(serializers.Serializer[Any]):
    model = serializers.CharField(allow_null=True, help_text="Null: videos that were deleted since.")
    name = serializers.CharField()
    videos = serializers.IntegerField()
    usd = _dollars()


class CapAnswer(serializers.Serializer[Any]):
    scope = serializers.ChoiceField(["person", "site"])
    period = serializers.ChoiceField(["day", "month"])
    cap_usd = serializers.FloatField(allow_null=True, help_text="Null: there is no such cap.")
    spent_usd = _dollars()
    promised_usd = _dollars("Set aside for what still runs; counts against the cap.")
    left_usd = serializers.FloatField(allow_null=True)
    near = serializers.BooleanField(help_text="So much is used that a warning is due.")


class OwnSpend(serializers.Serializer[Any]):
    """A person's month. Caps and promises are those of this moment, whatever month was asked for."""

    month = serializers.CharField()
    scope = serializers.ChoiceField(["me"])
    usd = _dollars("What the videos of the month were charged.")
    promised_usd = _dollars("Set aside for videos in the making.")
    by_day = DayUsd(many=True)
    by_model = ModelUsd(many=True)
    caps = CapAnswer(many=True)


class SiteDayUsd(DayUsd):
    machines_usd = _dollars()
    cloud_usd = _dollars()


class PersonUsd(serializers.Serializer[Any]):
    person = serializers.CharField(allow_null=True, help_text="The user name; null: accounts that are gone.")
    videos = serializers.IntegerField()
    usd = _dollars()
    promised_usd = _dollars()
    monthly_cap_usd = serializers.FloatField(allow_null=True)


class MachineUsd(serializers.Serializer[Any]):
    """All but `month_usd` is over the machine's whole life."""

    id = serializers.UUIDField()
    vast_id = serializers.IntegerField(allow_null=True)
    gpu = serializers.CharField()
    rented_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    hours = serializers.FloatField()
    month_usd = _dollars()
    booked_usd = _dollars("What was reckoned here, before any correction.")
    bill_usd = serializers.FloatField(allow_null=True, help_text="vast.ai's own; null: not known yet.")
    difference_usd = serializers.FloatField(allow_null=True, help_text="The bill less what was reckoned.")
    videos = serializers.IntegerField()
    direct_usd = _dollars("Of it, the seconds of its videos.")
    overhead_usd = _dollars("Of it, boot, download, idle time and storage.")


class RangeUsd(serializers.Serializer[Any]):
    videos = serializers.IntegerField()
    median_usd = _dollars()
    low_usd = _dollars()
    high_usd = _dollars()


class ComparisonAnswer(serializers.Serializer[Any]):
    family = serializers.CharField()
    size = serializers.CharField(help_text='By the shorter side: "480p".')
    own = RangeUsd(allow_null=True, help_text="On rented machines.")
    cloud = RangeUsd(allow_null=True)


class SiteSpend(serializers.Serializer[Any]):
    """The site's month. What people were charged is a part of what the site spent, never more money."""

    month = serializers.CharField()
    scope = serializers.ChoiceField(["site"])
    usd = _dollars("Machines and cloud calls together.")
    machines_usd = _dollars()
    cloud_usd = _dollars()
    charged_usd = _dollars("Of it, charged to people.")
    not_charged_usd = _dollars("The rest; it stays with the site.")
    idle_share = serializers.FloatField(
        allow_null=True, help_text="Of what the machines have cost, the part that no video used directly; 0 to 1."
    )
    by_day = SiteDayUsd(many=True)
    by_person = PersonUsd(many=True)
    by_machine = MachineUsd(many=True)
    by_cloud_model = ModelUsd(many=True)
    own_and_cloud = ComparisonAnswer(many=True)
    caps = CapAnswer(many=True)
