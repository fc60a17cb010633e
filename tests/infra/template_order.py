"""The order in which CloudFormation makes a template's resources, and takes them away: the reverse.

What a resource names (`Ref`, `Fn::GetAtt`, `Fn::Sub`, `DependsOn`) is there before it, and outlives it. Resources that
are not connected are made and removed at the same time, in any order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

_IN_TEXT = re.compile(r"\$\{([A-Za-z0-9]+)(?:\.[A-Za-z0-9.]+)?\}")


class TemplateOrder:
    """The resources of a synthesised template as a graph. Names may be given by their beginnings."""

    def __init__(self, template: dict[str, Any]) -> None:
        self.resources: dict[str, dict[str, Any]] = template["Resources"]

    def of_type(self, kind: str) -> list[str]:
        """The logical ids of all resources of a type."""
        return [name for name, resource in self.resources.items() if resource["Type"] == kind]

    def named(self, beginning: str) -> str:
        """The one logical id that begins so."""
        found = [name for name in self.resources if name.startswith(beginning)]
        assert len(found) == 1, f"{beginning} names {found}"
        return found[0]

    def release(self, name: str) -> str:
        """The logical id of a Helm release."""
        found = [
            logical
            for logical in self.of_type("Custom::AWSCDK-EKS-HelmChart")
            if self.resources[logical]["Properties"]["Release"] == name
        ]
        assert len(found) == 1, f"release {name}: {found}"
        return found[0]

    @cached_property
    def needs(self) -> dict[str, frozenset[str]]:
        """What each resource names directly."""
        return {
            name: frozenset(_named(resource)) & frozenset(self.resources) - {name}
            for name, resource in self.resources.items()
        }

    def before(self, name: str) -> frozenset[str]:
        """All that is there before `name` is made, and still is when it is removed."""
        found: set[str] = set()
        waiting = [name]
        while waiting:
            for needed in self.needs[waiting.pop()] - found:
                found.add(needed)
                waiting.append(needed)
        return frozenset(found)

    def assert_outlives(self, longer: Iterable[str] | str, shorter: Iterable[str] | str) -> None:
        """Each of `longer` is made before each of `shorter`, and removed after it."""
        for brief in [shorter] if isinstance(shorter, str) else shorter:
            missing = set([longer] if isinstance(longer, str) else longer) - self.before(brief)
            assert not missing, f"{brief} may outlive {sorted(missing)}"

    def creation(self) -> list[str]:
        """One order in which CloudFormation may make everything. Raises `AssertionError` for a circle."""
        done: list[str] = []
        left = dict(self.needs)
        while left:
            ready = sorted(name for name, needed in left.items() if needed <= set(done))
            assert ready, f"a circle among {sorted(left)}"
            done += ready
            for name in ready:
                del left[name]
        return done

    def removal(self) -> list[str]:
        """One order in which it may remove everything."""
        return list(reversed(self.creation()))


def _named(resource: dict[str, Any]) -> Iterator[str]:
    depends = resource.get("DependsOn", [])
    yield from [depends] if isinstance(depends, str) else depends
    yield from _references(resource.get("Properties", {}))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        for key, inner in value.items():
            if key == "Ref" and isinstance(inner, str):
                yield inner
            elif key == "Fn::GetAtt":
                yield inner.partition(".")[0] if isinstance(inner, str) else inner[0]
            elif key == "Fn::Sub":
                yield from _IN_TEXT.findall(inner if isinstance(inner, str) else inner[0])
                yield from _references(inner)
            else:
                yield from _references(inner)
