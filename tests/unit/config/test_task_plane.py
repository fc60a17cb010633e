"""What follows from a list of runtimes: who gets which message, how often, and for how long it is kept."""

import json

import pytest

from darkroom.config.loader import parse_config
from darkroom.policy.outcomes import Tries

PLANE = parse_config("""\
modelsRuntime:
- {name: still, type: sdwebui, modelFilename: a.safetensors}
- {name: any, type: sdwebui, modelFilename: b.safetensors, dynamicModel: true}
- {name: bare, type: sdwebui}
- {name: own, type: diffusers, modelFilename: c.safetensors}
- {name: flow, type: comfyui, modelFilename: a.safetensors}
""").task_plane()


@pytest.mark.parametrize(
    ("runtime", "policy"),
    [
        ("still", {"$or": [{"sd_model_checkpoint": ["a.safetensors"]}, {"runtime": ["still"]}]}),
        ("any", {"runtime": ["any"]}),
        ("bare", {"runtime": ["bare"]}),
        ("own", {"$or": [{"sd_model_checkpoint": ["c.safetensors"]}, {"runtime": ["own"]}]}),
        ("flow", {"runtime": ["flow"]}),
    ],
)
def test_only_a_static_model_is_routed_by_its_name(runtime: str, policy: dict[str, object]) -> None:
    queue = PLANE.queue_of(runtime)
    assert json.loads(queue.subscription_attributes()["FilterPolicy"]) == policy
    assert queue.subscription_attributes()["RawMessageDelivery"] == "false"


LOW = parse_config("""\
modelsRuntime:
- {name: still, type: sdwebui, modelFilename: a.safetensors, lowPriority: true}
- {name: any, type: sdwebui, dynamicModel: true}
""").task_plane()


def test_a_message_is_for_one_of_two_queues_and_never_for_none() -> None:
    queue = LOW.queue_of("still")
    assert queue.low is not None
    of_runtime = {"$or": [{"sd_model_checkpoint": ["a.safetensors"]}, {"runtime": ["still"]}]}
    assert queue.low.filter_policy == {**of_runtime, "priority": ["low"]}
    # One without a priority, and one with whatever else a publisher calls it.
    assert queue.filter_policy == {**of_runtime, "priority": [{"exists": False}, {"anything-but": ["low"]}]}


def test_without_a_second_queue_a_message_of_low_priority_is_for_the_only_one() -> None:
    queue = LOW.queue_of("any")
    assert (queue.low, queue.filter_policy) == (None, {"runtime": ["any"]})


def test_the_second_queue_is_as_the_first_and_has_its_dead_letters() -> None:
    queue = LOW.queue_of("still")
    assert queue.low is not None
    assert queue.low.attributes("arn:dead") == queue.attributes("arn:dead")
    assert queue.low.dead_letter_name == queue.dead_letter_name
    # A runtime may be called `still-low`.
    assert queue.low.name != LOW.queue_of("still").name
    assert not queue.low.name.startswith("InputQueue")


def test_a_task_is_tried_five_times_and_one_receive_is_kept_for_telling() -> None:
    redrive = json.loads(PLANE.queue_of("still").attributes("arn:dead")["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == "arn:dead"
    assert Tries(1, redrive["maxReceiveCount"]).allowed == 5


def test_dead_letters_are_kept_longer_than_tasks_wait() -> None:
    queue = PLANE.queue_of("still")
    kept = int(queue.dead_letter_attributes()["MessageRetentionPeriod"])
    assert kept == 14 * 24 * 3600
    assert kept > int(queue.attributes("arn:dead")["MessageRetentionPeriod"])
    # The text of a dead letter may lie in the bucket: it must not go before the letter itself.
    assert PLANE.bucket.payload_expiry_days * 24 * 3600 > kept


def test_only_the_input_topic_may_send() -> None:
    allow, deny = PLANE.queue_of("still").policy("arn:queue", "arn:topic")["Statement"]
    assert allow["Condition"] == {"ArnEquals": {"aws:SourceArn": "arn:topic"}}
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_without_tls_nobody_gets_in() -> None:
    queue = PLANE.queue_of("still")
    policies = [
        queue.policy("arn:it", "arn:topic"),
        queue.dead_letter_policy("arn:it"),
        PLANE.input_topic.policy("arn:it"),
        PLANE.output_topic.policy("arn:it"),
    ]
    for policy in policies:
        statement = policy["Statement"][-1]
        assert (statement["Effect"], statement["Principal"], statement["Resource"]) == ("Deny", "*", "arn:it")
        assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_every_runtime_has_a_queue_of_its_own() -> None:
    assert len({queue.name for queue in PLANE.queues} | {queue.dead_letter_name for queue in PLANE.queues}) == 10
    with pytest.raises(KeyError):
        PLANE.queue_of("nobody")
