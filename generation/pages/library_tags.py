"""The tags of one's videos: renamed, merged, deleted."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from generation.errors import TagExists
from generation.library_queries import tags_with_counts
from generation.models import Tag
from generation.pages.http import UserRequest, ask, confirmed
from generation.services.library import rename_tag
from i2v_site.errors import DomainError


@login_required
@never_cache
@require_safe
def tags(request: UserRequest) -> HttpResponse:
    return render(request, "generation/library_tags.html", {"tags": tags_with_counts(request.user)})


@login_required
@require_POST
def rename(request: UserRequest, pk: int) -> HttpResponse:
    """Another name; one that another tag has makes one tag of the two, after a question."""
    tag, name = get_object_or_404(Tag, owner=request.user, pk=pk), request.POST.get("name", "")
    try:
        kept = rename_tag(owner=request.user, tag=tag, name=name, merge=confirmed(request))
    except TagExists as exc:
        context = {"tag": tag, "name": name, "problem": exc.message}
        return render(request, "generation/library_tag_merge.html", context)
    except DomainError as exc:
        messages.error(request, exc.message)
    else:
        messages.success(request, _("The tag is called “%(name)s” now.") % {"name": kept.name})
    return redirect("library_tags")


@login_required
@require_POST
def delete(request: UserRequest, pk: int) -> HttpResponse:
    tag = get_object_or_404(Tag, owner=request.user, pk=pk)
    if not confirmed(request):
        title = _("Delete the tag “%(name)s”?") % {"name": tag.name}
        text = _("It is taken off all videos. The videos stay.")
        return ask(request, title=title, text=text, button=_("Delete the tag"), back="/library/tags")
    tag.delete()
    messages.success(request, _("The tag “%(name)s” was deleted.") % {"name": tag.name})
    return redirect("library_tags")
