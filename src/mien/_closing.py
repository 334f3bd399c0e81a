"""Things that must be closed, for ``with`` blocks."""

from __future__ import annotations

from types import TracebackType
from typing import Self


class Closing:
    """Base of classes that own something and give it back in `close`."""

    def close(self) -> None:
        """Give back what is owned; may be called more than once."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
