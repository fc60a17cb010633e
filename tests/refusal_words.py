"""The words of every refusal, read out of the source: what stands in an f-string's braces becomes `<…>`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from darkroom import errors
from darkroom.agent import aftermath

SOURCE = Path(errors.__file__).parents[1]
# Where refusals of tasks are made. The command line, the deployment and config.yaml speak to their own users.
ROOMS = ("agent", "api", "errors", "inference", "openai", "policy", "runtimes", "tasks")
# Dead letters are put back by an operator: no task meets what is said there. The contract is a test for adapters.
_OTHERS = frozenset(
    {"policy/dead_letters.py", "runtimes/contract.py", "runtimes/registry.py", "openai/options.py"}
    | {"agent/composition.py"}
)
# Which argument holds the words; of errors it is the first.
_WORDS_AT = {
    "HTTPException": 1,
    "ValueError": 0,
    "Fault": 1,
    "Finding": 1,
    "LinkRefused": 1,
    "LinkUnreachable": 1,
    "error": 1,
    "fault": 1,
    "failure": 1,
    "NotToBeRun": 1,
}
# Functions whose return value is said, or the better part of it: (file, name).
_SAY = frozenset(
    {
        ("policy/links.py", "forbidden_reason"),
        ("policy/links.py", "credentials_reason"),
        ("policy/expiry.py", "why_too_late"),
        ("policy/incidents.py", "tell_story"),
        ("tasks/json_bounds.py", "excess"),
        ("tasks/json_bounds.py", "_too_many"),
        ("tasks/json_text.py", "_what_it_is"),
        ("inference/infotext_reading.py", "_reason"),
        ("inference/intake.py", "_too_large_text"),
        ("runtimes/comfyui/errors.py", "_refusal_reason"),
    }
)
_MOST = 12  # ways to say one thing


class Words(msgspec.Struct, frozen=True):
    """What is said, by whom (the name of an error, or of what makes a fault), and where: `policy/links.py:116`."""

    text: str
    maker: str
    place: str

    @property
    def form(self) -> str:
        """The words alone, whatever the variables are called."""
        return form_of(self.text)


def form_of(text: str) -> str:
    """`text` with every `<variable>` made the same, and what stands side by side made one."""
    return re.sub(r"(?:<>)+", "<>", re.sub(r"<[^<>]*>", "<>", text.replace("<lora:", "(lora:"))).strip()


def error_names() -> frozenset[str]:
    """Every error of the tree by its name, save those that speak to somebody else than a task's user."""
    found, left = set(), [errors.DarkroomError]
    while left:
        error = left.pop()
        found.add(error.__name__)
        left.extend(error.__subclasses__())
    assert aftermath.CancelledByUser.__name__ in found
    return frozenset(found - {"InvalidRequest", "SettingsError", "ApiFailure", "ApiUnreachable", "StackFailure"})


def refusals() -> list[Words]:
    """All of them."""
    makers = {**dict.fromkeys(error_names() | {"BadJson", "BadForm"}, 0), **_WORDS_AT}
    found = []
    for room in ROOMS:
        path = SOURCE / room
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            name = file.relative_to(SOURCE).as_posix()
            if name not in _OTHERS:
                found.extend(_File(file, name).words(makers))
    return found


