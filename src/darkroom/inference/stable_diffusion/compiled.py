"""A network that is compiled when it first runs, and run as it is when that fails."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from darkroom.logs import log

#: So many characters of a compiler's complaint go into the log; the whole of it can be pages.
_REASON = 300


class Compiled:
    """A callable in place of a network or function. Called from one thread.

    The first input is compiled for exactly its size; the next of another size makes torch compile once more, for every
    size. Networks of one shape share what was compiled. It is kept in torch's cache folder, so a restart finds it.
    """

    def __init__(self, name: str, eager: Callable[..., Any], mode: str | None, backend: str) -> None:
        """`mode` is torch.compile's; None runs `eager` as it is."""
        self._name = name
        self._eager = eager
        self._fast: Callable[..., Any] | None = None
        self._graphed = mode == "reduce-overhead"
        if mode is not None:
            # torch.compile refuses a mode for backends other than its own.
            options: dict[str, Any] = {"mode": mode} if backend == "inductor" else {"backend": backend}
            # As a whole or not at all: in pieces, each would be compiled for itself whenever one is too much.
            self._fast = torch.compile(eager, fullgraph=True, **options)

    @property
    def compiles(self) -> bool:
        """Whether it is compiled, or will be at the first call."""
        return self._fast is not None

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """The network's answer. A CUDA graph's answer is only valid until the next call."""
        if self._fast is None:
            return self._eager(*arguments, **named)
        try:
            if self._graphed:
                torch.compiler.cudagraph_mark_step_begin()
            return self._fast(*arguments, **named)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # dynamo, inductor, triton and the C compiler each raise their own
            reason = " ".join(str(error).split())[:_REASON]
            log(
                logging.WARNING,
                "runtime.compile_failed",
                f"the {self._name} cannot be compiled and runs as it is, more slowly: {reason}",
            )
            self._fast = None
            return self._eager(*arguments, **named)
