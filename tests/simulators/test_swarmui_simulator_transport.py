"""Checklist 1: which error wins, and how it looks on the wire."""

import json
import socket as raw_socket
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.simulators.swarmui import SwarmSimulator
from tests.simulators.swarmui_wire import Wire, read_all

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers", "status", "answer"),
    [
        ("{}", {"content-type": "text/plain"}, 400, {"error_id": "basic_api", "error": "Wrong content type"}),
        ("", JSON, 400, {"error_id": "basic_api", "error": "bad content length"}),
        ("{nonsense", JSON, 400, {"error_id": "internal_error", "error": "An internal error occurred"}),
        ("{}", JSON, 400, {"error_id": "basic_api", "error": "missing session id"}),
    ],
)
def test_a_call_without_a_good_body_is_refused_before_its_route_is_looked_at(
    wire: Wire, content: str, headers: dict[str, str], status: int, answer: dict[str, str]
) -> None:
    response = wire.http.post("/API/NoSuchRoute", content=content, headers=headers)

    assert (response.status_code, response.json()) == (status, answer)


def test_a_chunked_body_is_refused(wire: Wire) -> None:
    response = wire.http.post("/API/GetNewSession", content=iter([b"{}"]), headers=JSON)

    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.json() == {"error_id": "basic_api", "error": "bad content length"}


def test_an_unknown_session_is_a_401(wire: Wire) -> None:
    response = wire.post("GetCurrentStatus", session_id="0" * 40)

    assert response.status_code == 401
    assert response.json()["error_id"] == "invalid_session_id"


def test_the_session_may_come_in_a_header_when_the_key_is_absent(wire: Wire) -> None:
    response = wire.http.post("/API/GetCurrentStatus", json={}, headers={"X-Session-ID": wire.session})

    assert response.json()["status"]["live_gens"] == 0


def test_routes_are_found_in_any_case(wire: Wire) -> None:
    assert wire.call("getCURRENTstatus")["backend_status"]["status"] == "running"


@pytest.mark.parametrize(
    ("route", "answer"),
    [
        ("NoSuchRoute", {"error_id": "bad_route", "error": "Unknown API route"}),
        (
            "GenerateText2ImageWS",
            {"error_id": "bad_request_method", "error": "API route needs websocket, request is HTTP"},
        ),
    ],
)
def test_a_wrong_route_over_http_is_a_400(wire: Wire, route: str, answer: dict[str, str]) -> None:
    response = wire.post(route)

    assert (response.status_code, response.json()) == (400, answer)


def test_a_missing_permission_is_a_400(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(denied_permissions=["view_image_history"])

    response = wire.post("ListImages", path="", depth=1)

    assert (response.status_code, response.json()["error_id"]) == (400, "bad_permissions")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"depth": 1}, "Missing required parameter 'path'"),
        ({"path": "", "depth": "1.0"}, "Invalid value '1.0' for parameter 'depth', must be type 'Int32'"),
        ({"path": "", "depth": None}, "Invalid value '' for parameter 'depth', must be type 'Int32'"),
    ],
)
def test_a_bad_argument_is_an_application_error_with_status_200(
    wire: Wire, arguments: dict[str, Any], text: str
) -> None:
    response = wire.post("ListImages", **arguments)

    assert (response.status_code, response.json()) == (200, {"error": text})


def test_a_number_as_text_is_a_number(wire: Wire) -> None:
    assert wire.call("ListImages", path="", depth="1") == {"folders": [], "files": []}


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_only_post_is_an_api_call(wire: Wire, method: str) -> None:
    response = wire.http.request(method, "/API/GetCurrentStatus")

    assert (response.status_code, response.headers["location"]) == (302, "/Error/NoGetAPI")


def test_the_front_page_redirects(wire: Wire) -> None:
    assert wire.http.get("/").headers["location"] == "/Text2Image"


def test_an_announced_body_over_the_limit_is_refused_unread(swarm: SwarmSimulator) -> None:
    port = int(swarm.url.rpartition(":")[2])
    with raw_socket.create_connection(("127.0.0.1", port)) as plain:
        head = ["POST /API/GetNewSession HTTP/1.1", "Host: x", "Content-Type: application/json"]
        plain.sendall("\r\n".join([*head, f"Content-Length: {201 * 1024 * 1024}", "", ""]).encode())

        assert b"bad content length" in plain.recv(4096) + plain.recv(4096)


def test_json_is_compressed_only_for_those_who_ask(wire: Wire) -> None:
    asked = wire.post("ListT2IParams")
    wire.http.headers["accept-encoding"] = "identity"

    assert asked.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in wire.post("ListT2IParams").headers


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        ({"images": 1}, {"error_id": "basic_api", "error": "missing session id"}),
        ({"session_id": "x"}, {"error_id": "invalid_session_id"}),
        ({"session_id": "mine"}, {"error": "Missing required parameter 'images'"}),
    ],
)
def test_a_socket_is_accepted_first_and_refused_with_one_message(
    wire: Wire, first: dict[str, Any], answer: dict[str, str]
) -> None:
    with wire.socket() as socket:
        socket.send(json.dumps(first).replace("mine", wire.session))
        error, close = read_all(socket)

    assert error.items() >= answer.items()
    assert close == {"close": 1000}


@pytest.mark.parametrize(
    ("route", "text"),
    [
        ("NoSuchRouteWS", "Unknown API route."),
        ("ListImages", "API route needs HTTP, request is websocket"),
    ],
)
def test_a_wrong_route_over_a_socket_says_so_and_closes(wire: Wire, route: str, text: str) -> None:
    assert [message.get("error") for message in wire.converse(route)] == [text, None]


def test_a_socket_without_a_first_message_is_closed_after_a_minute(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(time_scale=0.001)

    with wire.socket() as socket:
        assert read_all(socket)[-1] == {"close": 1000}


def test_without_the_required_authorization_nothing_is_answered_but_401() -> None:
    with SwarmSimulator(authorization="Bearer secret") as swarm:
        wire = Wire(swarm.url, {"authorization": "secret"})
        response = wire.http.post("/API/GetNewSession", json={})
        with pytest.raises(InvalidStatus) as refusal:
            wire.socket()

    assert (response.status_code, response.text) == (401, "Unauthorized")
    assert refusal.value.response.status_code == 401


def test_with_the_required_authorization_everything_works() -> None:
    headers = {"authorization": "Bearer secret"}
    with SwarmSimulator(authorization="Bearer secret") as swarm, Wire(swarm.url, headers) as wire:
        assert wire.converse()[-1] == {"close": 1000}


def test_a_slow_line_slows_uploads_and_downloads(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(bandwidth_mbit_s=8)  # 1 MB a second

    response = wire.post("GetCurrentStatus", ballast="x" * 300_000)

    assert response.elapsed.total_seconds() > 0.25


def test_the_observers_door_needs_no_authorization(swarm: SwarmSimulator) -> None:
    swarm.script(authorization="Bearer secret")

    knobs = httpx.post(f"{swarm.url}/sim/script", json={"seconds": 3, "fail_next": "oom"}).json()

    assert (knobs["seconds"], knobs["fail_next"]) == (3, ["oom"])
    assert httpx.get(f"{swarm.url}/sim/state").json()["calls"] == {}
    assert httpx.post(f"{swarm.url}/sim/script", json={"sceonds": 3}).status_code == 400
