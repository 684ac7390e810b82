"""What the owner of a hidden video gets instead of its files."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


def hidden_answer(request: HttpRequest) -> HttpResponse:
    """A 404 that says why; everybody else has no address for it."""
    answer = render(request, "generation/hidden.html", status=404)
    answer["Cache-Control"] = "no-store"
    return answer
