"""What was spent: for a person their own videos, for staff the whole site."""

from collections.abc import Iterable
from decimal import Decimal

from drf_spectacular.utils import OpenApiResponse, PolymorphicProxySerializer, extend_schema
from rest_framework.exceptions import PermissionDenied
from rest_framework.response import Response
from rest_framework.views import APIView

from generation import spend_compare
from generation import spend_queries as money
from generation.api.answers import ErrorAnswer
from generation.api.base import UserRequest, checked
from generation.api.describe import Answer, moment
from generation.api.spend_answers import OwnSpend, SiteSpend, SpendFilter
from gpu.months import Month
from gpu.services.charges import Headroom, Room, headroom

PLACES = 4


class Spend(APIView):
    """GET /api/spend: 200; 400 for a wrong month; 403 for the site's when you are not staff."""

    @extend_schema(
        tags=["spend"],
        operation_id="spend",
        summary="What was spent in a month",
        parameters=[SpendFilter],
        responses={
            200: PolymorphicProxySerializer("Spend", [OwnSpend, SiteSpend], resource_type_field_name=None),
            403: OpenApiResponse(ErrorAnswer, description="What the site spends is for staff."),
        },
    )
    def get(self, request: UserRequest) -> Response:
        wanted = checked(SpendFilter, request.query_params)
        month = Month.parse(wanted.get("month", "")) or Month.now()
        if wanted["scope"] == "site":
            if not request.user.is_staff:
                raise PermissionDenied("What the site spends is for staff.")
            return Response(_site(month, headroom(request.user.pk)))
        return Response(_own(request, month, headroom(request.user.pk)))


def _own(request: UserRequest, month: Month, caps: Headroom) -> Answer:
    spent = money.person_spend(request.user, month)
    return {
        "month": str(month),
        "scope": "me",
        "usd": _usd(spent.usd),
        "promised_usd": _usd(caps.person_month.promised_usd),
        "by_day": [{"day": str(day), "usd": _usd(usd)} for day, usd in spent.days.items()],
        "by_model": [_model(row) for row in spent.models],
        "caps": _caps(caps.person),
    }


def _site(month: Month, caps: Headroom) -> Answer:
    spent = money.site_spend(month)
    return {
        "month": str(month),
        "scope": "site",
        "usd": _usd(spent.usd),
        "machines_usd": _usd(spent.machine_usd),
        "cloud_usd": _usd(spent.cloud_usd),
        "charged_usd": _usd(spent.charged_usd),
        "not_charged_usd": _usd(spent.not_charged_usd),
        "idle_share": _usd(spent.idle),
        "by_day": [_day(row) for row in spent.days],
        "by_person": [_person(row) for row in money.named(spent.people)],
        "by_machine": [_machine(row) for row in spent.machines],
        "by_cloud_model": [_model(row) for row in spent.cloud],
        "own_and_cloud": [_comparison(row) for row in spend_compare.compare(month)],
        "caps": _caps(caps.site),
    }


def _usd(usd: Decimal | None) -> float | None:
    return None if usd is None else round(float(usd), PLACES)


def _caps(rooms: Iterable[Room]) -> list[Answer]:
    return [
        {
            "scope": room.scope,
            "period": room.period,
            "cap_usd": _usd(room.cap_usd),
            "spent_usd": _usd(room.spent_usd),
            "promised_usd": _usd(room.promised_usd),
            "left_usd": _usd(room.left_usd),
            "near": room.soft,
        }
        for room in rooms
    ]


def _model(row: money.ModelSum) -> Answer:
    return {"model": row.slug or None, "name": row.name, "videos": row.videos, "usd": _usd(row.usd)}


def _day(row: money.Day) -> Answer:
    sums = {"usd": row.usd, "machines_usd": row.machine_usd, "cloud_usd": row.cloud_usd}
    return {"day": str(row.day)} | {name: _usd(usd) for name, usd in sums.items()}


def _person(row: money.PersonRow) -> Answer:
    one = row.money
    return {
        "person": row.name if one.person_id else None,
        "videos": one.videos,
        "usd": _usd(one.usd),
        "promised_usd": _usd(one.promised_usd),
        "monthly_cap_usd": _usd(one.monthly_cap_usd),
    }


def _machine(row: money.MachineRow) -> Answer:
    one = row.money
    return {
        "id": str(one.instance.pk),
        "vast_id": one.instance.vast_id,
        "gpu": one.instance.gpu_name,
        "rented_at": moment(one.instance.created_at),
        "ended_at": moment(one.instance.ended_at),
        "hours": round(one.hours, 2),
        "month_usd": _usd(one.month_usd),
        "booked_usd": _usd(one.booked_usd),
        "bill_usd": _usd(one.bill_usd),
        "difference_usd": _usd(one.difference_usd),
        "videos": row.videos,
        "direct_usd": _usd(row.direct_usd),
        "overhead_usd": _usd(row.overhead_usd),
    }


def _comparison(row: spend_compare.Comparison) -> Answer:
    return {"family": row.family, "size": row.size, "own": _range(row.own), "cloud": _range(row.cloud)}


def _range(side: spend_compare.Range | None) -> Answer | None:
    if side is None:
        return None
    sums = {"median_usd": side.median_usd, "low_usd": side.low_usd, "high_usd": side.high_usd}
    return {"videos": side.videos} | {name: _usd(usd) for name, usd in sums.items()}
