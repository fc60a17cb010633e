"""What an operator sees of webhooks' deliveries, at both doors: everybody's, and whose they are."""

from __future__ import annotations

import pytest
from tests.contract.doors import DOORS, NOW, opened

from darkroom.tasks.webhook import DeliveryStatus, WebhookDelivery
from darkroom.testing.front_door_ports import MemoryDeliveries, MemoryQueue

PATH = "/v1alpha2/webhooks/deliveries"


def delivery(number: int, caller: str) -> WebhookDelivery:
    return WebhookDelivery(
        id=f"msg_{number}",
        caller=caller,
        task_id="t1",
        submission_id=f"s{number}",
        event="task.completed",
        url="https://example.com/hook",
        body="{}",
        status=DeliveryStatus.FAILED,
        created_at=NOW - 100 + number,
        updated_at=NOW - 100 + number,
    )


def deliveries() -> MemoryDeliveries:
    kept = MemoryDeliveries()
    kept.deliveries = {one.id: one for one in (delivery(1, "shop"), delivery(2, "lab"), delivery(3, ""))}
    return kept


@pytest.mark.parametrize("kind", DOORS)
async def test_an_operator_sees_everybodys_or_whose_he_names(kind: str) -> None:
    async with opened(kind, deliveries=deliveries(), webhook_queue=MemoryQueue()) as door:
        seen = {
            query: [(one["id"], one["caller"]) for one in (await door.get(PATH + query, "boss")).body["deliveries"]]
            for query in ("", "?caller=lab", "?caller=", "?caller=gone")
        }
        own = (await door.get(PATH, "shop")).body["deliveries"]
        refused = await door.get(f"{PATH}?caller=lab", "shop")
    everybody = [("msg_3", ""), ("msg_2", "lab"), ("msg_1", "shop")]
    assert seen == {"": everybody, "?caller=lab": everybody[1:2], "?caller=": everybody[:1], "?caller=gone": []}
    assert [(one["id"], "caller" in one) for one in own] == [("msg_1", False)]
    assert (refused.status, "operator" in refused.body["message"]) == (403, True)


@pytest.mark.parametrize("kind", DOORS)
async def test_an_operator_has_anybodys_sent_again(kind: str) -> None:
    queue = MemoryQueue()
    async with opened(kind, deliveries=deliveries(), webhook_queue=queue) as door:
        for number, query in ((1, ""), (2, "?caller=lab"), (3, "?caller=")):
            reply = await door.send("boss", "POST", f"{PATH}/msg_{number}/retry{query}")
            assert reply.status == 202, reply
        assert (await door.send("boss", "POST", f"{PATH}/msg_1/retry?caller=lab")).status == 404
        assert (await door.send("shop", "POST", f"{PATH}/msg_2/retry?caller=lab")).status == 403
        assert (await door.send("shop", "POST", f"{PATH}/msg_2/retry")).status == 404
    assert [attributes["webhook_delivery"] for _, attributes in queue.messages] == ["msg_1", "msg_2", "msg_3"]
