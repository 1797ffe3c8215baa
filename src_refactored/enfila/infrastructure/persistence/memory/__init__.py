"""Jobs kept in this process: for tests, and the model that the other adapters are compared with."""

from enfila.infrastructure.persistence.memory.job_repository import InMemoryJobRepository
from enfila.infrastructure.persistence.memory.storage import InMemoryStorage

__all__ = ["InMemoryJobRepository", "InMemoryStorage"]
