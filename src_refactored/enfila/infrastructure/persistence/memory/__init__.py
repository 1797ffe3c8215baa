"""Jobs kept in this process: for tests, and the model that the other adapters are compared with."""

from enfila.infrastructure.persistence.memory.job_repository import InMemoryJobRepository

__all__ = ["InMemoryJobRepository"]
