"""Loads a command for its help and its options alone, where the libraries of its extra are not installed.

Which commands and options there are stands in modules that import those libraries. While they load, an empty stand-in
takes the place of each library that cannot be found. Nothing of it is run: whoever does more than read the help, or
have a shell complete the line, is told which extra is missing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, MutableSequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, TypeVar

from darkroom.errors import MissingExtra

T = TypeVar("T")


def load_with_stand_ins(load: Callable[[], T]) -> T:
    """What `load` returns, with stand-ins for the libraries of other people that it does not find.

    Raises whatever else keeps it from loading.
    """
    finder = _Finder()
    sys.meta_path.append(finder)  # the last to be asked: what is installed is found before
    while True:
        try:
            return load()
        except (ModuleNotFoundError, MissingExtra) as error:
            library = _library(error)
            if library is None or library in finder.libraries:
                raise
            finder.libraries.add(library)
            importlib.invalidate_caches()


def _library(error: BaseException | None) -> str | None:
    """The library that was not found, behind this error; None where it is no such error, or a part of Darkroom."""
    while error is not None and not isinstance(error, ModuleNotFoundError):
        error = error.__cause__ or error.__context__
    name = (error.name or "").partition(".")[0] if error is not None else ""
    return None if name in ("", "darkroom") else name


class _Anything(type):
    """The class of `_StandIn`, so that it can be called, asked for an attribute, and inherited from, as a class."""

    def __new__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any], **options: Any) -> _Anything:
        return super().__new__(cls, name, bases, names)

    def __init__(cls, name: str, bases: tuple[type, ...], names: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, names)

    def __call__(cls, *arguments: Any, **options: Any) -> Any:
        # As a decorator it leaves what is below it as it is.
        return arguments[0] if len(arguments) == 1 and not options and callable(arguments[0]) else cls

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn

    def __getitem__(cls, key: Any) -> Any:
        return cls


class _StandIn(metaclass=_Anything):
    """Whatever is asked of a library that is not there."""


class _Module(ModuleType):
    """A library that is not there."""

    __path__: MutableSequence[str] = []  # noqa: RUF012 - as every package has one

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _StandIn


class _Finder(MetaPathFinder, Loader):
    """Finds `libraries`, and whatever is asked of them."""

    def __init__(self) -> None:
        self.libraries: set[str] = set()

    def find_spec(self, fullname: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """A place for each module of the libraries."""
        return ModuleSpec(fullname, self, is_package=True) if fullname.partition(".")[0] in self.libraries else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """An empty one."""
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""
