"""Darkroom's client: submit tasks, wait for them, fetch their pictures.

>>> from darkroom.client import Client, text_to_image
>>> with Client(endpoint, api_key) as client:
...     pictures = client.generate(text_to_image("a cat on a sofa", runtime="sdruntime"))
"""

from darkroom.client.async_client import AsyncClient
from darkroom.client.batches import Outcome
from darkroom.client.client import Client
from darkroom.client.core import Accepted, ProgressListener, RequestWarning
from darkroom.client.inputs import PictureSource
from darkroom.client.jobs import AsyncJob, Job
from darkroom.client.pictures import Picture
from darkroom.client.requests import TaskRequest, image_to_image, pipeline, text_to_image, upscale
from darkroom.errors import ApiFailure, ApiUnreachable, DarkroomError, Fault, InvalidRequest, TaskFailed, WaitTimeout
from darkroom.tasks.notification import NotifiedError
from darkroom.tasks.replies import Links, RuntimeView, TaskView
from darkroom.tasks.task import Status, TaskKind

__all__ = [
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
]
