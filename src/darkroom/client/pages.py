"""A list of tasks, page by page: what to ask for next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from darkroom.tasks.replies import TaskList, TaskView

_PAGE = 100


class Pages:
    """What is asked for, and how much of it is still to come. `query` is None when there is no more."""

    def __init__(self, *, status: Iterable[str], runtime: str | None, since: datetime | None, most: int | None) -> None:
        self._missing = most
        wanted = {"status": ",".join(status), "runtime": runtime or ""}
        if since is not None:
            wanted["since"] = f"{max(0.0, since.timestamp()):.6f}"
        self._wanted = {name: value for name, value in wanted.items() if value}
        self.query: dict[str, str] | None = self._query(None)

    def take(self, page: TaskList) -> list[TaskView]:
        """The tasks of a page, as many as are wanted; `query` is what to ask for then."""
        tasks = page.tasks if self._missing is None else page.tasks[: self._missing]
        if self._missing is not None:
            self._missing -= len(tasks)
        is_over = page.next is None or self._missing == 0
        self.query = None if is_over else self._query(page.next)
        return tasks

    def _query(self, position: str | None) -> dict[str, str] | None:
        if self._missing == 0:
            return None
        limit = _PAGE if self._missing is None else min(_PAGE, self._missing)
        more = {} if position is None else {"next": position}
        return {**self._wanted, "limit": str(limit), **more}
