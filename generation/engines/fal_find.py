"""Finding a request whose answer was lost, in fal's own list of our requests.

fal lists an account's requests of an endpoint with what was sent (https://fal.ai/docs/platform-apis, "List requests
by endpoint"). Every attempt uploads its own picture, so the picture's address names the attempt. A request that is not
in the list proves nothing: the list is behind, and an account may have switched off that inputs are stored.
"""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from generation.engines.base import ProviderRef
from generation.engines.fal_client import FalClient
from generation.engines.fal_messages import BadAnswer, Listed, listed_of

MAX_PAGES = 10
# Their clock and ours.
MARGIN = timedelta(minutes=5)


async def find_request(client: FalClient, ref: ProviderRef) -> str | None:
    """The id of the request that carries this attempt's picture. Raises FalUnreachable, BadAnswer."""
    start = (datetime.fromisoformat(ref["sent"]) - MARGIN).isoformat()
    cursor = ""
    for _ in range(MAX_PAGES):
        answer = await client.requests(ref["endpoint"], start=start, cursor=cursor)
        if not answer.is_good:
            raise BadAnswer(f"HTTP {answer.status}")
        page, cursor = listed_of(answer.json())
        for one in page:
            if _is_ours(one, ref):
                return one.request_id
        if not cursor:
            return None
    return None


def _is_ours(one: Listed, ref: ProviderRef) -> bool:
    picture = one.input.get(ref["image_field"])
    return isinstance(picture, str) and bool(ref["picture"]) and _plain(picture) == _plain(ref["picture"])


def _plain(url: str) -> tuple[Any, ...]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return (url,)
    return parts.netloc.lower(), parts.path
