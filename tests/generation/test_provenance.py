"""The signed mark of a stored video: what it says, what it does not say, and that it cannot be lost on the way."""

import hashlib
import socket
from pathlib import Path

import av
import c2pa
import pytest
from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.test import Client
from pytest_django import Settings

from generation.models import Attempt, Provider, Status
from generation.services.links import link
from generation.services.media import check_video
from generation.services.outputs import store
from generation.services.provenance import ALTERED, GENERATED, _manifest, sign, verify
from generation.services.provenance_keys import identity
from tests import factories
from tests.generation.test_media import video
from tests.generation.test_outputs import Server as SwarmServer
from tests.generation.test_outputs import job_of, keys, serving, storing
from tests.generation.test_provenance_keys import mismatched


@pytest.fixture(autouse=True)
def signing(settings: Settings, tmp_path: Path) -> None:
    settings.PROVENANCE = True
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return video(tmp_path_factory.mktemp("video") / "v.mp4", noise=True).read_bytes()


@pytest.fixture(params=[Provider.SWARMUI, Provider.FAL])
def signed(request: pytest.FixtureRequest, tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "v.mp4"
    path.write_bytes(content)
    sign([path], provider=request.param, model="Wan 2.2")
    return path


def boxes(content: bytes) -> dict[str, int]:
    """Where each top-level box of an MP4 begins."""
    found: dict[str, int] = {}
    place = 0
    while place < len(content):
        found.setdefault(content[place + 4 : place + 8].decode("latin-1"), place)
        place += int.from_bytes(content[place : place + 4], "big")
    return found


def pictures(path: Path) -> list[str]:
    with av.open(str(path)) as container:
        return [hashlib.sha256(frame.to_ndarray().tobytes()).hexdigest() for frame in container.decode(video=0)]


def test_a_generated_video_says_that_ai_made_it_and_with_what(signed: Path, settings: Settings) -> None:
    marks = verify(signed)

    assert (marks.present, marks.intact, marks.trusted, marks.problems) == (True, True, True, [])
    assert (marks.source_type, marks.model) == (GENERATED, "Wan 2.2")
    assert marks.software == f"Image to Video {settings.VERSION}"


def test_a_motion_preview_does_not_claim_to_be_ai(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    sign([tmp_path / "v.mp4"], provider=Provider.PREVIEW, model="Motion preview")

    assert verify(tmp_path / "v.mp4").source_type == ALTERED


def test_an_unsigned_video_has_no_marks(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)

    assert not verify(tmp_path / "v.mp4").present


@pytest.mark.parametrize(("box", "offset"), [("mdat", 999), ("mdat", -1), ("moov", 60), ("free", 5), ("uuid", 300)])
def test_one_changed_byte_is_noticed(signed: Path, box: str, offset: int) -> None:
    changed = bytearray(signed.read_bytes())
    place = boxes(bytes(changed))[box] + offset if offset > 0 else len(changed) - 1
    changed[place] ^= 1
    signed.write_bytes(changed)

    assert not verify(signed).intact


def test_a_cut_or_longer_file_is_noticed(signed: Path) -> None:
    whole = signed.read_bytes()
    for changed in (whole[:-1], whole + b"\0\0\0\x0cfree1234"):
        signed.write_bytes(changed)
        assert not verify(signed).intact


def test_a_signed_video_still_plays_from_its_first_bytes(tmp_path: Path, signed: Path, content: bytes) -> None:
    (tmp_path / "plain.mp4").write_bytes(content)

    assert pictures(signed) == pictures(tmp_path / "plain.mp4")
    assert check_video(signed) == check_video(tmp_path / "plain.mp4")
    places = boxes(signed.read_bytes())
    assert places["moov"] < places["mdat"]


def test_signing_again_replaces_the_mark(signed: Path) -> None:
    before = signed.stat().st_size
    sign([signed], provider=Provider.PREVIEW, model="Motion preview")

    assert verify(signed).source_type == ALTERED
    assert abs(signed.stat().st_size - before) < 100


def test_what_is_reported_is_the_file_on_disk(tmp_path: Path, content: bytes) -> None:
    paths = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    for path in paths:
        path.write_bytes(content)
    done = sign(paths, provider=Provider.SWARMUI, model="Wan 2.2")

    assert [(each.bytes, each.sha256) for each in done] == [
        (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()) for path in paths
    ]
    assert sorted(path.name for path in tmp_path.glob("*.mp4*")) == ["a.mp4", "b.mp4"]


def test_a_file_that_names_an_address_is_not_followed_there(tmp_path: Path, content: bytes) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    (tmp_path / "v.mp4").write_bytes(content)
    ours = identity()
    builder = c2pa.Builder(_manifest(Provider.SWARMUI, "Wan 2.2"))
    builder.set_no_embed()
    builder.set_remote_url(f"http://127.0.0.1:{listener.getsockname()[1]}/m.c2pa")
    info = c2pa.C2paSignerInfo(ours.algorithm, ours.chain_pem.encode(), ours.key_pem.encode(), None)
    builder.sign_file(tmp_path / "v.mp4", tmp_path / "remote.mp4", c2pa.Signer.from_info(info))

    assert not verify(tmp_path / "remote.mp4").present
    with pytest.raises(BlockingIOError):
        listener.accept()


# --- storing ------------------------------------------------------------------------------------------------------


def local(key: str) -> Path:
    return Path(default_storage.path(key))


def test_every_stored_mp4_is_signed_and_the_row_describes_the_signed_file(person: User, content: bytes) -> None:
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))

    job = job_of(attempt)
    stored = local(job.video_key).read_bytes()
    assert (job.status, job.video_bytes) == (Status.SUCCEEDED, len(stored))
    assert job.video_sha256 == hashlib.sha256(stored).hexdigest()
    assert [verify(local(key)).trusted for key in (job.video_key, job.loop_key)] == [True, True]


