"""Checklist 6 and 9: results, downloads, history."""

import base64
import hashlib
import io
import json

import av
import httpx
import numpy as np
import pytest
from PIL import Image

from tests.simulators.swarmui import SwarmSimulator
from tests.simulators.swarmui_wire import Message, Wire, pick

ONE = "View/local/raw/jobs/one.mp4"


def generate(wire: Wire, **job: object) -> list[str]:
    images: list[str] = wire.call("GenerateText2Image", **wire.job(**job))["images"]
    return images


def listed(wire: Wire, path: str = "raw/jobs", **more: object) -> list[Message]:
    files: list[Message] = wire.call("ListImages", path=path, depth=1, **more)["files"]
    return files


def test_the_video_moves_and_shows_the_picture_that_was_sent(wire: Wire) -> None:
    generate(wire)
    with av.open(io.BytesIO(wire.view(ONE).content), "r") as video:
        frames = [frame.to_ndarray(format="gray").astype(int) for frame in video.decode(video=0)]

    assert len(frames) == 9
    assert np.abs(frames[0] - frames[-1]).mean() > 5
    assert frames[0][0].mean() < 30 < 200 < frames[0][-1].mean()


def test_a_name_keeps_its_spaces_and_percent_signs(wire: Wire) -> None:
    (path,) = generate(wire, prompt="a 100% wet dog, running", overrideoutpathformat=None)

    assert " wet dog, running-wan2" in path
    assert "100%" in path
    assert wire.view(path).headers["content-type"] == "video/mp4"


def test_forbidden_characters_are_stripped_from_the_output_path(wire: Wire) -> None:
    assert generate(wire, overrideoutpathformat="raw/../j:o?bs/o.n<e>") == ["View/local/raw/jobs/one.mp4"]


def test_a_taken_name_gets_a_number_and_stays_blocked_after_deleting(wire: Wire) -> None:
    generate(wire)
    wire.call("DeleteImage", path="raw/jobs/one.mp4")

    assert generate(wire) == ["View/local/raw/jobs/one-1.mp4"]
    assert generate(wire) == ["View/local/raw/jobs/one-2.mp4"]


def test_freeing_system_memory_frees_names(wire: Wire) -> None:
    generate(wire)
    wire.call("DeleteImage", path="raw/jobs/one.mp4")
    wire.call("FreeBackendMemory", system_ram=True)

    assert generate(wire) == [ONE]


@pytest.mark.parametrize(
    ("wanted", "status", "content_range"),
    [
        ("bytes=0-9", 206, "bytes 0-9/{}"),
        ("bytes=10-", 206, "bytes 10-{last}/{}"),
        ("bytes=-5", 206, "bytes {tail}-{last}/{}"),
        ("bytes=9999999-", 416, "bytes */{}"),
    ],
)
def test_parts_of_a_result_can_be_fetched(wire: Wire, wanted: str, status: int, content_range: str) -> None:
    generate(wire)
    whole = wire.view(ONE).content

    part = wire.view(ONE, headers={"range": wanted})

    size = len(whole)
    assert part.status_code == status
    assert part.headers["content-range"] == content_range.format(size, last=size - 1, tail=size - 5)
    assert status == 416 or part.content in whole


def test_results_are_cacheable_for_half_a_minute_and_have_no_etag(wire: Wire) -> None:
    generate(wire)
    headers = wire.view(ONE).headers

    assert headers["cache-control"] == "private, max-age=30"
    assert "etag" not in headers
    assert "last-modified" not in headers


def test_a_result_is_only_served_to_get(wire: Wire) -> None:
    generate(wire)

    assert wire.http.head(f"/{ONE}").status_code == 405


@pytest.mark.parametrize(
    ("path", "status", "error_id"),
    [
        ("View/local/raw/nothing.mp4", 404, "file_not_found"),
        ("View/nobody/raw/one.mp4", 400, "invalid_user"),
        ("View/local/%2e%2e/%2e%2e/etc/passwd", 400, "bad_path"),
    ],
)
def test_a_wrong_result_path_is_refused_in_json(wire: Wire, path: str, status: int, error_id: str) -> None:
    response = wire.http.get(f"/{path}")

    assert (response.status_code, response.json()["error_id"]) == (status, error_id)


def test_the_legacy_path_leads_to_the_same_file(wire: Wire) -> None:
    generate(wire)

    assert wire.view("Output/raw/jobs/one.mp4").content == wire.view(ONE).content


@pytest.mark.parametrize(("more", "format_"), [({}, "WEBP"), ({"noanim": "true"}, "JPEG")])
def test_a_thumbnail_can_be_asked_for(wire: Wire, more: dict[str, str], format_: str) -> None:
    generate(wire)
    response = wire.view(ONE, params={"preview": "true"} | more)

    assert Image.open(io.BytesIO(response.content)).format == format_
    assert [file["src"] for file in listed(wire)] == ["one.mp4"]


