"""The client's core through both shells: the same answers lead to the same requests, pauses and results."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from darkroom.client import (
    ApiFailure,
    ApiUnreachable,
    AsyncClient,
    Client,
    InvalidRequest,
    RequestWarning,
    Status,
    TaskFailed,
    TaskView,
    WaitTimeout,
    image_to_image,
    pipeline,
    text_to_image,
    upscale,
)
from darkroom.samples import read_sample
from darkroom.tasks import v1alpha2
from darkroom.tasks.replies import UsageReply

ACCEPTED = {"id_task": "cat", "id": "cat", "runtime": "sdruntime", "output_location": "s3://b/output/cat"}


def view(status: str, **more: Any) -> dict[str, Any]:
    times = {"created_at": "2027-01-15T08:00:00Z", "updated_at": "2027-01-15T08:00:00Z"}
    return (
        {"id": "cat", "status": status, "runtime": "sdruntime", "output_location": "s3://b/output/cat"} | times | more
    )


class Server:
    """Answers with a script: each answer is a response, or an error of the transport."""

    def __init__(self, *answers: httpx.Response | Exception) -> None:
        self._answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.pauses: list[float] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


def call_blocking(server: Server, method: str, *arguments: Any, **options: Any) -> Any:
    transport = httpx.MockTransport(server.answer)
    with Client("http://door/prod/", "secret", transport=transport, sleep=server.pauses.append) as client:
        return getattr(client, method)(*arguments, **options)


def call_async(server: Server, method: str, *arguments: Any, **options: Any) -> Any:
    async def run() -> Any:
        transport = httpx.MockTransport(server.answer)
        async with AsyncClient("http://door/prod", "secret", transport=transport, sleep=server.pause) as client:
            return await getattr(client, method)(*arguments, **options)

    return asyncio.run(run())


def use(call: Any, server: Server, blocking: Any, with_coroutines: Any) -> Any:
    """Run one of the two functions with a client of the kind that `call` has."""

    async def run() -> Any:
        transport = httpx.MockTransport(server.answer)
        async with AsyncClient("http://door/prod", "secret", transport=transport, sleep=server.pause) as client:
            return await with_coroutines(client)

    if call is call_async:
        return asyncio.run(run())
    transport = httpx.MockTransport(server.answer)
    with Client("http://door/prod/", "secret", transport=transport, sleep=server.pauses.append) as client:
        return blocking(client)


@pytest.fixture(params=[call_blocking, call_async], ids=["blocking", "async"])
def call(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_a_request_is_sent_as_the_guide_says(call: Any) -> None:
    server = Server(httpx.Response(200, json=ACCEPTED))
    accepted = call(server, "submit", text_to_image("a cat", runtime="sdruntime", id="cat"))
    assert (accepted.id, accepted.output_location) == ("cat", "s3://b/output/cat")
    (request,) = server.requests
    assert (request.method, str(request.url)) == ("POST", "http://door/prod/v1alpha2")
    assert request.headers["x-api-key"] == "secret"
    assert request.headers["content-type"] == "application/json"
    draft = v1alpha2.decode_request(request.content)
    assert draft.faults == ()
    assert draft.content is not None
    assert draft.content["prompt"] == "a cat"


def test_what_the_front_door_warns_of_is_shown(call: Any) -> None:
    said = [{"path": "task.content.cfg_scal", "reason": "is no field that is known here; did you mean 'cfg_scale'?"}]
    server = Server(httpx.Response(200, json=ACCEPTED | {"warnings": said}))
    with pytest.warns(RequestWarning, match="cfg_scal is no field .* did you mean 'cfg_scale'"):
        accepted = call(server, "submit", text_to_image("a cat", runtime="sdruntime", cfg_scal=7))
    assert [warning.path for warning in accepted.warnings] == ["task.content.cfg_scal"]


def test_what_was_done_otherwise_than_asked_for_is_shown_with_the_pictures(call: Any) -> None:
    links = {"image_url": [], "expires_at": "2027-01-15T09:00:00Z"}
    server = Server(httpx.Response(200, json=view("completed", warnings=["width: 96 pixels were made"], links=links)))
    with pytest.warns(RequestWarning, match="96 pixels were made"):
        assert call(server, "download", "cat") == []


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_a_body_as_the_guide_has_it_goes_where_it_belongs(call: Any, version: str) -> None:
    server = Server(httpx.Response(200, json={"id_task": "test-t2i", "output_location": "s3://b/x"}))
    sample = read_sample(f"{version}-text-to-image")
    assert call(server, "submit", sample).id == "test-t2i"
    assert server.requests[0].url.path == f"/prod/{version}"
    assert json.loads(server.requests[0].content) == sample


def test_throttling_is_waited_out_as_long_as_the_server_says(call: Any) -> None:
    server = Server(
        httpx.Response(429, headers={"Retry-After": "3"}, json={"message": "slow down"}),
        httpx.Response(503, json={"message": "not now"}),
        httpx.Response(200, json=ACCEPTED),
    )
    call(server, "submit", {"task": {}})
    assert len(server.requests) == 3
    assert 3.0 < server.pauses[0] <= 3.5
    assert 0.5 <= server.pauses[1] <= 1.0


def test_a_connection_that_cannot_be_made_is_tried_again_and_then_given_up(call: Any) -> None:
    server = Server(*(httpx.ConnectError("refused") for _ in range(7)))
    with pytest.raises(ApiUnreachable, match=r"http://door/prod/v1alpha2: refused"):
        call(server, "submit", {"task": {}})
    assert len(server.pauses) == 6
    assert server.pauses[-1] > 5 * server.pauses[0]


def test_a_submission_that_may_have_arrived_is_sent_again_with_the_same_key(call: Any) -> None:
    in_work = httpx.Response(409, json={"message": "in work"}, headers={"Retry-After": "1"})
    server = Server(httpx.ReadTimeout("no answer"), in_work, httpx.Response(504), httpx.Response(200, json=ACCEPTED))
    assert call(server, "submit", {"task": {}}).id == "cat"
    keys = {request.headers["idempotency-key"] for request in server.requests}
    assert len(server.requests) == 4
    assert len(keys) == 1
    assert keys.pop().startswith('"')
    taken = Server(httpx.Response(409, json={"message": "the id is taken"}))
    with pytest.raises(ApiFailure, match="the id is taken"):
        call(taken, "submit", {"task": {}})


def test_where_no_keys_are_kept_a_submission_that_may_have_arrived_is_not_sent_again(call: Any) -> None:
    fault = {"path": "Idempotency-Key", "reason": "needs a table of task records"}
    refused = httpx.Response(400, json={"message": "not like this", "errors": [fault]})
    server = Server(refused, httpx.ReadTimeout("no answer"))
    with pytest.raises(ApiUnreachable, match="no answer") as caught:
        call(server, "submit", {"task": {"metadata": {"id": "cat"}}})
    assert caught.value.task_id == "cat"
    assert "idempotency-key" not in server.requests[-1].headers
    server = Server(httpx.ReadTimeout("no answer"), httpx.Response(200, json=view("running")))
    assert call(server, "status", "cat").status is Status.RUNNING


def test_a_refusal_is_an_error_with_every_fault(call: Any) -> None:
    fault = {"path": "task.metadata.id", "reason": "is required"}
    server = Server(httpx.Response(400, json={"message": "not like this", "errors": [fault]}))
    with pytest.raises(ApiFailure, match=r"not like this \(HTTP 400\)\n  task.metadata.id: is required") as caught:
        call(server, "submit", {"task": {}})
    assert caught.value.status_code == 400
    assert caught.value.faults[0].path == "task.metadata.id"
    assert len(server.requests) == 1


@pytest.mark.parametrize(("status", "text"), [(200, "<html>"), (200, '{"hello": 1}'), (404, "")])
def test_an_answer_that_is_not_darkrooms_is_an_error(call: Any, status: int, text: str) -> None:
    with pytest.raises(ApiFailure):
        call(Server(httpx.Response(status, text=text)), "submit", {"task": {}})


def test_waiting_asks_less_and_less_often_and_reports(call: Any) -> None:
    states = ["queued", "running", "running", "running", "completed"]
    server = Server(*(httpx.Response(200, json=view(state)) for state in states))
    seen: list[TaskView] = []
    ended = call(server, "wait", "cat", progress=seen.append)
    assert ended.status is Status.COMPLETED
    assert [one.status for one in seen] == ["queued", "running", "completed"]
    assert [request.url.params.get("wait") for request in server.requests] == [None, "20", "20", "20", "20"]
    assert server.pauses == sorted(server.pauses)
    assert server.pauses[-1] > server.pauses[0]


def test_waiting_ends_when_the_time_is_up(call: Any) -> None:
    server = Server(*(httpx.Response(200, json=view("queued")) for _ in range(9)))
    with pytest.raises(WaitTimeout, match=r"cat is still queued after 0.1 s") as caught:
        call(server, "wait", "cat", timeout_seconds=0.1)
    assert (caught.value.task_id, caught.value.view.status, caught.value.retryable) == ("cat", Status.QUEUED, True)


def test_what_is_told_of_a_task_can_be_followed(call: Any) -> None:
    states = ["queued", "queued", "running", "running", "failed"]
    server = Server(*(httpx.Response(200, json=view(state)) for state in states))

    def follow(client: Client) -> list[Status]:
        return [one.status for one in client.events("cat")]

    async def follow_async(client: AsyncClient) -> list[Status]:
        return [one.status async for one in client.events("cat")]

    seen = use(call, server, follow, follow_async)
    assert seen == [Status.QUEUED, Status.RUNNING, Status.FAILED]


def test_a_job_is_asked_after_waited_for_saved_and_cancelled(call: Any, tmp_path: Path) -> None:
    links = {"image_url": ["https://bucket/cat-1.png?X-Amz-Signature=abc"], "expires_at": "2027-01-15T09:00:00Z"}
    done = view("completed", result=True, image_url=["s3://b/output/cat/cat-abcd-1.png"], links=links)
    answers = [ACCEPTED, view("queued"), view("running"), done, done]
    server = Server(
        *(httpx.Response(200, json=answer) for answer in answers),
        httpx.Response(200, content=b"PNG"),
        httpx.Response(202, json=view("completed")),
    )
    folder = tmp_path / "new" / "folder"

    def work(client: Client) -> list[Path]:
        job = client.submit(read_sample("v1alpha2-text-to-image"))
        assert (job.id, job.output_location, job.status().status) == ("cat", "s3://b/output/cat", Status.QUEUED)
        paths = job.save(str(folder))
        job.cancel()
        return paths

    async def work_async(client: AsyncClient) -> list[Path]:
        job = await client.submit(read_sample("v1alpha2-text-to-image"))
        assert (job.id, (await job.status()).status) == ("cat", Status.QUEUED)
        paths = await job.save(folder)
        await job.cancel()
        return paths

    assert use(call, server, work, work_async) == [folder / "cat-abcd-1.png"]
    assert (folder / "cat-abcd-1.png").read_bytes() == b"PNG"
    assert [path.name for path in folder.iterdir()] == ["cat-abcd-1.png"]
    assert server.requests[-1].url.path == "/prod/v1alpha2/tasks/cat/cancel"


def test_why_a_task_failed_and_whether_to_try_again_is_in_the_error(call: Any) -> None:
    error = {"type": "GenerationTimeout", "message": "took too long", "retryable": True}
    server = Server(*(httpx.Response(200, json=answer) for answer in (ACCEPTED, view("failed", error=error))))

    def work(client: Client) -> None:
        client.submit({"task": {}}).pictures()

    async def work_async(client: AsyncClient) -> None:
        await (await client.submit({"task": {}})).pictures()

    with pytest.raises(TaskFailed, match="took too long") as caught:
        use(call, server, work, work_async)
    assert (caught.value.task_id, caught.value.retryable) == ("cat", True)
    assert caught.value.view.error.type == "GenerationTimeout"


def test_pictures_are_fetched_without_giving_the_key_away(call: Any) -> None:
    links = {"image_url": ["https://bucket/cat-1.png?X-Amz-Signature=abc"], "expires_at": "2027-01-15T09:00:00Z"}
    done = view("completed", result=True, image_url=["s3://b/output/cat/cat-abcd-1.png"], links=links)
    server = Server(httpx.Response(200, json=done), httpx.Response(200, content=b"PNG"))
    (picture,) = call(server, "download", "cat")
    assert (picture.name, picture.data) == ("cat-abcd-1.png", b"PNG")
    asked, fetched = server.requests
    assert str(asked.url) == "http://door/prod/v1alpha2/tasks/cat?links=true"
    assert str(fetched.url) == links["image_url"][0]
    assert "x-api-key" not in fetched.headers


def test_pictures_whose_urls_are_too_many_for_a_reply_are_fetched_by_their_links(call: Any) -> None:
    def page(*numbers: int) -> httpx.Response:
        links = [f"https://bucket/output/a%20cat-{number}.png?X-Amz-Signature=abc" for number in numbers]
        expiry = {"expires_at": "2027-01-15T09:00:00Z"}
        done = view("completed", result=True, image_url_omitted=3, links={"image_url": links, **expiry})
        return httpx.Response(200, json=done)

    server = Server(page(1, 2), *(httpx.Response(200, content=b"PNG") for _ in range(2)), page(3), httpx.Response(200))
    pictures = call(server, "download", "cat")
    assert [picture.name for picture in pictures] == ["a cat-1.png", "a cat-2.png", "a cat-3.png"]
    assert dict(server.requests[3].url.params) == {"links": "true", "from": "3"}


def test_pictures_that_are_gone_are_an_error_and_no_loop(call: Any) -> None:
    links = {"image_url": [], "expires_at": "2027-01-15T09:00:00Z"}
    server = Server(httpx.Response(200, json=view("completed", result=True, image_url_omitted=3, links=links)))
    with pytest.raises(ApiFailure, match="0 of the 3 pictures"):
        call(server, "download", "cat")


def test_a_signature_does_not_get_into_an_error(call: Any) -> None:
    links = {"image_url": ["https://bucket/cat-1.png?X-Amz-Signature=abc"], "expires_at": "2027-01-15T09:00:00Z"}
    done = view("completed", image_url=["s3://b/output/cat/cat-abcd-1.png"], links=links)
    server = Server(httpx.Response(200, json=done), *(httpx.ConnectError("refused") for _ in range(7)))
    with pytest.raises(ApiUnreachable) as caught:
        call(server, "download", "cat")
    assert "Signature" not in str(caught.value)


def test_a_task_without_pictures_is_an_error_with_its_reason(call: Any) -> None:
    error = {"type": "GenerationRefused", "message": "no such sampler", "retryable": False}
    failed = view("failed", result=False, error=error)
    server = Server(httpx.Response(200, json=ACCEPTED), *(httpx.Response(200, json=failed) for _ in range(2)))
    with pytest.raises(TaskFailed, match="cat ended as failed: no such sampler") as caught:
        call(server, "generate", {"task": {}})
    assert caught.value.status == "failed"


def test_cancelling_names_the_task_as_a_url_must(call: Any) -> None:
    server = Server(httpx.Response(202, json=view("running", cancel_requested=True)))
    assert call(server, "cancel", "a cat?").cancel_requested
    assert server.requests[0].method == "PUT"
    assert server.requests[0].url.raw_path == b"/prod/v1alpha2/tasks/a%20cat%3F/cancel"


def test_what_has_no_method_of_its_own_can_be_asked_and_is_asked_again(call: Any) -> None:
    usage = {"from": "2026-11-01", "to": "2026-11-25", "usage": []}
    server = Server(httpx.Response(503, headers={"retry-after": "2"}), httpx.Response(200, json=usage))
    reply = call(server, "ask", "v1alpha2/usage", UsageReply, query={"runtime": "sdruntime"})
    assert reply == UsageReply(first_day="2026-11-01", last_day="2026-11-25", usage=[])
    asked = "http://door/prod/v1alpha2/usage?runtime=sdruntime"
    assert [str(request.url) for request in server.requests] == [asked, asked]
    assert server.requests[0].headers["x-api-key"] == "secret"
    (pause,) = server.pauses
    assert pause >= 2.0


def test_what_may_have_been_done_is_not_asked_again(call: Any) -> None:
    server = Server(httpx.ReadTimeout("too late"), httpx.Response(200, json={}))

    def retry(client: Any) -> Any:
        return client.ask("v1alpha2/webhooks/deliveries/d/retry", UsageReply, method="POST")

    with pytest.raises(ApiUnreachable):
        use(call, server, retry, retry)
    assert len(server.requests) == 1


def test_every_kind_of_request_is_one_that_the_front_door_can_read(tmp_path: Path) -> None:
    file = tmp_path / "cat.png"
    file.write_bytes(b"PNG")
    requests = [
        text_to_image("a cat", runtime="r", count=3, cfg_scale=6, timeout_seconds=60, context={"order": 7}),
        image_to_image("a wizard", file, runtime="r", prefix="cats"),
        image_to_image("a wizard", [b"PNG", "https://example.com/cat.png"], runtime="r"),
        upscale(b"PNG", runtime="r", factor=2),
        pipeline({"1": {"class_type": "SaveImage", "inputs": {}}}, runtime="r", id="mine"),
    ]
    drafts = [v1alpha2.decode_request(json.dumps(request.to_document())) for request in requests]
    assert all(draft.faults == () for draft in drafts)
    contents = [draft.content or {} for draft in drafts]
    assert (contents[0]["batch_size"], contents[0]["cfg_scale"]) == (3, 6)
    assert (drafts[0].timeout_seconds, drafts[0].context) == (60, {"order": 7})
    assert (contents[1]["init_images"], drafts[1].prefix) == (["UE5H"], "cats")
    assert contents[2]["init_images"] == ["UE5H", "https://example.com/cat.png"]
    assert (contents[3]["image"], contents[3]["upscaling_resize"]) == ("UE5H", 2)
    assert drafts[4].id == "mine"
    assert len({draft.id for draft in drafts}) == 5


PLANTED = "pl4nted-k3y"


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (f"{PLANTED}\n", "ends with a line break"),
        (f"{PLANTED}\r\n", "ends with a line break"),
        (f" {PLANTED}", "begins with white space"),
        (f"“{PLANTED}”", "typographic quotation marks"),
        (f"{PLANTED}é", "no character of ASCII at position 12"),
        (f"{PLANTED}\0", "at position 12"),
        ("pl4nted k3y", "white space at position 8"),
        ("", "is empty"),
        (" \n", "is empty"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_a_key_that_no_header_can_carry_is_named_and_not_shown(
    kind: type[Client] | type[AsyncClient], key: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match="api_key: ") as caught:
        kind("http://door/prod", key)
    assert reason in str(caught.value)
    assert "pl4nted" not in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("127.0.0.1:8000/prod", "does not begin with http:// or https://"),
        ("ftp://door/prod", "does not begin with http:// or https://"),
        ("http://", "has no host"),
        ("http://door:99999/prod", "its port cannot be read"),
        ("http://[door/prod", "cannot be read"),
        ("http://do or/prod", "white space"),
        ("http://door/prod?key=1", "nothing may follow the stage"),
    ],
)
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_endpoint_at_which_nothing_can_answer_is_named_before_anything_is_sent(
    kind: type[Client] | type[AsyncClient], endpoint: str, reason: str
) -> None:
    with pytest.raises(InvalidRequest, match="endpoint: ") as caught:
        kind(endpoint, "secret")
    assert reason in str(caught.value)


@pytest.mark.parametrize("method", ["status", "wait", "cancel", "download"])
@pytest.mark.parametrize("task_id", ["", ".", "..", None, 7])
def test_what_is_no_id_is_not_asked_after(call: Any, method: str, task_id: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"id: .* is no task's id"):
        call(Server(), method, task_id)


@pytest.mark.parametrize("seconds", [1e20, float("inf")])
def test_a_call_may_have_more_time_than_a_clock_can_tell(call: Any, seconds: float) -> None:
    server = Server(httpx.Response(200, json=view("completed")))
    assert call(server, "wait", "cat", timeout_seconds=seconds).status is Status.COMPLETED
    assert server.requests[0].extensions["timeout"]["read"] <= 86_400


@pytest.mark.parametrize("seconds", [float("nan"), "5"])
def test_what_is_no_time_is_refused(call: Any, seconds: Any) -> None:
    with pytest.raises(InvalidRequest, match="timeout_seconds: must be a number of seconds"):
        call(Server(), "wait", "cat", timeout_seconds=seconds)


@pytest.mark.parametrize("request_", [None, "x", ["x"]])
def test_what_is_no_request_is_refused(call: Any, request_: Any) -> None:
    with pytest.raises(InvalidRequest, match="must be a TaskRequest or a dictionary"):
        call(Server(), "submit", request_)


def test_what_is_no_json_is_refused_and_said_how_a_picture_gets_into_a_workflow(call: Any) -> None:
    workflow = {"1": {"class_type": "LoadImage", "inputs": {"image": Path("cat.png")}}}
    with pytest.raises(InvalidRequest, match="goes to the bucket by `upload`"):
        call(Server(), "submit", pipeline(workflow, runtime="workflows"))


def test_a_password_in_the_endpoint_does_not_get_into_an_error() -> None:
    server = Server(httpx.ConnectError("refused"))
    transport = httpx.MockTransport(server.answer)
    with (
        Client(f"http://user:{PLANTED}@door/prod", "secret", retries=0, transport=transport) as client,
        pytest.raises(ApiUnreachable, match="http://door/prod/v1alpha2") as caught,
    ):
        client.submit({"task": {}})
    assert PLANTED not in str(caught.value)


def test_what_s3_quotes_of_a_link_does_not_get_into_an_error(call: Any) -> None:
    text = f"<Error><Code>SignatureDoesNotMatch</Code><SignatureProvided>{PLANTED}</SignatureProvided></Error>"
    links = {"image_url": ["https://bucket/cat-1.png?X-Amz-Signature=abc"], "expires_at": "2027-01-15T09:00:00Z"}
    done = view("completed", image_url=["s3://b/output/cat/cat-abcd-1.png"], links=links)
    server = Server(httpx.Response(200, json=done), httpx.Response(403, text=text))
    with pytest.raises(ApiFailure, match="SignatureDoesNotMatch") as caught:
        call(server, "download", "cat")
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize(
    ("message", "hint"), [("Missing Authentication Token", "end with its stage"), ("Forbidden", "API key is wrong")]
)
def test_what_api_gateway_says_by_itself_is_explained(call: Any, message: str, hint: str) -> None:
    with pytest.raises(ApiFailure, match=hint):
        call(Server(httpx.Response(403, json={"message": message})), "submit", {"task": {}})
