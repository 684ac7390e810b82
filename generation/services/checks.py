"""Hooks that judge prompts, pictures and videos before they go on. What fails to judge blocks.

Of several answers the strictest counts: block, then review, then allow.
"""

import hashlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TooLate
from functools import cache, partial
from pathlib import Path

from django.conf import settings
from django.contrib.auth.models import User
from django.core.cache import cache as kept
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from generation.errors import OutputBlocked, PictureRefused, PromptBlocked
from generation.models import Blocked, VideoJob
from generation.services import audit, content_rules
from generation.services import looks as seen
from generation.services.verdicts import ALLOW, Decision, Stage, Subject, Verdict

__all__ = ["check_output", "check_picture", "check_prompt"]

log = logging.getLogger(__name__)
Check = Callable[[Subject], Verdict]
_STRICTNESS = {Decision.ALLOW: 0, Decision.REVIEW: 1, Decision.BLOCK: 2}
FAILED = "check_failed"
# The same words are judged before a transaction and once more within it: what refuses them there is not remembered,
# because the refusal takes back what it wrote.
PROMPT_SECONDS = 10


def check_prompt(*, person: User, prompt: str) -> Verdict:
    """Judge a prompt; allow, or review, which the caller remembers. Raises PromptBlocked."""
    key = f"prompt-passed:{person.pk}:{hashlib.sha256(prompt.encode()).hexdigest()}"
    if passed := kept.get(key):
        return Verdict(Decision(passed[0]), *passed[1:])
    found = _judged(Subject(stage=Stage.PROMPT, person_id=person.pk, text=prompt))
    if found.decision == Decision.BLOCK:
        audit.note("prompt_blocked", f"person:{person.pk}", category=found.category)
        raise PromptBlocked(str(found.message) or _("This prompt is not allowed here."), field="prompt")
    kept.set(key, [found.decision.value, str(found.message), found.category], PROMPT_SECONDS)
    return found


def check_picture(*, person: User, path: Path, sha256: str) -> Verdict:
    """Judge our clean copy of a picture. Raises PictureRefused."""
    if Blocked.objects.filter(sha256=sha256).exists():
        audit.note("picture_blocked", f"person:{person.pk}", category="taken_down")
        raise PictureRefused(_("This picture was taken down and is not taken again."), code="picture_blocked")
    found = _judged(Subject(stage=Stage.PICTURE, person_id=person.pk, path=path))
    if found.decision == Decision.BLOCK:
        audit.note("picture_blocked", f"person:{person.pk}", category=found.category)
        raise PictureRefused(str(found.message) or _("This picture is not allowed here."), code="picture_blocked")
    return found


def check_output(
    *,
    job: VideoJob,
    path: Path,
    sha256: str,
    looks: list[str],
    hold: Callable[[Callable[[], Verdict]], Verdict] = lambda act: act(),
) -> Verdict:
    """Judge a video before it succeeds. Raises OutputBlocked. `hold` runs the checks, for who has a lease to renew."""
    found = TAKEN_DOWN if _was_taken_down(sha256, looks) else ALLOW
    if found is ALLOW:
        found = hold(partial(_judged, Subject(stage=Stage.OUTPUT, person_id=job.owner_id, path=path)))
    if found.decision == Decision.BLOCK:
        audit.note("output_blocked", f"job:{job.pk}", category=found.category)
        raise OutputBlocked(str(found.message) or _("What was made is not allowed here."))
    return found


TAKEN_DOWN = Verdict(Decision.BLOCK, gettext_lazy("The same video was taken down here before."), "taken_down")


def _was_taken_down(sha256: str, looks: list[str]) -> bool:
    if Blocked.objects.filter(sha256=sha256).exists():
        return True
    return any(seen.is_same(looks, theirs) for theirs in Blocked.objects.values_list("looks", flat=True).iterator())


def _judged(subject: Subject) -> Verdict:
    answers = [_answer(dotted, subject) for dotted in settings.CONTENT_CHECKS]
    return max(answers, key=lambda answer: _STRICTNESS[answer.decision], default=ALLOW)


def _answer(dotted: str, subject: Subject) -> Verdict:
    """What one check says. No answer, a late one or a wrong one blocks: nobody has said that it may pass."""
    try:
        # In a thread, because only so can it be left behind when it hangs.
        answer = _pool().submit(_loaded(dotted), subject).result(timeout=settings.CONTENT_CHECK_SECONDS)
        if isinstance(answer, Verdict) and isinstance(answer.decision, Decision):
            return answer
        log.error("the check %s gave no verdict", dotted)
    except TooLate:
        _pool.cache_clear()  # the next one does not queue behind it
        log.error("the check %s took too long", dotted)  # noqa: TRY400 (there is no trace of it here)
    except Exception as exc:  # an operator's code may raise anything, and its text may hold the prompt
        log.error("the check %s failed (%s)", dotted, type(exc).__name__)  # noqa: TRY400
    return Verdict(Decision.BLOCK, _("The check of what may be made here is out of order. Try again later."), FAILED)


@cache
def _loaded(dotted: str) -> Check:
    found: Check = import_string(dotted)
    return found


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=4, thread_name_prefix="check")


def trouble() -> str | None:
    """Why the checks of this installation cannot work; None when they can. For /ready."""
    for dotted in settings.CONTENT_CHECKS:
        try:
            _loaded(dotted)
        except ImportError:
            return f"CONTENT_CHECKS: {dotted} cannot be imported."
    try:
        content_rules.categories(settings.CONTENT_WORDS)
    except (ValueError, KeyError, TypeError):
        return "CONTENT_WORDS is not in the form of content_words.json."
    return None
