import base64
import json
from typing import Any

import pytest

from gpu.clients.swarmui_errors import SwarmProtocolError, SwarmResultRefused
from gpu.clients.swarmui_messages import (
    Ended,
    ErrorMessage,
    GenProgress,
    ImageMessage,
    KeepAlive,
    Status,
    Unknown,
    clean_text,
    decode_preview,
    parse_message,
    parse_metadata,
    parse_session,
)
from gpu.clients.swarmui_results import result_path


def parsed(**message: Any) -> Any:
    return parse_message(json.dumps(message).encode())


def test_every_message_of_the_stream_has_its_type() -> None:
    counts = {"waiting_gens": 1, "loading_models": 0, "waiting_backends": 1, "live_gens": 0}
    assert parsed(status=counts, backend_status={"status": "running"}) == Status(1, 0, 1, 0, "running")
    assert parsed(status=counts, supported_features=["video", 7, "x" * 61]).features == {"video"}
    assert parsed(status=counts, supported_features="video").features == frozenset()
    assert parsed(keep_alive=True) == KeepAlive()
    assert parsed(discard_indices=[]) == Ended()
    assert parsed(socket_intention="close") == Ended()
    assert parsed(error="No backends available!") == ErrorMessage("No backends available!")
    assert parsed(raw_backend_data={"type": "comfy_websocket"}) == Unknown()


@pytest.mark.parametrize("index", ["0", 0])
def test_a_batch_index_may_be_text_or_a_number(index: object) -> None:
    news = {"batch_index": index, "request_id": "1001", "overall_percent": 0.3, "current_percent": 1}
    assert parsed(gen_progress=news) == GenProgress(0, 0.3, 1.0)


def test_an_image_comes_with_its_metadata_as_an_object() -> None:
    message = parsed(image="View/local/raw/a.mp4", batch_index="-11", metadata='{"sui_image_params": {"seed": 3}}')
    assert message == ImageMessage("View/local/raw/a.mp4", -11, {"sui_image_params": {"seed": 3}})


def test_an_image_may_come_without_metadata() -> None:
    assert parsed(image="View/local/a.mp4", batch_index="0", metadata=None).metadata == {}


def test_shares_outside_zero_to_one_are_clamped() -> None:
    news = parsed(gen_progress={"batch_index": "0", "overall_percent": 1.7, "current_percent": -3})
    assert (news.overall, news.current) == (1.0, 0.0)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff\xfe",
        b"{" * 100_000,
        b'{"gen_progress": 3}',
        b'{"gen_progress": {"batch_index": "x"}}',
        b'{"gen_progress": {"batch_index": "0", "overall_percent": NaN}}',
        b'{"gen_progress": {"batch_index": "0", "overall_percent": "1"}}',
        b'{"status": {"waiting_gens": -1}}',
        b'{"status": {"waiting_gens": true}}',
        b'{"status": null}',
        b'{"image": 5, "batch_index": "0"}',
        b'{"image": "View/a.mp4", "batch_index": 1.5}',
    ],
)
def test_what_swarmui_would_not_say_is_a_protocol_error(raw: bytes) -> None:
    with pytest.raises(SwarmProtocolError):
        parse_message(raw)


def test_metadata_loses_what_no_database_keeps() -> None:
    assert parse_metadata('{"a": "x\\u0000y", "b": ["\\ud800"]}') == {"a": "xy", "b": ["?"]}


@pytest.mark.parametrize("text", ["", "no json", "[1]", '{"a": NaN}', '{"a": "' + "x" * 300_000 + '"}'])
def test_useless_metadata_is_none(text: str) -> None:
    assert parse_metadata(text) == {}


def test_results_stand_in_the_users_folder_or_in_output() -> None:
    answer = {"session_id": "A" * 40, "user_id": "local", "output_append_user": True}
    assert parse_session(answer).output_root == "View/local"
    assert parse_session(answer | {"output_append_user": False}).output_root == "Output"


def test_a_result_path_is_quoted_by_us() -> None:
    assert result_path("View/local/raw/a dog, [1] é.mp4") == "/View/local/raw/a%20dog%2C%20%5B1%5D%20%C3%A9.mp4"


@pytest.mark.parametrize(
    "path",
    [
        "",
        "View",
        "/View/local/a.mp4",
        "View//a.mp4",
        "View/../a.mp4",
        "View/./a.mp4",
        "View/local\\a.mp4",
        "View/%2e%2e/a.mp4",
        "View/a.mp4?x=1",
        "View/a.mp4#x",
        "View/a\nb.mp4",
        "View/a.exe",
        "View/a.mp4/",
        "API/a.mp4",
        "http://evil.example/View/a.mp4",
        "View/\ud800.mp4",
        "View/" + "a/" * 600 + "a.mp4",
        "data:video/mp4;base64,AAAA",
    ],
)
def test_any_other_result_path_is_refused(path: str) -> None:
    with pytest.raises(SwarmResultRefused):
        result_path(path)


def test_an_error_text_never_repeats_the_picture_or_a_session() -> None:
    picture = base64.b64encode(b"\x01\x02\x03" * 100_000).decode()
    text = clean_text(f"Invalid IMAGE value - 'data:image/png;base64,{picture}' - got '{picture}'")
    assert len(text) <= 300
    assert picture[:40] not in text
    assert "4F1C0B7A92E3" not in clean_text("session 4F1C0B7A92E3D5568810AC47FE29B36D70915EC2 is bad")


def test_an_error_text_is_one_line() -> None:
    assert clean_text("a\r\n\x00b\x1b[31m") == "a b [31m"


def test_a_preview_is_decoded() -> None:
    assert decode_preview("data:image/webp;base64," + base64.b64encode(b"RIFF").decode()) == b"RIFF"


@pytest.mark.parametrize(
    "url",
    ["", "data:text/html;base64,AAAA", "data:image/webp;base64,!!!!", "data:image/webp;base64," + "A" * 6_000_000],
)
def test_a_preview_that_is_none_or_too_large_is_dropped(url: str) -> None:
    assert decode_preview(url) is None
