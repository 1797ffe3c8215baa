"""What `ServerDatabase` has to know of a driver."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.engine import URL

from enfila.infrastructure.persistence.sqlalchemy.database.driver_errors import DriverErrors
from enfila.infrastructure.persistence.sqlalchemy.database.prepared_statement import Row

CONNECT_SECONDS: Final = 10
STATEMENT_SECONDS: Final = 60


class DirectExecution(ABC):
    """A driver's own connection, without SQLAlchemy between: a third of a small statement's time.

    Its rows are read by number, and a uuid must be cast to text in the statement.
    """

    @abstractmethod
    async def fetch(self, connection: Any, text: str, values: tuple[Any, ...]) -> Sequence[Row]:
        """The rows of a statement."""

    @abstractmethod
    def is_closed(self, connection: Any) -> bool:
        """Whether the connection is closed already."""


class ServerDriver(ABC):
    """One driver of a database server: its URL, settings, time limits and errors.

    Attributes:
        errors: what its errors mean.
        direct: how prepared statements are executed on its own connection, past SQLAlchemy's
            execution and rows; None if they are not.
        is_pooled: whether a pooler may give each transaction another connection to the server, so
            that settings and prepared statements end with the transaction.
    """

    errors: DriverErrors
    direct: DirectExecution | None = None
    is_pooled: bool = False

    @abstractmethod
    def engine_url(self) -> URL:
        """The URL with the async kind of the driver, without options: `connect_arguments` has them.

        Under a plain engine, whose every use is a greenlet of ours: `AsyncConnection` takes one
        for each step, and its module brings the whole ORM along, 9 MB.
        """

    @abstractmethod
    def connect_arguments(self, application_name: str = "enfila") -> dict[str, Any]:
        """Time limits and settings of a connection; what stands in the URL comes first."""

    @abstractmethod
    def notices_pooler(self, error: BaseException) -> bool:
        """Whether an error says that there is a pooler; `is_pooled` is then true.

        Connections made before are of no use then, and nothing was written.
        """

    @abstractmethod
    async def begin_set_up(self, connection: Any) -> None:
        """Readies SQLAlchemy's adapter of a new connection behind a pooler to be set up."""

    @abstractmethod
    async def end_set_up(self, connection: Any) -> None:
        """The same, after SQLAlchemy has set it up."""

    @abstractmethod
    async def say(self, connection: Any, text: str) -> None:
        """Sends text without parameters on a connection of the driver's own; one round trip."""

    @property
    @abstractmethod
    def beginning(self) -> str:
        """What begins a transaction behind a pooler, and makes its settings."""

    @abstractmethod
    def is_closed(self, connection: Any) -> bool:
        """Whether a connection of the driver's own is closed already."""

    @abstractmethod
    async def is_answered(self, seconds: float) -> bool:
        """Whether the server answers to a new connection within so many seconds."""

    @abstractmethod
    def break_off(self, connection: Any) -> None:
        """Breaks a connection of the driver's own, at once and without a word to the server.

        Whoever waits for an answer on it gets an error.
        """
