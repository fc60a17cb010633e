"""Places at receivers: a slow one takes few, and nobody else's."""

from __future__ import annotations

from contextlib import ExitStack

from darkroom.webhooks.receivers import Receivers


class Now:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def taken(receivers: Receivers, stack: ExitStack, receiver: str, caller: str, tries: int) -> int:
    """How many of `tries` get a place, which they keep."""
    return sum(stack.enter_context(receivers.place(receiver, caller)) for _ in range(tries))


def test_a_receiver_has_so_many_places_and_a_caller_too() -> None:
    receivers = Receivers(Now(), most_of_a_receiver=2, most_of_a_caller=5)
    with ExitStack() as stack:
        assert taken(receivers, stack, "a", "shop", 3) == 2
        assert taken(receivers, stack, "b", "shop", 3) == 2
        assert taken(receivers, stack, "c", "shop", 3) == 1
        assert taken(receivers, stack, "d", "shop", 3) == 0
        assert taken(receivers, stack, "a", "lab", 3) == 2
    with ExitStack() as stack:
        assert taken(receivers, stack, "a", "shop", 3) == 2


def test_a_slow_receiver_is_left_alone_and_then_asked_by_one_alone_until_it_answers() -> None:
    now = Now()
    receivers = Receivers(now)
    receivers.answered("slow", "shop", is_slow=True)
    with ExitStack() as stack:
        assert taken(receivers, stack, "slow", "shop", 5) == 0
        assert taken(receivers, stack, "good", "shop", 5) == 5
        assert taken(receivers, stack, "slow", "lab", 5) == 5
        now.now += 10
        assert taken(receivers, stack, "slow", "shop", 5) == 1
    receivers.answered("slow", "shop", is_slow=False)
    with ExitStack() as stack:
        assert taken(receivers, stack, "slow", "shop", 5) == 5


def test_who_wants_to_be_left_alone_is_but_not_for_hours() -> None:
    now = Now()
    receivers = Receivers(now)
    receivers.answered("busy", "shop", is_slow=False, rest_seconds=60)
    receivers.answered("busy", "shop", is_slow=False)
    receivers.answered("liar", "shop", is_slow=False, rest_seconds=1e9)
    with ExitStack() as stack:
        assert taken(receivers, stack, "busy", "shop", 1) == 0
        now.now += 60
        assert taken(receivers, stack, "busy", "shop", 1) == 1
        assert taken(receivers, stack, "liar", "shop", 1) == 0
        now.now += 240
        assert taken(receivers, stack, "liar", "shop", 1) == 1


def test_one_that_was_down_again_and_again_is_asked_by_one_alone_until_it_is_up() -> None:
    now = Now()
    receivers = Receivers(now)
    for _ in range(2):
        receivers.answered("down", "shop", is_slow=False, is_down=True)
    with ExitStack() as stack:
        assert taken(receivers, stack, "down", "shop", 5) == 5
    receivers.answered("down", "shop", is_slow=False, is_down=True)
    assert receivers.is_slow("down", "shop")
    now.now += 10
    with ExitStack() as stack:
        assert taken(receivers, stack, "down", "shop", 5) == 1
    receivers.answered("down", "shop", is_slow=False)
    with ExitStack() as stack:
        assert taken(receivers, stack, "down", "shop", 5) == 5


def test_what_is_remembered_of_receivers_is_bounded() -> None:
    receivers = Receivers(Now())
    for number in range(10_002):
        receivers.answered(str(number), "shop", is_slow=True)
    with ExitStack() as stack:
        assert taken(receivers, stack, "0", "shop", 1) == 1
        assert taken(receivers, stack, "10001", "shop", 1) == 0
