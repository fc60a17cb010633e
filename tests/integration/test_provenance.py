"""Pictures say that a machine made them: what the agent stores, read back by the library that others read it with."""

from __future__ import annotations

import base64
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from darkroom.policy.media_types import recognise
from darkroom.provenance.source_types import mentions
from darkroom.settings import ProvenanceSettings
from darkroom.tasks.notification import Credentials, Notification, PictureProvenance
from darkroom.tasks.task import TaskKind
from darkroom.testing.fake_comfyui import FakeComfyUi
from darkroom.testing.fake_sdwebui import FakeSdWebui
from tests.certificates import Authority
from tests.credentials import Credentials as Read
from tests.credentials import read
from tests.integration.conftest import Plane
from tests.integration.fixed_answers import MODEL, FixedAnswers
from tests.integration.test_agent import keys, notified, settings_for, submit, task_for, until_empty, working
from tests.media_samples import (
    FILMS,
    FILMS_WITHOUT_A_PLACE,
    PARAMETERS,
    PICTURES,
    film_frames_of,
    frames_of,
    picture,
    sound,
    with_texts,
)

GENERATED, COMPOSITE, ENHANCED = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicallyEnhanced",
)
# The library breaks the second page.
PAGES = "tiff of many pages"
WITHOUT_A_PLACE = {**FILMS_WITHOUT_A_PLACE, "bmp": lambda: picture("BMP"), PAGES: PICTURES[PAGES]}


@dataclass(frozen=True)
class Signing:
    """A certificate in a file, and the authority above it, which the tests trust."""

    authority: Authority
    path: Path

    def settings(self, **changes: Any) -> ProvenanceSettings:
        return ProvenanceSettings(**{"certificate": str(self.path), **changes})


@pytest.fixture
def signing(tmp_path: Path) -> Signing:
    authority, path = Authority(), tmp_path / "certificate.pem"
    path.write_bytes(authority.issue())
    return Signing(authority, path)


@pytest.fixture
async def answers() -> AsyncIterator[FixedAnswers]:
    async with FixedAnswers([picture("PNG")]) as server:
        yield server


async def ended(plane: Plane, runtime_url: str, provenance: ProvenanceSettings, **task: Any) -> Notification:
    """The end of one task."""
    async with working(settings_for(plane, runtime_url, provenance=provenance)):
        await submit(plane, task_for(plane, **task))
        ((end, _),) = await notified(plane)
        await until_empty(plane.queue)
    return end


async def stored(plane: Plane, url: str) -> bytes:
    return await plane.aws.bucket(plane.provisioned.bucket).get(url.split("/", 3)[3])


async def credentials_of(plane: Plane, end: Notification, signing: Signing, number: int = 1) -> Read:
    """What the library reads of one of a task's pictures, in it or beside it."""
    told = (end.provenance or [])[number - 1]
    assert told is not None
    data = await stored(plane, (end.image_url or [])[number - 1])
    sidecar = None if told.sidecar_url is None else await stored(plane, told.sidecar_url)
    media_type = recognise(data)
    assert media_type is not None
    return read(data, media_type.content_type, signing.authority.root, sidecar)


@pytest.mark.parametrize("name", [*(name for name in PICTURES if name != PAGES), *FILMS])
async def test_a_file_of_every_kind_is_signed_and_shows_what_it_showed(
    plane: Plane, signing: Signing, answers: FixedAnswers, name: str
) -> None:
    before = {**PICTURES, **FILMS}[name]()
    answers.files = (before,)
    end = await ended(plane, answers.url, signing.settings())
    after = await stored(plane, (end.image_url or [])[0])
    found = await credentials_of(plane, end, signing)
    assert (found.state, found.faults) == ("Trusted", set())
    assert found.actions == [("c2pa.created", GENERATED)]
    assert end.provenance == [PictureProvenance(credentials=Credentials.EMBEDDED, digital_source_type=GENERATED)]
    assert mentions(after) == {GENERATED}
    shown = film_frames_of if name in FILMS else frames_of
    assert shown(after) == shown(before)


@pytest.mark.parametrize("name", WITHOUT_A_PLACE)
async def test_a_file_that_cannot_hold_credentials_has_them_beside_it(
    plane: Plane, signing: Signing, answers: FixedAnswers, name: str
) -> None:
    before = WITHOUT_A_PLACE[name]()
    answers.files = (before,)
    end = await ended(plane, answers.url, signing.settings())
    (url,) = end.image_url or []
    after = await stored(plane, url)
    source_type = GENERATED if name == PAGES else None
    assert frames_of(after) == frames_of(before) if source_type else after == before
    beside = f"{url.rpartition('.')[0]}.c2pa"
    expected = PictureProvenance(credentials=Credentials.SIDECAR, digital_source_type=source_type, sidecar_url=beside)
    assert end.provenance == [expected]
    record = await plane.aws.task_table(plane.provisioned.table).get("t1")
    assert record is not None
    assert record.provenance == end.provenance
    assert (await credentials_of(plane, end, signing)).state == "Trusted"
    sidecar = await stored(plane, beside)
    media_type = recognise(before)
    assert media_type is not None
    tampered = read(after[:-40] + bytes(40), media_type.content_type, signing.authority.root, sidecar)
    assert "assertion.dataHash.mismatch" in tampered.faults


