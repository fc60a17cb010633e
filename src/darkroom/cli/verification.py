"""The guide's deployment test: what to send to a runtime, and what became of it."""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from darkroom.cli.pictures import save_pictures
from darkroom.client import ApiFailure, AsyncClient, DarkroomError, RequestWarning, Status, TaskFailed, TaskKind
from darkroom.client.failures import why_it_failed
from darkroom.samples import read_sample

NOT_SENT = "not sent"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One sample request to send to one runtime."""

    runtime: str
    kind: TaskKind
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """The task's id."""
        task_id: str = self.body["task"]["metadata"]["id"]
        return task_id


# What every runtime has; the guide's sample asks for R-ESRGAN, whose weights nobody brings along.
WEIGHTLESS_UPSCALER = "Lanczos"


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a case so far. `error` is why there are no pictures; `seconds` run from the submission.

    `warnings` say what of the request was, or will be, done in another way than it is written.
    """

    case: Case
    status: str = NOT_SENT
    seconds: float = 0.0
    paths: tuple[Path, ...] = ()
    error: DarkroomError | None = None
    warnings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether there is at least one picture."""
        return self.error is None and bool(self.paths)


def cases_for(runtime: str, runtime_type: str, picture: bytes | None, upscaler: str | None = None) -> list[Case]:
    """The guide's requests for a runtime of this type.

    `picture` takes the place of the guide's links, `upscaler` that of the one which the guide asks for. Ids get a
    random end, so that each test is a new one.
    """
    if runtime_type == "comfyui":
        kinds = [TaskKind.PIPELINE]
    else:
        kinds = [TaskKind.TEXT_TO_IMAGE, TaskKind.IMAGE_TO_IMAGE, TaskKind.EXTRA_SINGLE_IMAGE]
    cases = []
    for kind in kinds:
        body = read_sample(f"v1alpha2-{kind}")
        metadata, content = body["task"]["metadata"], body["task"]["content"]
        metadata["runtime"] = runtime
        metadata["id"] += f"-{uuid.uuid4().hex[:8]}"
        if picture is not None:
            inline = base64.b64encode(picture).decode()
            if kind is TaskKind.IMAGE_TO_IMAGE:
                content["init_images"] = [inline]
            elif kind is TaskKind.EXTRA_SINGLE_IMAGE:
                content["image"] = inline
        if upscaler is not None and kind is TaskKind.EXTRA_SINGLE_IMAGE:
            content["upscaler_1"] = upscaler
        cases.append(Case(runtime=runtime, kind=kind, body=body))
    return cases


def follow_ups(first: Case, url: str) -> list[tuple[Case, str]]:
    """What can be done with the picture at `url` that the text-to-image request `first` made, and what that is called.

    The pictures are not sent along: the agent fetches them from the output bucket, where `url` (s3://…) says.
    """
    prompt = first.body["task"]["content"]["prompt"]
    redrawn = {"init_images": [url], "prompt": f"{prompt} on a blue background"}
    enlarged = {"image": url, "upscaler_1": WEIGHTLESS_UPSCALER, "upscaling_resize": 2}
    made = []
    for kind, changes, title in (
        (TaskKind.IMAGE_TO_IMAGE, redrawn, "its picture, redrawn"),
        (TaskKind.EXTRA_SINGLE_IMAGE, enlarged, "its picture, twice as large"),
    ):
        body = read_sample(f"v1alpha2-{kind}")
        body["task"]["metadata"] |= {"runtime": first.runtime, "id": f"{first.id}-{kind}"}
        body["task"]["content"] |= changes
        made.append((Case(runtime=first.runtime, kind=kind, body=body), title))
    return made


async def run_cases(
    client: AsyncClient,
    cases: Sequence[Case],
    *,
    folder: Path,
    timeout_seconds: float,
    report: Callable[[Sequence[Result]], None],
) -> list[Result]:
    """Send every case, wait for all, and save their pictures in `folder`. `report` hears of every change.

    A case that fails is a result, not an error.
    """
    results = [Result(case=case) for case in cases]

    def update(number: int, result: Result) -> None:
        results[number] = result
        report(results)

    async def run(number: int, case: Case) -> None:
        began = time.monotonic()
        try:
            accepted = await client.submit(case.body)
            told = [f"{fault.path} {fault.reason}" for fault in accepted.warnings]
            view = await client.wait(
                case.id,
                timeout_seconds=timeout_seconds,
                progress=lambda view: update(
                    number, Result(case=case, status=view.status, seconds=time.monotonic() - began)
                ),
            )
            told += view.warnings
            result = Result(case=case, status=view.status, seconds=time.monotonic() - began, warnings=tuple(told))
            update(number, result)
            if view.status is not Status.COMPLETED:
                raise TaskFailed(case.id, view.status, why_it_failed(view))
            paths = save_pictures(await client.download(case.id), folder)
            if not paths:
                raise TaskFailed(case.id, view.status, "it completed without a picture")
            result = msgspec.structs.replace(result, paths=tuple(paths))
        except DarkroomError as error:
            refused = isinstance(error, ApiFailure) and results[number].status == NOT_SENT
            status = "refused" if refused else results[number].status
            result = msgspec.structs.replace(results[number], status=status, error=error)
        update(number, result)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RequestWarning)  # they are in the results
        await asyncio.gather(*(run(number, case) for number, case in enumerate(cases)))
    return results