class _File:
    def __init__(self, path: Path, name: str) -> None:
        self._name = name
        self._tree = ast.parse(path.read_text())
        self._functions = {
            node.name: node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }

    def words(self, makers: dict[str, int]) -> Iterator[Words]:
        yield from self._in(self._tree, makers, self._tree)
        for file, name in _SAY:
            if file == self._name:
                for node, text in self._returned(name):
                    yield Words(text, "", f"{file}:{node.lineno}")

    def _in(self, node: ast.AST, makers: dict[str, int], scope: ast.AST) -> Iterator[Words]:
        for child in ast.iter_child_nodes(node):
            inner = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else scope
            if isinstance(child, ast.Call):
                arguments = [argument for argument in child.args if not isinstance(argument, ast.Starred)]
                for maker in self._makers(child.func):
                    at = makers.get(maker)
                    if at is not None and len(arguments) > at:
                        for text in self._texts(arguments[at], scope, 0):
                            yield Words(text, maker, f"{self._name}:{child.lineno}")
                if (
                    isinstance(child.func, ast.Attribute)
                    and child.func.attr == "__init__"
                    and self._name.startswith("errors/")
                ):
                    for text in self._texts(child.args[0], scope, 0) if child.args else ():
                        yield Words(text, "", f"{self._name}:{child.lineno}")
            yield from self._in(child, makers, inner)

    def _imported(self, name: str) -> Iterator[ast.expr]:
        """What a constant of another file is."""
        for node in self._tree.body:
            if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
                file = SOURCE.parent / f"{(node.module or '').replace('.', '/')}.py"
                if name.isupper() and file.is_file():
                    yield from _assigned(ast.parse(file.read_text()), name, deep=False)

    def _constant(self, name: str) -> str | int | float | None:
        for value in [*_assigned(self._tree, name, deep=False), *self._imported(name)]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str | int | float):
                return value.value
        return None

    def _makers(self, function: ast.expr) -> list[str]:
        match function:
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return [name]
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._makers(body), *self._makers(orelse)]
        return []

    def _returned(self, name: str) -> Iterator[tuple[ast.AST, str]]:
        function = self._functions[name]
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                for text in self._texts(node.value, function, 0):
                    yield node, text

    def _texts(self, node: ast.expr, scope: ast.AST, depth: int) -> list[str]:
        """The texts that an expression can come to; `<…>` for what is not known here."""
        match node:
            case ast.Constant(value=str(text)):
                return [text]
            case ast.Constant():
                return []
            case ast.JoinedStr(values=values):
                return self._joined([self._part(value, scope, depth) for value in values])
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                return self._joined([self._texts(left, scope, depth + 1), self._texts(right, scope, depth + 1)])
            case ast.IfExp(body=body, orelse=orelse):
                return [*self._texts(body, scope, depth + 1), *self._texts(orelse, scope, depth + 1)]
            case ast.BoolOp(op=ast.Or(), values=values):
                return [text for value in values for text in self._texts(value, scope, depth + 1)]
            case ast.Name(id=name) if depth < 4:
                found = [
                    text
                    for value in [
                        *_assigned(scope, name),
                        *_assigned(self._tree, name, deep=False),
                        *self._imported(name),
                    ]
                    for text in self._texts(value, scope, depth + 1)
                ]
                return list(dict.fromkeys(found)) or [f"<{name}>"]
        return [f"<{_named(node)}>"]

    def _part(self, value: ast.expr, scope: ast.AST, depth: int) -> list[str]:
        if not isinstance(value, ast.FormattedValue):
            return self._texts(value, scope, depth)
        inner = value.value
        if isinstance(inner, ast.Name) and inner.id.isupper() and (said := self._constant(inner.id)) is not None:
            return [
                repr(said) if value.conversion == ord("r") else f"{said:g}" if isinstance(said, float) else str(said)
            ]
        if isinstance(inner, ast.Name):
            # Words that were put together before; where there may be none, or others' words, it is a variable.
            said = self._texts(inner, scope, depth + 1)
            if all(" " in text.strip("<>") for text in said):
                return said
        return [f"<{_named(inner)}>"]

    @staticmethod
    def _joined(parts: list[list[str]]) -> list[str]:
        texts = [""]
        for part in parts:
            texts = [text + more for text in texts for more in part][:_MOST]
        return texts


def _assigned(scope: ast.AST, name: str, *, deep: bool = True) -> Iterator[ast.expr]:
    for node in ast.walk(scope) if deep else ast.iter_child_nodes(scope):
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=value) if target == name:
                yield value
            case ast.NamedExpr(target=ast.Name(id=target), value=value) if target == name:
                yield value


def _named(node: ast.expr) -> str:
    names = [part.id if isinstance(part, ast.Name) else part.attr for part in ast.walk(node)
             if isinstance(part, ast.Name | ast.Attribute)]  # fmt: skip
    return names[0].strip("_") if names else "…"
