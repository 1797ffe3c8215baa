"""Jobs in a SQL database, through SQLAlchemy Core."""

from enfila.infrastructure.persistence.sqlalchemy.job_repository import SqlAlchemyJobRepository

__all__ = ["SqlAlchemyJobRepository"]
