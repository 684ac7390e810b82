"""Rented machines and offers over HTTP: staff only."""

from typing import Any, TypeVar, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import Http404
from django.urls import reverse
from django.utils.translation import gettext_noop
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from gpu import queries
from gpu.api.instance_serializers import (
    EndInput,
    InstanceDetailOutput,
    InstanceFilter,
    InstanceList,
    OfferFilter,
    OfferList,
    RentInput,
)
from gpu.models import Instance
from gpu.services import machines, offer_table
from i2v_site.serializers import StrictSerializer

S = TypeVar("S", bound=StrictSerializer)
_TAG = ["fleet"]
_ERROR = {"$ref": "#/components/schemas/Error"}
_NOT_STAFF = OpenApiResponse(_ERROR, description="Only for staff.")
_NO_MARKET = OpenApiResponse(_ERROR, description="There is no key, or vast.ai shows no offers now.")
_CAP_REACHED = OpenApiResponse(
    _ERROR, description="A cap on money is reached; the message says which and what is left."
)
_LOCATION = OpenApiParameter("Location", OpenApiTypes.URI, OpenApiParameter.HEADER, response=[201])


class StaffOnly(BasePermission):
    message = "Only staff may do this."

    def has_permission(self, request: Request, _view: APIView) -> bool:
        return bool(request.user.is_staff)


class StaffView(APIView):
    permission_classes = [IsAuthenticated, StaffOnly]


class Instances(StaffView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="list_instances",
        summary="Machines, newest first (staff)",
        parameters=[InstanceFilter],
        responses={200: InstanceList, 403: _NOT_STAFF},
    )
    def get(self, request: Request) -> Response:
        wanted = _checked(InstanceFilter, request.query_params)
        rows = queries.instances()
        if wanted.get("state"):
            rows = rows.filter(state__in=wanted["state"])
        if wanted["alive"] is not None:
            rows = rows.alive() if wanted["alive"] else rows.over()
        found = queries.views_of(rows[: wanted["limit"]])
        return Response(InstanceList({"results": found}).data)

    @extend_schema(
        tags=_TAG,
        operation_id="rent_instance",
        summary="Rent a machine (staff)",
        description="Without `offer_id` the offer with the least expected cost per video is taken. Caps hold here too.",
        parameters=[_LOCATION],
        request=RentInput,
        responses={201: InstanceDetailOutput, 402: _CAP_REACHED},
    )
    def post(self, request: Request) -> Response:
        # A body that was not sent at all is an empty form in DRF.
        wanted = _checked(RentInput, request.data or {})
        instance = machines.request_machine(**wanted, actor=_person(request))
        headers = {"Location": request.build_absolute_uri(reverse("api-gpu-instance", args=[instance.pk]))}
        return Response(_described(instance.pk), status=201, headers=headers)


class InstanceDetail(StaffView):
    @extend_schema(
        tags=_TAG,
        operation_id="get_instance",
        summary="One machine with its timeline (staff)",
        responses={200: InstanceDetailOutput, 403: _NOT_STAFF},
    )
    def get(self, _request: Request, pk: UUID) -> Response:
        return Response(_described(pk))

    @extend_schema(
        tags=_TAG,
        operation_id="destroy_instance",
        summary="Give a machine back at once (staff)",
        description="Videos on it are made again elsewhere. It is over when vast.ai no longer lists it.",
        responses={202: InstanceDetailOutput},
    )
    def delete(self, request: Request, pk: UUID) -> Response:
        machines.destroy(instance=_found(pk), reason=gettext_noop("asked for over the API"), actor=_person(request))
        return Response(_described(pk), status=202)


class ExtendInstance(StaffView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="extend_instance",
        summary="Keep a machine for one more lease (staff)",
        request=None,
        responses=InstanceDetailOutput,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        machines.extend_lease(instance=_found(pk), actor=_person(request))
        return Response(_described(pk))


class DrainInstance(StaffView):
    throttle_scope = "submit"

    @extend_schema(
        tags=_TAG,
        operation_id="drain_instance",
        summary="Let a machine finish its work and give it back (staff)",
        request=EndInput,
        responses=InstanceDetailOutput,
    )
    def post(self, request: Request, pk: UUID) -> Response:
        instance = _found(pk)
        wanted = _checked(EndInput, request.data or {})
        machines.drain(instance=instance, reason=wanted["reason"], actor=_person(request))
        return Response(_described(pk))


class Offers(StaffView):
    @extend_schema(
        tags=_TAG,
        operation_id="list_offers",
        summary="What can be rented now, best first, with the score and its parts (staff)",
        parameters=[OfferFilter],
        responses={200: OfferList, 403: _NOT_STAFF, 409: _NO_MARKET},
    )
    def get(self, request: Request) -> Response:
        wanted = _checked(OfferFilter, request.query_params)
        return Response(OfferList({"results": offer_table.matching(offer_table.look(), **wanted)}).data)


def _checked(serializer: type[S], data: Any) -> dict[str, Any]:
    filled = serializer(data=data)
    filled.is_valid(raise_exception=True)
    values: dict[str, Any] = filled.validated_data
    return values


def _found(pk: UUID) -> Instance:
    instance = queries.find(pk)
    if instance is None:
        raise Http404
    return instance


def _described(pk: UUID) -> dict[str, Any]:
    """The machine as the database knows it now, whatever a service just changed."""
    [view] = queries.views_of([_found(pk)])
    described: dict[str, Any] = InstanceDetailOutput(view).data
    return described


def _person(request: Request) -> User:
    return cast("User", request.user)
