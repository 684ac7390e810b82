"""POST /hooks/fal/<nonce>: fal.ai says that a video is done. Nobody else is believed."""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from generation.services import evidence
from i2v_site.errors import DomainError


@csrf_exempt
@require_POST
def fal_hook(request: HttpRequest, nonce: str) -> JsonResponse:
    """200 when it was understood, now or before; 4xx for anything else; 503 when fal should come again."""
    announced = request.META.get("CONTENT_LENGTH") or "0"
    if not announced.isdigit() or int(announced) > evidence.MAX_BODY_BYTES:
        return _error(413, "body_too_large", "The body is too large.")
    body = request.read(evidence.MAX_BODY_BYTES)
    try:
        evidence.receive(nonce=nonce, headers=request.headers, body=body)
    except DomainError as exc:
        return _error(exc.status, exc.code, exc.message)
    return JsonResponse({"ok": True})


def _error(status: int, code: str, message: str) -> JsonResponse:
    return JsonResponse({"error": {"code": code, "message": message}}, status=status)
