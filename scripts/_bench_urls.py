"""The real addresses beside a DRF view that inserts one row and does nothing else."""

from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from generation.models import VideoJob
from i2v_site.urls import urlpatterns as real


class Bare(APIView):
    authentication_classes = ()
    permission_classes = ()
    throttle_classes = ()

    def post(self, request: Request) -> Response:
        job = VideoJob.objects.create(**dict(request.data))
        return Response({"id": str(job.pk)}, status=201)


class SignedIn(APIView):
    """The same behind the site's own sign-in and permissions."""

    def post(self, request: Request) -> Response:
        return Bare().post(request)


urlpatterns = [path("bare", Bare.as_view()), path("signed-in", SignedIn.as_view()), *real]
