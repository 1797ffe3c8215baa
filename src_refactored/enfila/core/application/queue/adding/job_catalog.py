"""What a queue is told of the kinds of its jobs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from enfila.core.application.queue.adding.payload_codec import PayloadCodec
from enfila.core.domain.job.options import JobOptions


@dataclass(frozen=True, slots=True)
class Terms:
    """Value object: the default options and the payload codec for the jobs of one type.

    Attributes:
        codec: checks and writes their payloads.
        options: for what a job's own options leave out; the queue's defaults come after these.
    """

    codec: PayloadCodec
    options: JobOptions


class JobCatalog(ABC):
    """Tells a queue the options and payload types of known job types, whenever a job is added."""

    @abstractmethod
    def terms(self, queue: str, name: str) -> Terms | None:
        """The terms of a new job; None when the catalog has nothing to say of this queue.

        Raises:
            InvalidRequest: the queue takes jobs of known types only, and this is none of them.
        """

    @abstractmethod
    def result_codec(self, queue: str, name: str) -> PayloadCodec | None:
        """What rebuilds the result of a stored job; None for the queue's own codec."""
