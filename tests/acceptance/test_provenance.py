"""Every picture of the stack says that a machine made it: read with the library that others read it with."""

from __future__ import annotations

import io
import stat
import uuid
from typing import Any

import pytest
from PIL import Image

from darkroom.policy.media_types import recognise
from darkroom.samples import read_sample
from tests.acceptance.conftest import Stack, wait_for
from tests.command_line import darkroom
from tests.credentials import Credentials, read

GENERATED, COMPOSITE = "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia"


def done(stack: Stack, kind: str, **content: Any) -> dict[str, Any]:
    """What the API says of a task that has ended, with a sample's content but for `content`."""
    body = read_sample(f"v1alpha2-{kind}")
    task_id = f"{kind}-{uuid.uuid4().hex[:8]}"
    body["task"]["metadata"] |= {"id": task_id, "runtime": "sdruntime"}
    body["task"]["content"] = {**body["task"]["content"], **content}
    assert stack.post(body).status_code == 200

    def ended() -> dict[str, Any] | None:
        reply = stack.http.get(
            f"{stack.facts.endpoint}/v1alpha2/tasks/{task_id}", headers={"x-api-key": stack.facts.api_key}
        )
        view: dict[str, Any] = reply.json()
        return view if view.get("status") in ("completed", "failed") else None

    found: dict[str, Any] = wait_for(ended, f"the end of {task_id}")
    assert found["status"] == "completed", found
    return found


def picture(stack: Stack, view: dict[str, Any], number: int = 0) -> bytes:
    bucket, key = view["image_url"][number].removeprefix("s3://").split("/", 1)
    body: bytes = stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def credentials(stack: Stack, data: bytes) -> Credentials:
    """What the library says, to somebody who trusts this stack's certificate."""
    media_type = recognise(data)
    assert media_type is not None
    anchors = (stack.folder / ".darkroom" / "provenance" / "certificate.pem").read_bytes()
    return read(data, media_type.content_type, anchors)


@pytest.mark.parametrize("form", ["png", "jpg", "webp"])
def test_a_picture_of_every_format_is_signed_and_names_its_model(open_stack: Stack, form: str) -> None:
    view = done(open_stack, "text-to-image", override_settings={"samples_format": form})
    data = picture(open_stack, view)
    found = credentials(open_stack, data)
    assert (found.state, found.faults) == ("Trusted", set())
    assert found.actions == [("c2pa.created", GENERATED)]
    assert found.generator["io.darkroom.model"]
    assert view["provenance"] == [{"credentials": "embedded", "digital_source_type": GENERATED}]
    with Image.open(io.BytesIO(data)) as opened:
        opened.load()
        assert (opened.format or "").lower() == {"jpg": "jpeg"}.get(form, form)
        if form == "png":
            assert "Steps: " in opened.info["parameters"]


def test_what_is_made_from_a_picture_of_the_stack_names_it_as_its_parent(open_stack: Stack) -> None:
    first = done(open_stack, "text-to-image")
    link = first["image_url"][0]
    redrawn = credentials(open_stack, picture(open_stack, done(open_stack, "image-to-image", init_images=[link])))
    assert (redrawn.state, redrawn.ingredients) == ("Trusted", [("parentOf", True)])
    assert redrawn.actions == [("c2pa.opened", None), ("c2pa.edited", COMPOSITE)]
    larger = done(open_stack, "extra-single-image", image=link, upscaler_1="Lanczos")
    found = credentials(open_stack, picture(open_stack, larger))
    assert (found.state, found.ingredients) == ("Trusted", [("parentOf", True)])
    assert found.actions == [("c2pa.opened", None), ("c2pa.resized", GENERATED)]
    assert larger["provenance"] == [{"credentials": "embedded", "digital_source_type": GENERATED}]


def test_a_changed_picture_is_told_from_a_whole_one_on_the_command_line(open_stack: Stack) -> None:
    data = picture(open_stack, done(open_stack, "text-to-image"))
    path = open_stack.folder / "picture.png"
    command = ["provenance", "show", str(path)]
    anchors = open_stack.folder / ".darkroom" / "provenance" / "certificate.pem"
    path.write_bytes(data)
    shown = darkroom(*command, "--trust-anchors", str(anchors))
    assert shown.returncode == 0, shown.stderr
    assert "one that you trust" in shown.stdout
    assert "for trials" in (open_stack.folder / "up.log").read_text()
    broken = bytearray(data)
    broken[-40] ^= 1
    path.write_bytes(broken)
    shown = darkroom(*command)
    assert shown.returncode == 1
    assert "CHANGED" in shown.stdout


def test_the_stacks_key_is_its_own_users_alone_and_stands_in_no_log(open_stack: Stack) -> None:
    path = open_stack.folder / ".darkroom" / "provenance" / "certificate.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = path.read_text().split("PRIVATE KEY-----")[1].strip().splitlines()[0]
    assert open_stack.logged(key) == []
