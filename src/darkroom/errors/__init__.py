"""Every error that Darkroom raises on purpose, in one tree.

DarkroomError
├── InvalidRequest           a caller asked for something that cannot be done; carries every fault
├── UnreadableMessage        a message on the input topic that is not a task
├── SettingsError            an environment variable or a configuration file that cannot be used
├── MissingExtra             an optional part of Darkroom is not installed
├── LinkFailure              a link in a request could not be turned into a file
│   ├── LinkRefused          ... because it must not be fetched, or is not what it should be
│   └── LinkUnreachable      ... because its server did not deliver it; trying again may help
├── MemoryExceeded           a task needs more memory than the agent may hold for one
├── RuntimeFailure           a Stable Diffusion runtime did not deliver
│   ├── RuntimeUnavailable   it cannot be reached, is starting, or went away
│   │   ├── RuntimeUnreachable  ... before it was sent anything: no task can have caused that
│   │   └── RuntimeSick      it failed a known-good request too: no task loses a try to that
│   ├── GenerationTimeout    it did not finish in time
│   ├── GenerationInterrupted  somebody stopped it
│   ├── GenerationFailed     it reported a fault of its own
│   │   ├── OutOfMemory      its device has not the memory that the task takes
│   │   └── RequestSuspected   ... which a wrong request causes where the runtime is well; a canary tells
│   ├── GenerationFailedAgain  it failed in the same way again, though it is well
│   ├── RuntimeKilled        the task took it down again and again
│   └── GenerationRefused    it reported a fault of the request; trying again cannot help
├── SigningFailure           a picture could not be signed
│   ├── SigningUnavailable   ... nor could any other: certificate, key, KMS; no task loses a try to that
│   └── PictureUnsignable    ... because of what it is
├── CredentialsUnreadable    what a file says of its making is broken
├── InferenceFailure         the built-in runtime could not do what it was asked
│   ├── NotFound             it has no model, sampler or upscaler of that name, or the picture to start from is missing
│   ├── ModelUnusable        its file is broken, of an unknown kind, or too large for the device
│   └── RuntimeBusy          too many requests wait for the device already
├── AwsFailure               an AWS service did not do what was asked
│   ├── AwsUnavailable       it may be done later: throttled, unreachable, a fault of the service
│   │   ├── AwsDenied        ... when somebody has mended it: not allowed, or a bucket, topic, queue or table is missing
│   │   └── AwsUnexplained   ... or not: the answer means nothing to Darkroom, and what is unknown is not final
│   ├── AwsRefused           what was asked for is not valid, or the object is not there: final
│   └── LeaseLost            a message's visibility ran out: another agent may hold it now
├── WebhookFailed            a receiver of webhooks did not take one, on any try
├── ApiFailure               the front door answered a client with an error
├── ApiUnreachable           no front door answered a client
├── TaskFailed               a task that a client waited for ended without pictures
├── WaitTimeout              a client waited for a task for as long as it wanted to
└── StackFailure             the one-machine stack cannot start or has lost a part

`retryable` on a class says whether the same task may succeed when it is tried again, unchanged.
"""

from darkroom.errors.aws import AwsDenied, AwsFailure, AwsRefused, AwsUnavailable, AwsUnexplained, LeaseLost
from darkroom.errors.clients import ApiFailure, ApiUnreachable, TaskFailed, WaitTimeout, WebhookFailed
from darkroom.errors.inference import InferenceFailure, ModelUnusable, NotFound, RuntimeBusy
from darkroom.errors.provenance import CredentialsUnreadable, PictureUnsignable, SigningFailure, SigningUnavailable
from darkroom.errors.requests import (
    InvalidRequest,
    LinkFailure,
    LinkRefused,
    LinkUnreachable,
    MemoryExceeded,
    UnreadableMessage,
)
from darkroom.errors.root import DarkroomError, Fault
from darkroom.errors.runtimes import (
    GenerationFailed,
    GenerationFailedAgain,
    GenerationInterrupted,
    GenerationRefused,
    GenerationTimeout,
    OutOfMemory,
    RequestSuspected,
    RuntimeFailure,
    RuntimeKilled,
    RuntimeSick,
    RuntimeUnavailable,
    RuntimeUnreachable,
)
from darkroom.errors.setup import MissingExtra, SettingsError, StackFailure

__all__ = [
    "ApiFailure",
    "ApiUnreachable",
    "AwsDenied",
    "AwsFailure",
    "AwsRefused",
    "AwsUnavailable",
    "AwsUnexplained",
    "CredentialsUnreadable",
    "DarkroomError",
    "Fault",
    "GenerationFailed",
    "GenerationFailedAgain",
    "GenerationInterrupted",
    "GenerationRefused",
    "GenerationTimeout",
    "InferenceFailure",
    "InvalidRequest",
    "LeaseLost",
    "LinkFailure",
    "LinkRefused",
    "LinkUnreachable",
    "MemoryExceeded",
    "MissingExtra",
    "ModelUnusable",
    "NotFound",
    "OutOfMemory",
    "PictureUnsignable",
    "RequestSuspected",
    "RuntimeBusy",
    "RuntimeFailure",
    "RuntimeKilled",
    "RuntimeSick",
    "RuntimeUnavailable",
    "RuntimeUnreachable",
    "SettingsError",
    "SigningFailure",
    "SigningUnavailable",
    "StackFailure",
    "TaskFailed",
    "UnreadableMessage",
    "WaitTimeout",
    "WebhookFailed",
]