def test_the_attempt_tells_what_the_mark_says(person: User, content: bytes, settings: Settings) -> None:
    with serving(SwarmServer(content)) as server:
        settings.SWARMUI_PRIVATE_HOSTS = [server.url.removeprefix("http://")]
        attempt = storing(person, server=server, model=factories.wan_model())
        store(attempt_id=str(attempt.pk))

    attempt.refresh_from_db()
    told = attempt.engine_metadata["provenance"]
    assert (told["signed"], told["source_type"]) == (True, "trainedAlgorithmicMedia")
    assert factories.wan_model().name in told["says"]
    assert told["issuer"] in told["says"]
    assert attempt.timings["sign"] > 0


def test_nothing_about_the_person_is_in_the_video(content: bytes, db: None) -> None:
    owner = factories.person("quetzalcoatl")
    attempt = storing(owner, spooled=content, prompt="my grandmother waves", negative_prompt="without her dog")
    store(attempt_id=str(attempt.pk))

    stored = local(job_of(attempt).video_key).read_bytes().lower()
    ids = (str(attempt.job_id), str(attempt.pk), attempt.nonce)
    for word in ("quetzalcoatl", "grandmother", "her dog", "picture.png", "store-", "video.mp4", *ids):
        assert word.encode() not in stored


def test_a_video_that_cannot_be_signed_is_not_stored_but_tried_again(
    person: User, content: bytes, settings: Settings
) -> None:
    settings.PROVENANCE_KEY, settings.PROVENANCE_CERT = mismatched()
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))
    waiting, kept = job_of(attempt), keys()
    settings.PROVENANCE_KEY = settings.PROVENANCE_CERT = ""
    store(attempt_id=str(attempt.pk))

    assert (waiting.status, waiting.lease_token, kept) == (Status.STORING, "", [f"spool/{attempt.pk}.mp4"])
    assert "signed" in waiting.message
    assert job_of(attempt).status == Status.SUCCEEDED
    assert verify(local(job_of(attempt).video_key)).trusted


def test_signing_can_be_switched_off(person: User, content: bytes, settings: Settings) -> None:
    settings.PROVENANCE = False
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))

    assert local(job_of(attempt).video_key).read_bytes() == content
    assert Attempt.objects.get().engine_metadata["provenance"] == {"signed": False}
    assert not settings.DATA_DIR.exists()


def test_a_part_of_a_signed_video_is_served_as_it_is_on_disk(person: User, content: bytes, client: Client) -> None:
    attempt = storing(person, spooled=content)
    store(attempt_id=str(attempt.pk))
    key = job_of(attempt).video_key
    answer = client.get(link(key, content_type="video/mp4"), headers={"range": "bytes=3000-9999"})

    assert answer.status_code == 206
    assert answer.getvalue() == local(key).read_bytes()[3000:10000]
