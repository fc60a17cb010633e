"""What belongs to a caller is used by that caller's tasks alone: pictures, ends, uploads. By real agents and doors."""

from __future__ import annotations

import uuid

import httpx

from darkroom.tasks.message import encode_message
from darkroom.tasks.notification import Notification
from darkroom.tasks.task import Status, TaskKind
from darkroom.testing.fake_sdwebui import FakeSdWebui
from darkroom.testing.pictures import plain
from tests.integration.conftest import Plane, running_gateway
from tests.integration.test_agent import keys, notified, settings_for, task_for, working

from tests.integration.test_agent import runtime  # noqa: F401 isort: skip - a fixture


async def done_for(plane: Plane, caller: str, link: str | None = None) -> Notification:
    """How a task of `caller` ended, which begins with what `link` leads to."""
    content = {"prompt": "A dog", "steps": 2}
    task = task_for(plane, content=content)
    if link is not None:
        task = task_for(plane, kind=TaskKind.IMAGE_TO_IMAGE, content={**content, "init_images": [link]})
    attributes = {"runtime": plane.runtime, "submission_id": uuid.uuid4().hex}
    topic = plane.aws.topic(plane.provisioned.input_topic_arn)
    await topic.publish(encode_message(task), {**attributes, **({"caller": caller} if caller else {})})
    ((end, _),) = await notified(plane)
    return end


async def test_a_callers_pictures_are_no_inputs_of_anothers_tasks(
    plane: Plane,
    runtime: FakeSdWebui,  # noqa: F811
) -> None:
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    async with working(settings_for(plane, runtime.url)):
        made = await done_for(plane, "shop")
        assert made.image_url
        assert made.output_url
        written = await keys(plane)
        assert len(written) == 2
        for key in written:
            async with bucket.open(key) as opened:
                assert opened.owner == "shop", key
        (picture,) = made.image_url
        key = picture.removeprefix(f"s3://{bucket.name}/")
        of_web = f"{plane.settings.endpoint_url}/{bucket.name}/{key}"
        begun = len(runtime.requests)
        for link in (picture, of_web, f"{of_web}?X-Amz-Signature=0", made.output_url):
            end = await done_for(plane, "lab", link)
            assert (end.status, end.image_url) == (Status.FAILED, []), link
            assert end.error
            assert (end.error.type, end.error.retryable) == ("LinkRefused", False)
            assert "it belongs to another caller" in end.error.message
        assert len(runtime.requests) == begun
        for caller, link in (("shop", picture), ("shop", of_web), ("", picture)):
            end = await done_for(plane, caller, link)
            assert end.status is Status.COMPLETED, end.error


async def test_what_nobody_owns_is_for_all(plane: Plane, runtime: FakeSdWebui) -> None:  # noqa: F811
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    await bucket.put("in/cat.png", plain(2000), "image/png")
    async with working(settings_for(plane, runtime.url)):
        made = await done_for(plane, "")
        assert made.image_url
        for link in (f"s3://{bucket.name}/in/cat.png", made.image_url[0]):
            assert (await done_for(plane, "lab", link)).status is Status.COMPLETED


async def test_an_upload_is_its_callers_own(plane: Plane) -> None:
    callers = '[{"name": "shop", "key": "key-of-the-shop-0123456789"}]'
    picture = plain(2000)
    async with running_gateway(plane, DARKROOM_CALLERS=callers) as gateway, httpx.AsyncClient() as http:
        key, wanted = {"x-api-key": "key-of-the-shop-0123456789"}, {"size_bytes": len(picture)}
        told = (await http.post(f"{gateway.endpoint}/v1alpha2/uploads", headers=key, json=wanted)).json()
        assert told["headers"]["x-amz-meta-darkroom-owner"] == "shop"
        assert (await http.put(told["upload_url"], headers=told["headers"], content=picture)).status_code == 200
    bucket = plane.aws.bucket(plane.provisioned.bucket)
    async with bucket.open(told["link"].removeprefix(f"s3://{bucket.name}/")) as opened:
        assert opened.owner == "shop"
