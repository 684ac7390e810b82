"""SwarmUI's HTTP and WebSocket API. Contract: SwarmUI 0.9.8.2 (commit 062407c7), src/WebAPI.

Every address goes through the guarded transport. No httpx or websockets exception leaves this module.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from functools import lru_cache
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException

from gpu.clients.guarded import (
    GuardError,
    Policy,
    async_guarded_client,
    guarded_client,
    open_guarded_socket,
)
from gpu.clients.swarmui_errors import (
    SwarmProtocolError,
    SwarmRejected,
    SwarmSessionLost,
    SwarmStreamBroken,
    SwarmUnauthorized,
    SwarmUnavailable,
    refusal,
    trouble,
)
from gpu.clients.swarmui_messages import (
    Backend,
    ListedFile,
    Message,
    Session,
    Status,
    clean_text,
    parse_backends,
    parse_files,
    parse_message,
    parse_model_names,
    parse_object,
    parse_session,
    parse_status,
)
from gpu.clients.swarmui_results import check_result, pieces, result_path

CALL_TIMEOUT_S = 15.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024
# Previews are pictures inside the JSON; SwarmUI's own client allows 100 GiB.
MAX_MESSAGE_BYTES = 16 * 1024 * 1024
PING_INTERVAL_S = 20.0
PING_TIMEOUT_S = 60.0
# A multiple of three: every piece of the picture becomes base64 without padding.
PICTURE_PIECE_BYTES = 3 * 32 * 1024


def authorization_header(authorization: str) -> dict[str, str]:
    """`Bearer xyz` as it is; `Basic user:password` encoded; nothing for an empty text."""
    scheme, _, value = authorization.strip().partition(" ")
    if not scheme:
        return {}
    if scheme.lower() == "basic" and ":" in value:
        return {"Authorization": "Basic " + base64.b64encode(value.strip().encode()).decode()}
    return {"Authorization": authorization.strip()}


class SwarmClient:
    """One SwarmUI server. Usable from one event loop; `open_result` is for any thread.

    `authorization` goes with every request and handshake. `allow_private` names the exact "host:port" that may be
    private or without TLS; a call to anything else that is not public raises AddressRefused.
    """

    def __init__(
        self,
        base_url: str,
        *,
        authorization: str = "",
        allow_private: frozenset[str] = frozenset(),
        call_timeout_s: float = CALL_TIMEOUT_S,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._url = httpx.URL(self.base_url)
        self._headers = authorization_header(authorization)
        self._policy = Policy(private_hosts=allow_private, ssl_context=ssl_context)
        self._timeout_s = call_timeout_s
        self._http = async_guarded_client(
            self._policy,
            total_timeout_s=call_timeout_s,
            max_bytes=MAX_ANSWER_BYTES,
            base_url=self.base_url,
            headers=self._headers,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    # --- calls ------------------------------------------------------------------------------------------------------

    async def new_session(self) -> Session:
        data = await self._call("GetNewSession", {})
        return parse_session(data)

    async def status(self, session_id: str) -> Status:
        """What the session has going on. Raises SwarmSessionLost when the server has forgotten it."""
        return parse_status(await self._call("GetCurrentStatus", {"session_id": session_id}))

    async def interrupt(self, session_id: str) -> None:
        """Stop everything of this session, queued or running, and nothing of any other."""
        await self._call("InterruptAll", {"session_id": session_id, "other_sessions": False})

    async def list_files(self, session_id: str, folder: str) -> list[ListedFile]:
        """The newest results in `folder`, at most 1,000, newest first; empty for a folder that does not exist."""
        body = {"session_id": session_id, "path": folder, "depth": 1, "sortBy": "Date", "sortReverse": False}
        try:
            return parse_files(await self._call("ListImages", body))
        except SwarmRejected as exc:
            if "path not found" in str(exc):
                return []
            raise

    async def list_backends(self, session_id: str) -> list[Backend]:
        return parse_backends(await self._call("ListBackends", {"session_id": session_id}))

    async def list_models(self, session_id: str, subtype: str = "Stable-Diffusion") -> list[str]:
        """Full names of the installed models of one kind ("Stable-Diffusion", "LoRA")."""
        body = {"session_id": session_id, "path": "", "depth": 10, "subtype": subtype, "allowRemote": False}
        return parse_model_names(await self._call("ListModels", body | {"dataImages": False}))

    async def architecture_of(self, session_id: str, name: str, subtype: str = "Stable-Diffusion") -> str:
        """What class of model SwarmUI takes one for ("wan-2_2-image2video-14b"), "" for none. Raises SwarmRejected."""
        data = await self._call("DescribeModel", {"session_id": session_id, "modelName": name, "subtype": subtype})
        model = data.get("model")
        return clean_text(model.get("architecture") or "") if isinstance(model, dict) else ""

    async def has_file(self, path: str) -> bool:
        """Whether a result exists. Asks for one byte: SwarmUI does not answer HEAD."""
        try:
            request = self._http.build_request("GET", result_path(path), headers={"Range": "bytes=0-0"})
            response = await self._http.send(request, stream=True)
            await response.aclose()
        except (httpx.HTTPError, GuardError) as exc:
            raise trouble("View", exc) from exc
        if response.status_code in (200, 206):
            return True
        if response.status_code in (400, 404, 416):
            return False
        raise refusal("View", response.status_code)

    async def _call(self, route: str, body: Mapping[str, Any]) -> dict[str, Any]:
        try:
            response = await self._http.post(f"/API/{route}", json=dict(body))
        except (httpx.HTTPError, GuardError) as exc:
            raise trouble(route, exc) from exc
        return _answer(route, response)

    # --- generating -------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def open_stream(self) -> AsyncIterator["GenerationStream"]:
        """A socket for one generation. Leaving it never waits and does not stop the render.

        Raises SwarmUnavailable, SwarmUnauthorized or AddressRefused; nothing has been sent then.
        """
        stream = GenerationStream(await self._connect())
        try:
            yield stream
        finally:
            # A polite close is answered only when the render is over.
            stream.abort()

    async def _connect(self) -> ClientConnection:
        secure = self._url.scheme == "https"
        host = self._url.raw_host.decode("ascii")
        port = self._url.port or (443 if secure else 80)
        options: dict[str, Any] = {}
        if secure:
            options = {"ssl": self._policy.ssl_context or _public_authorities(), "server_hostname": host}
        try:
            sock = await open_guarded_socket(host, port, self._policy, self._timeout_s, tls=secure)
            return await connect(
                str(self._url.copy_with(scheme="wss" if secure else "ws", path="/API/GenerateText2ImageWS")),
                sock=sock,
                additional_headers=self._headers,
                user_agent_header=None,
                compression=None,
                proxy=None,
                open_timeout=self._timeout_s,
                close_timeout=1,
                ping_interval=PING_INTERVAL_S,
                ping_timeout=PING_TIMEOUT_S,
                max_size=MAX_MESSAGE_BYTES,
                # A thousand sockets may be open at once: each holds at most one unread message.
                max_queue=1,
                write_limit=PICTURE_PIECE_BYTES,
                **options,
            )
        except InvalidStatus as exc:
            raise refusal("GenerateText2ImageWS", exc.response.status_code) from exc
        except (OSError, InvalidHandshake, WebSocketException, ValueError) as exc:
            raise SwarmUnavailable(f"GenerateText2ImageWS: {type(exc).__name__}") from exc

    # --- results ----------------------------------------------------------------------------------------------------

    @contextmanager
    def open_result(self, path: str, *, max_bytes: int, timeout_s: float = 540.0) -> Iterator[Iterator[bytes]]:
        """The bytes of a result in pieces, at most `max_bytes`. Blocking.

        Raises SwarmResultRefused (wrong path, missing, no video, too large, truncated) and SwarmUnavailable, also
        while the pieces are read.
        """
        client = guarded_client(
            self._policy,
            total_timeout_s=timeout_s,
            # The headers count too; the body is counted below.
            max_bytes=max_bytes + 64 * 1024,
            base_url=self.base_url,
            headers=self._headers,
        )
        with client:
            try:
                response = client.send(client.build_request("GET", result_path(path)), stream=True)
            except (httpx.HTTPError, GuardError) as exc:
                raise trouble("View", exc) from exc
            try:
                check_result(response, max_bytes)
                yield pieces(response, max_bytes)
            finally:
                response.close()


class GenerationStream:
    """The socket of one generation: `send` once, then `receive` until Ended."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    async def send(
        self, params: Mapping[str, Any], picture: bytes, timeout_s: float, *, end_picture: bytes | None = None
    ) -> None:
        """Send the request with the PNG as its `initimage`, and another one as its `videoendimage`.

        The message goes out in pieces, so that its four copies (base64, JSON, UTF-8, masked) never exist whole.
        Raises SwarmStreamBroken: whether the server has understood the request is not known then.
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self._socket.send(_fragments(params, {"initimage": picture, "videoendimage": end_picture}))
        except (ConnectionClosed, OSError) as exc:
            raise SwarmStreamBroken(f"sending: {type(exc).__name__}") from exc

    async def receive(self, timeout_s: float) -> Message:
        """The next message. Raises TimeoutError after `timeout_s`, SwarmStreamBroken, SwarmProtocolError."""
        try:
            async with asyncio.timeout(timeout_s):
                raw = await self._socket.recv(decode=False)
        except ConnectionClosed as exc:
            raise SwarmStreamBroken("The socket was closed.") from exc
        return parse_message(raw)

    def abort(self) -> None:
        self._socket.transport.abort()


async def _fragments(params: Mapping[str, Any], pictures: Mapping[str, bytes | None]) -> AsyncIterator[str]:
    yield json.dumps(dict(params))[:-1]
    for name, picture in pictures.items():
        if picture is not None:
            yield f', "{name}": "data:image/png;base64,'
            for start in range(0, len(picture), PICTURE_PIECE_BYTES):
                yield base64.b64encode(picture[start : start + PICTURE_PIECE_BYTES]).decode("ascii")
            yield '"'
    yield "}"


def _answer(route: str, response: httpx.Response) -> dict[str, Any]:
    """The object that SwarmUI answered; its errors come with any status, 200 included."""
    if "x-portal-placeholder" in response.headers:
        # The loader page of vast.ai's portal; through a tunnel it comes with status 200.
        raise SwarmUnavailable(f"{route}: a placeholder answered, SwarmUI is not up")
    if response.status_code not in (200, 400, 401):
        raise refusal(route, response.status_code)
    try:
        data = parse_object(response.content)
    except SwarmProtocolError as exc:
        if response.status_code == 200:
            raise
        raise refusal(route, response.status_code) from exc
    if data.get("error_id") == "invalid_session_id":
        raise SwarmSessionLost(f"{route}: the session is not known")
    if "error" in data:
        text = clean_text(data["error"])
        if text == "Invalid or unauthorized.":
            raise SwarmUnauthorized(f"{route}: {text}")
        raise SwarmRejected(f"{route}: {text}")
    if response.status_code != 200:
        raise refusal(route, response.status_code)
    return data


@lru_cache(maxsize=1)
def _public_authorities() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
