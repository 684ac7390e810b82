"""Secrets stay out of the log, whoever writes it."""

import logging
import re

_SECRETS = re.compile(
    r"(?i)((?:token|bearer|basic|password|secret|signature|x-amz-[a-z-]+|session_id|api_key)[\"']?\s*[=: ]\s*[\"']?)"
    r"[^\s\"'&,}]{6,}"
)
_LINKS = re.compile(r"(/files/)[^\s\"']+")


class RedactFilter(logging.Filter):
    """Replaces what looks like a credential or a signed link in a record's final text."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = _LINKS.sub(r"\1…", _SECRETS.sub(r"\1…", message))
        if clean != message:
            record.msg, record.args = clean, ()
        return True