async def test_sound_is_signed_too(plane: Plane, signing: Signing, answers: FixedAnswers) -> None:
    answers.files = (sound(),)
    end = await ended(plane, answers.url, signing.settings())
    assert (await credentials_of(plane, end, signing)).state == "Trusted"


async def test_a_picture_says_who_made_it_by_which_model(plane: Plane, signing: Signing, answers: FixedAnswers) -> None:
    answers.files = (with_texts(), picture("PNG"))
    content = {"prompt": "a secret dog", "negative_prompt": "a cat"}
    end = await ended(plane, answers.url, signing.settings(), content=content)
    found = await credentials_of(plane, end, signing)
    assert found.generator["name"] == "Darkroom"
    assert found.generator["version"]
    assert found.generator["io.darkroom.model"] == MODEL
    assert found.generator["io.darkroom.runtime"] == f"{plane.runtime} (sdwebui)"
    assert found.deed["softwareAgent"]["name"] == MODEL
    assert "when" in found.deed
    assert "secret" not in str(found.manifest)
    with Image.open(io.BytesIO(await stored(plane, (end.image_url or [])[0]))) as opened:
        opened.load()
        assert opened.info["parameters"] == PARAMETERS
    assert len(end.provenance or []) == 2


async def test_prompts_are_told_where_the_operator_wants_that(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    content = {"prompt": "a dog", "negative_prompt": "a cat"}
    end = await ended(plane, answers.url, signing.settings(include_prompts=True), content=content)
    parameters = (await credentials_of(plane, end, signing)).deed["parameters"]
    assert parameters["io.darkroom.prompt.prompt"] == "a dog"
    assert parameters["io.darkroom.prompt.negative_prompt"] == "a cat"


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP", "GIF", "TIFF", "AVIF"])
async def test_a_changed_pixel_is_found(plane: Plane, signing: Signing, answers: FixedAnswers, form: str) -> None:
    answers.files = (picture(form),)
    end = await ended(plane, answers.url, signing.settings())
    data = bytearray(await stored(plane, (end.image_url or [])[0]))
    media_type = recognise(bytes(data))
    assert media_type is not None
    # Of the file's own picture data, which each of these kinds has about the middle of what came from the runtime.
    place = bytes(data).find(answers.files[0][len(answers.files[0]) // 2 :][:16])
    assert place > 0
    data[place] ^= 1
    found = read(bytes(data), media_type.content_type, signing.authority.root)
    assert found.state == "Invalid"
    assert found.faults & {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch", "assertion.boxesHash.mismatch"}


async def test_what_is_made_from_a_signed_picture_has_that_for_its_parent(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    """By a link into the bucket, and by base64 in the request, whole and with line ends in it."""
    first = await ended(plane, answers.url, signing.settings())
    url = (first.image_url or [])[0]
    inline = base64.b64encode(await stored(plane, url)).decode()
    broken = "\n".join(inline[place : place + 76] for place in range(0, len(inline), 76))
    for number, text in enumerate((url, inline, f"data:image/png;base64,{inline}", broken)):
        content = {"prompt": "a dog", "init_images": [text]}
        end = await ended(
            plane, answers.url, signing.settings(), task_id=f"i{number}", kind=TaskKind.IMAGE_TO_IMAGE, content=content
        )
        found = await credentials_of(plane, end, signing)
        assert (found.state, found.faults) == ("Trusted", set())
        assert found.actions == [("c2pa.opened", None), ("c2pa.edited", COMPOSITE)]
        assert found.ingredients == [("parentOf", True)]


async def test_of_several_pictures_the_first_is_the_parent(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    first = await ended(plane, answers.url, signing.settings())
    url = (first.image_url or [])[0]
    content = {"prompt": "a dog", "init_images": [url, base64.b64encode(picture("PNG")).decode(), url, url]}
    end = await ended(
        plane, answers.url, signing.settings(), task_id="t2", kind=TaskKind.IMAGE_TO_IMAGE, content=content
    )
    found = await credentials_of(plane, end, signing)
    assert (found.state, found.faults, end.warnings) == ("Trusted", set(), ())
    assert found.ingredients == [("parentOf", True), ("inputTo", True), ("inputTo", True)]


async def test_what_is_made_from_a_picture_that_says_nothing_is_a_composite(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    mask = base64.b64encode(picture("PNG")).decode()
    content = {"prompt": "a dog", "init_images": [mask], "mask": mask}
    end = await ended(plane, answers.url, signing.settings(), kind=TaskKind.IMAGE_TO_IMAGE, content=content)
    found = await credentials_of(plane, end, signing)
    assert (found.state, found.actions, found.ingredients) == ("Trusted", [("c2pa.created", COMPOSITE)], [])
    assert mentions(await stored(plane, (end.image_url or [])[0])) == {COMPOSITE}


@pytest.mark.parametrize(
    ("options", "action", "source_type"),
    [
        ({"upscaler_1": "Lanczos"}, "c2pa.resized", ENHANCED),
        ({"upscaler_1": "R-ESRGAN 4x+"}, "c2pa.edited", COMPOSITE),
        ({"upscaler_1": "Lanczos", "upscaler_2": "SwinIR_4x"}, "c2pa.edited", COMPOSITE),
        ({"upscaler_1": "None", "gfpgan_visibility": 0.5}, "c2pa.edited", COMPOSITE),
    ],
)
async def test_upscaling_is_an_edit_and_by_a_network_an_artificial_one(
    plane: Plane, signing: Signing, answers: FixedAnswers, options: dict[str, Any], action: str, source_type: str
) -> None:
    content = {"image": base64.b64encode(picture("PNG")).decode(), **options}
    end = await ended(plane, answers.url, signing.settings(), kind=TaskKind.EXTRA_SINGLE_IMAGE, content=content)
    found = await credentials_of(plane, end, signing)
    assert (found.state, found.faults) == ("Trusted", set())
    assert found.actions == [("c2pa.opened", None), (action, source_type)]
    assert found.ingredients == [("parentOf", False)]


async def test_enlarging_an_artificial_picture_does_not_make_it_a_natural_one(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    """SD Web UI writes the picture anew, without the words that it had."""
    first = await ended(plane, answers.url, ProvenanceSettings())
    content = {"image": (first.image_url or [])[0], "upscaler_1": "Lanczos"}
    end = await ended(
        plane, answers.url, signing.settings(), task_id="t2", kind=TaskKind.EXTRA_SINGLE_IMAGE, content=content
    )
    assert mentions(await stored(plane, (end.image_url or [])[0])) == {GENERATED}
    assert (await credentials_of(plane, end, signing)).actions[-1] == ("c2pa.resized", GENERATED)


async def test_each_picture_of_a_batch_has_its_own_parent(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    first = await ended(plane, answers.url, signing.settings())
    signed = base64.b64encode(await stored(plane, (first.image_url or [])[0])).decode()
    plain = base64.b64encode(picture("JPEG")).decode()
    answers.files = (picture("PNG"), picture("JPEG"))
    content = {
        "upscaler_1": "R-ESRGAN 4x+",
        "imageList": [{"data": signed, "name": "a"}, {"data": plain, "name": "b"}],
    }
    end = await ended(
        plane, answers.url, signing.settings(), task_id="t2", kind=TaskKind.EXTRA_BATCH_IMAGES, content=content
    )
    for number, has_credentials in ((1, True), (2, False)):
        found = await credentials_of(plane, end, signing, number)
        assert (found.state, found.ingredients) == ("Trusted", [("parentOf", has_credentials)])


async def test_what_a_runtime_has_signed_itself_keeps_its_signature(
    plane: Plane, signing: Signing, answers: FixedAnswers
) -> None:
    first = await ended(plane, answers.url, signing.settings())
    answers.files = (await stored(plane, (first.image_url or [])[0]),)
    end = await ended(plane, answers.url, signing.settings(), task_id="t2")
    found = await credentials_of(plane, end, signing)
    assert (found.state, found.ingredients) == ("Trusted", [("parentOf", True)])


async def test_a_pipelines_pictures_are_signed_and_made_from_what_it_loads(plane: Plane, signing: Signing) -> None:
    async with FakeComfyUi() as runtime:
        settings = settings_for(plane, runtime.url, runtime_type="comfyui", provenance=signing.settings())
        async with working(settings):
            await submit(plane, task_for(plane, kind=TaskKind.PIPELINE, content=_workflow()))
            ((first, _),) = await notified(plane)
            loading = _workflow((first.image_url or [])[0])
            await submit(plane, task_for(plane, "t2", kind=TaskKind.PIPELINE, content=loading))
            ((second, _),) = await notified(plane)
            await until_empty(plane.queue)
    found = await credentials_of(plane, first, signing)
    assert (found.state, found.actions) == ("Trusted", [("c2pa.created", GENERATED)])
    found = await credentials_of(plane, second, signing)
    assert (found.state, found.actions[-1]) == ("Trusted", ("c2pa.edited", COMPOSITE))
    assert found.ingredients == [("parentOf", True)]


async def test_what_is_switched_off_leaves_files_as_they_come(plane: Plane, answers: FixedAnswers) -> None:
    end = await ended(plane, answers.url, ProvenanceSettings(enabled=False))
    assert await stored(plane, (end.image_url or [])[0]) == answers.files[0]
    assert not end.provenance


async def test_pictures_of_the_fake_server_are_signed(plane: Plane, signing: Signing) -> None:
    async with FakeSdWebui() as runtime:
        end = await ended(plane, runtime.url, signing.settings(), content={"prompt": "a dog", "batch_size": 4})
    assert len(end.image_url or []) == 4
    for number in range(1, 5):
        assert (await credentials_of(plane, end, signing, number)).state == "Trusted"
    assert len(await keys(plane)) == 5


def _workflow(link: str | None = None) -> dict[str, Any]:
    """Saves an empty picture, or one that it loads."""
    source = (
        {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 1}}
        if link is None
        else {"class_type": "LoadImage", "inputs": {"image": link}}
    )
    return {"1": source, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}
