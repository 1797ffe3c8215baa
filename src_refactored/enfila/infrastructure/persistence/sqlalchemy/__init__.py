"""A storage in a SQL database, through SQLAlchemy Core."""

from enfila.infrastructure.persistence.sqlalchemy.job_repository import SqlAlchemyJobRepository
from enfila.infrastructure.persistence.sqlalchemy.storage import SqlAlchemyStorage

__all__ = ["SqlAlchemyJobRepository", "SqlAlchemyStorage"]
