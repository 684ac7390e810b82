"""Messages about what can be taken back."""

from django import template
from django.contrib.messages.storage.base import Message

register = template.Library()


@register.filter
def undo_ids(message: Message) -> list[str]:
    """The ids of the videos that the message says were deleted; none for other messages."""
    words = (message.extra_tags or "").split()
    return words[1:] if words[:1] == ["undo"] else []
