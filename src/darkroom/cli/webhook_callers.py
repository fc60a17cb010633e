"""Under which name a caller owns its tasks: its own, or an id of its key where config.yaml names nobody."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from darkroom.errors import Fault, InvalidRequest, SettingsError
from darkroom.local.stack_file import read_stack_file
from darkroom.policy.callers import CallerSpec

if TYPE_CHECKING:
    from darkroom.infra.cloud import Cloud


def owner_on_this_machine(folder: Path, name: str | None) -> str:
    """For the stack that runs in `folder`. Raises `SettingsError` where none does, and `InvalidRequest` for no name."""
    stack = read_stack_file(folder)
    if stack is None:
        raise SettingsError(
            "no stack is known: start one on this machine with `darkroom up`, or name one on AWS with --stack-name"
        )
    caller = _chosen(stack.callers, name)
    return caller.name if caller.id is None else caller.id


def owner_on_aws(cloud: Cloud, stack_name: str, name: str | None) -> str:
    """For a stack on AWS. Raises as `find_deployed_callers` does, and `InvalidRequest` for nobody's name."""
    from darkroom.infra.deployed_callers import find_deployed_callers
    from darkroom.infra.deployed_stack import find_outputs

    caller = _chosen(find_deployed_callers(cloud, stack_name), name)
    is_named = "Callers" in find_outputs(cloud, stack_name)
    return caller.name if is_named else str(caller.id)


def _chosen(callers: Sequence[CallerSpec], name: str | None) -> CallerSpec:
    found = [caller for caller in callers if name in (None, caller.name)]
    if len(found) != 1:
        names = ", ".join(caller.name for caller in callers)
        reason = f"there is no caller {name!r}" if name is not None else "there are several callers: name one"
        raise InvalidRequest([Fault("CALLER", f"{reason}; there are: {names}")])
    return found[0]
