"""What a check is given and what it answers. A check is a callable: `def check(subject: Subject) -> Verdict`.

Operators write their own (settings.CONTENT_CHECKS, dotted paths); this module is all they need to import.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Stage(StrEnum):
    PROMPT = "prompt"  # before a video is accepted; `text` is the prompt
    PICTURE = "picture"  # when a picture comes in; `path` is our clean copy
    OUTPUT = "output"  # before a video succeeds; `path` is the MP4


class Decision(StrEnum):
    ALLOW = "allow"
    REVIEW = "review"  # goes through, and staff look at it
    BLOCK = "block"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is to be judged."""

    stage: Stage
    person_id: int
    text: str = ""
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer; `message` is shown to the person when it blocks, `category` to staff and in the audit."""

    decision: Decision
    message: object = ""  # a text, or one that is translated when it is shown (gettext_lazy)
    category: str = ""


ALLOW = Verdict(Decision.ALLOW)
