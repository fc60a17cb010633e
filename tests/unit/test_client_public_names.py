"""The SDK's public names, as a user imports them: adding or removing one is a decision, and this is where it shows."""

from __future__ import annotations

import inspect

import darkroom.client

NAMES = {
    "Accepted",
    "ApiFailure",
    "ApiUnreachable",
    "AsyncClient",
    "AsyncJob",
    "Client",
    "DarkroomError",
    "Fault",
    "InvalidRequest",
    "Job",
    "Links",
    "NotifiedError",
    "Outcome",
    "Picture",
    "PictureSource",
    "ProgressListener",
    "RequestWarning",
    "RuntimeView",
    "Status",
    "TaskFailed",
    "TaskKind",
    "TaskRequest",
    "TaskView",
    "WaitTimeout",
    "image_to_image",
    "pipeline",
    "text_to_image",
    "upscale",
}


def test_these_are_the_public_names() -> None:
    assert set(darkroom.client.__all__) == NAMES
    assert list(darkroom.client.__all__) == sorted(darkroom.client.__all__)
    for name in NAMES - {"PictureSource", "ProgressListener"}:  # an alias of a type
        assert getattr(darkroom.client, name).__doc__, name


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(client: type) -> dict[str, list[str]]:
        found = inspect.getmembers(client, inspect.isfunction)
        return {name: list(inspect.signature(one).parameters) for name, one in found if not name.startswith("_")}

    assert methods(darkroom.client.Client) == methods(darkroom.client.AsyncClient)
