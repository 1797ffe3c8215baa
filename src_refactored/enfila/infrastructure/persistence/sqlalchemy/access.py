"""What the parts of the repository run their statements with."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeVar

from enfila.infrastructure.persistence.sqlalchemy.database import Work
from enfila.infrastructure.persistence.sqlalchemy.instants import Instants

T = TypeVar("T")


class Access(ABC):
    """The database of a repository, which is opened at first use."""

    _instants: Instants

    @abstractmethod
    async def _write(self, work: Work[T]) -> T:
        """As `Database.write`."""

    @abstractmethod
    async def _read(self, work: Work[T]) -> T:
        """As `Database.read`."""
