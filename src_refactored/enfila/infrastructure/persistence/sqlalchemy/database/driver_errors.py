"""What drivers raise, in enfila's words."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import exc

from enfila.core.domain.errors import EnfilaError, RepositoryUnavailable
from enfila.core.domain.showing import class_name, message_of


class DriverErrors(ABC):
    """What the errors of one database's drivers mean."""

    @abstractmethod
    def is_retryable(self, error: BaseException) -> bool:
        """Whether the database rolled back for no fault of the transaction's own."""

    @abstractmethod
    def is_unsent(self, error: BaseException) -> bool:
        """Whether the driver sent nothing, because it found its connection dead already."""

    @abstractmethod
    def is_rolled_back(self, error: BaseException) -> bool:
        """Whether the database said that the statement or the commit did not take place."""

    @abstractmethod
    def is_answer(self, error: BaseException) -> bool:
        """Whether the database itself said so; otherwise the statement may still be under way."""

    @abstractmethod
    def is_connection_lost(self, error: BaseException) -> bool:
        """Whether the connection is gone or of no use any more, though another one may work."""

    @abstractmethod
    def is_unavailability(self, error: BaseException) -> bool | None:
        """Whether the database's own code says that it cannot write; None without a code."""

    @abstractmethod
    def advice(self, error: BaseException) -> str | None:
        """What people can do about an error that is an unavailability; None if that is plain."""

    def message(self, origin: BaseException) -> str:
        """What a driver's own error says."""
        return message_of(origin)

    def is_outage(self, error: BaseException) -> bool:
        """Whether the database cannot be reached or cannot write, rather than disliked the data."""
        if isinstance(error, exc.TimeoutError | OSError | TimeoutError | asyncio.TimeoutError):
            return True
        answer = self.is_unavailability(error)
        if answer is not None:
            return answer
        return isinstance(error, exc.DBAPIError) and (
            error.connection_invalidated
            or isinstance(error, exc.OperationalError | exc.InterfaceError)
        )

    def translated(
        self, error: BaseException, target: str, *, uncertain: bool = False
    ) -> BaseException:
        """The error as the ports promise it; others stay what they are."""
        if isinstance(error, EnfilaError) or not self.is_outage(error):
            return error
        origin = origin_of(error)
        reason = " ".join(self.message(origin).split()) or class_name(type(origin))
        if advice := self.advice(error):
            reason = f"{reason}; {advice}"
        return RepositoryUnavailable(target, reason, uncertain=uncertain)

    @contextmanager
    def translating(self, target: str) -> Iterator[None]:
        """A context whose errors come out as the ports promise them."""
        try:
            yield
        except Exception as error:
            answer = self.translated(error, target)
            if answer is error:
                raise
            raise answer from error


def origin_of(error: BaseException) -> BaseException:
    """The driver's own error, if SQLAlchemy has wrapped it."""
    return (error.orig or error) if isinstance(error, exc.DBAPIError) else error
