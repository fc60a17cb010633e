"""The pocket model's networks beside the other processes of a machine."""

from __future__ import annotations

from darkroom.inference.pocket.network import GRAPHS, Network


def test_threads_that_have_nothing_to_do_leave_the_cores_to_others() -> None:
    network = Network()
    for name in GRAPHS:
        options = network.session(name).get_session_options()
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0", name
