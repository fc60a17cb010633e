"""Dead letters in memory, which never suspend: what stands behind the front door in tests, beside its other ports."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from darkroom.errors import AwsFailure
from darkroom.policy.dead_letters import DeadLetter, redrive

_BATCH = 10


class MemoryDeadLetters:
    """Keeps letters in `letters`, by their runtimes, and in `redriven` the ids of those that were put back.

    `held_ids` are those that somebody holds now, and `looked` is how often somebody began to. While `failure` is set,
    nothing can be put back.
    """

    def __init__(self, letters: Mapping[str, list[DeadLetter]]) -> None:
        self.letters = dict(letters)
        self.redriven: list[str] = []
        self.failure: AwsFailure | None = None
        self.held_ids: set[str] = set()
        self.looked = 0

    async def count(self, runtime: str) -> int | None:
        """How many there are."""
        return len(self.letters[runtime]) if runtime in self.letters else None

    @asynccontextmanager
    async def held(self, runtime: str) -> AsyncIterator[_Held]:
        """Hold letters."""
        self.looked += 1
        held = _Held(self, self.letters[runtime])
        try:
            yield held
        finally:
            self.held_ids.clear()


class _Held:
    def __init__(self, store: MemoryDeadLetters, letters: list[DeadLetter]) -> None:
        self._store = store
        self._letters = letters

    async def receive(self) -> list[DeadLetter]:
        """Hold some more."""
        batch = [letter for letter in self._letters if letter.id not in self._store.held_ids][:_BATCH]
        self._store.held_ids.update(letter.id for letter in batch)
        return batch

    async def all(self, maximum: int) -> list[DeadLetter]:
        """Hold up to `maximum`."""
        found: list[DeadLetter] = []
        while len(found) < maximum and (batch := await self.receive()):
            found.extend(batch)
        return found[:maximum]

    async def redrive(self, letter: DeadLetter) -> str:
        """Put one back, as far as it is a task."""
        submission_id = redrive(letter).submission_id
        if self._store.failure is not None:
            raise self._store.failure
        self._letters.remove(letter)
        self._store.redriven.append(letter.id)
        return submission_id
