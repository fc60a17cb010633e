"""Reads typed values from environment variables, and collects what is wrong with them."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Mapping
from typing import TypeVar

from darkroom.errors import SettingsError

Number = TypeVar("Number", int, float)
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off", ""})
_LAST_PORT = 65535


class EnvironmentReader:
    """Reads typed values and collects what is wrong. An empty variable counts as a missing one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._faults: list[str] = []

    def fault(self, text: str) -> None:
        """Note a fault; the text begins with the variable that is wrong."""
        self._faults.append(text)

    def optional_text(self, name: str) -> str | None:
        """A text without blanks around it, or None."""
        return self._environment.get(name, "").strip() or None

    def text(self, name: str, default: str | None = None) -> str:
        """A text that must be there, but where there is a default."""
        value = self.optional_text(name) or default
        if value is None:
            self._faults.append(f"{name} is not set")
            return ""
        return value

    def url(self, name: str) -> str | None:
        """An http(s) URL, or None."""
        value = self.optional_text(name)
        if value is not None and not value.startswith(("http://", "https://")):
            self._faults.append(f"{name} must be an http(s) URL, not {value!r}")
        return value

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of these words, in whatever letters it is written."""
        value = self.optional_text(name) or default
        for choice in choices:
            if choice.lower() == value.lower():
                return choice
        self._faults.append(f"{name} must be one of {', '.join(choices)}, not {value!r}")
        return default

    def names(self, name: str, default: str = "") -> list[str]:
        """Texts between commas."""
        value = self._environment.get(name) or default
        return [part.strip() for part in value.split(",") if part.strip()]

    def required_names(self, name: str) -> list[str]:
        """The same, of which there must be one."""
        names = self.names(name)
        if not names:
            self._faults.append(f"{name} is not set")
        return names

    def networks(self, name: str, default: tuple[Network, ...]) -> tuple[Network, ...]:
        """Networks, or addresses; `none` is none."""
        texts, found = self.names(name), list[Network]()
        if not texts:
            return default
        for text in texts if texts != ["none"] else []:
            try:
                found.append(ipaddress.ip_network(text))
            except ValueError as error:
                self._faults.append(f"{name} must be networks such as 10.0.0.0/16, or none: {error}")
        return tuple(found)

    def boolean(self, name: str, default: bool) -> bool:
        """True or false, in the words that people have for it."""
        value = self._environment.get(name)
        if value is None:
            return default
        if value.strip().lower() in _TRUE:
            return True
        if value.strip().lower() not in _FALSE:
            self._faults.append(f"{name} must be true or false, not {value!r}")
        return False

    def port(self, name: str, default: int) -> int:
        """The number of a port; 0 is for any, or none."""
        return self.number(name, int, default, at_least=0, at_most=_LAST_PORT)

    def number(
        self, name: str, kind: Callable[[str], Number], default: Number, *, at_least: float, at_most: float = math.inf
    ) -> Number:
        """A number of this kind within these bounds. One without end is none."""
        value = self.optional_text(name)
        if value is None:
            return default
        try:
            number = kind(value)
        except ValueError:
            number = None
        if number is None or math.isinf(number):
            self._faults.append(f"{name} must be a {'whole ' if kind is int else ''}number, not {value!r}")
            return default
        if not number >= at_least:
            self._faults.append(f"{name} must be at least {at_least:g}, not {value}")
        if number > at_most:
            self._faults.append(f"{name} must be at most {at_most:g}, not {value}")
        return number

    def raise_faults(self, who: str) -> None:
        """Raise a `SettingsError` that lists every fault, where there is one; `who` was to be told all this."""
        if self._faults:
            raise SettingsError(f"{who} cannot start:\n" + "\n".join(f"  {fault}" for fault in self._faults))