def test_a_sidecar_holds_the_metadata(wire: Wire) -> None:
    image = next(message for message in wire.converse(personalnote="nonce-1") if "image" in message)
    (file,) = listed(wire)

    assert wire.view("View/local/raw/jobs/one.swarm.json").json() == json.loads(image["metadata"])
    assert file == {"src": "one.mp4", "metadata": image["metadata"]}
    assert json.loads(file["metadata"])["sui_image_params"]["personalnote"] == "nonce-1"


def test_donotsave_answers_with_the_whole_video_and_keeps_nothing(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(result_mb=3)
    (data_url,) = generate(wire, donotsave=True)

    head, _, data = data_url.partition(",")
    assert head == "data:video/mp4;base64"
    assert len(base64.b64decode(data)) == 3_000_000
    assert wire.call("ListImages", path="raw", depth=3) == {"error": "404, path not found."}


def test_a_padded_result_is_still_a_video(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(result_mb=2)
    generate(wire)
    content = wire.view(ONE).content

    assert len(content) == 2_000_000
    with av.open(io.BytesIO(content), "r") as video:
        assert len(list(video.decode(video=0))) == 9


def test_cheap_results_are_different_files_of_the_same_video(swarm: SwarmSimulator, wire: Wire) -> None:
    swarm.script(cheap=True)
    paths = generate(wire, images=2)
    digests = {hashlib.sha256(wire.view(path).content).hexdigest() for path in paths}

    assert len(digests) == 2


def test_intermediate_images_have_indices_from_minus_eleven_down(wire: Wire) -> None:
    messages = wire.converse(outputintermediateimages=True)

    assert pick(messages, "batch_index") == ["-11", "0"]
    assert pick(messages, "image")[0].endswith(".png")


@pytest.mark.parametrize(
    ("format_", "extension", "mime"),
    [("webm", "webm", "video/webm"), ("prores", "mov", "video/quicktime"), ("gif", "gif", "image/gif")],
)
def test_other_formats_have_their_own_names_and_types(wire: Wire, format_: str, extension: str, mime: str) -> None:
    (path,) = generate(wire, videoformat=format_)

    assert path.endswith(f".{extension}")
    assert wire.view(path).headers["content-type"] == mime


def test_one_frame_is_a_png_whatever_the_format(wire: Wire) -> None:
    assert generate(wire, videoframes=1) == ["View/local/raw/jobs/one.png"]


def test_an_earlier_result_may_be_the_picture_of_the_next_job(swarm: SwarmSimulator, wire: Wire) -> None:
    generate(wire, videoframes=1)
    generate(wire, initimage="raw/jobs/one.png", overrideoutpathformat="raw/jobs/two")

    first = wire.view("View/local/raw/jobs/one.png").content
    assert swarm.renders()[1]["picture_sha256"] == hashlib.sha256(first).hexdigest()


def test_deleting_takes_the_path_below_the_users_folder_and_the_sidecars_too(swarm: SwarmSimulator, wire: Wire) -> None:
    generate(wire)
    url_form = wire.call("DeleteImage", path=ONE)
    plain_form = wire.call("DeleteImage", path="raw/jobs/one.mp4")

    assert url_form == {"error": "That file does not exist, cannot delete."}
    assert plain_form == {"success": True}
    assert list((swarm.output / "local/raw/jobs").iterdir()) == []


def test_history_is_newest_first_and_limited(swarm: SwarmSimulator, wire: Wire) -> None:
    generate(wire, images=3)
    names = [file["src"] for file in listed(wire, sortBy="Name")]
    swarm.script(list_limit=2)

    assert names == ["one.mp4", "one-2.mp4", "one-1.mp4"]
    assert [file["src"] for file in listed(wire)] == names[:2]
    assert [file["src"] for file in listed(wire, sortReverse=True)] == ["one-1.mp4", "one-2.mp4"]


def test_folders_are_listed_as_deep_as_asked(wire: Wire) -> None:
    generate(wire)

    assert wire.call("ListImages", path="", depth=1)["folders"] == ["raw"]
    assert wire.call("ListImages", path="", depth=2)["files"][0]["src"] == "raw/jobs/one.mp4"
    assert wire.call("ListImages", path="nowhere", depth=1) == {"error": "404, path not found."}


def test_another_user_has_another_folder(swarm: SwarmSimulator) -> None:
    with Wire(swarm.url, {"X-SWARM-USER_ID": "ada"}) as ada:
        assert generate(ada) == ["View/ada/raw/jobs/one.mp4"]


def test_a_download_can_break_off_half_way_and_be_resumed(swarm: SwarmSimulator, wire: Wire) -> None:
    generate(wire)
    swarm.script(cut_downloads=1)
    with pytest.raises(httpx.RemoteProtocolError):
        wire.view(ONE)

    assert wire.view(ONE, headers={"range": "bytes=100-"}).status_code == 206


def test_a_proxy_can_answer_in_place_of_the_server(swarm: SwarmSimulator, wire: Wire) -> None:
    generate(wire)
    swarm.script(view_error_next=[502], http_error_next=[504])

    assert [wire.view(ONE).status_code, wire.view(ONE).status_code] == [502, 200]
    assert [wire.post("GetCurrentStatus").status_code, wire.post("GetCurrentStatus").status_code] == [504, 200]
