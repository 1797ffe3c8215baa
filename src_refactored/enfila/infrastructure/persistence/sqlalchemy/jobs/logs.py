"""The lines that running jobs logged."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from enfila.core.application.ports.job_reader import LogLine
from enfila.core.domain.job.identity import JobId
from enfila.core.domain.job.running.progress import ProgressUpdate
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import Tables


class JobLogs:
    """Appends, trims and reads the log lines of jobs."""

    def __init__(self, tables: Tables) -> None:
        self._logs = tables.logs

    def append(
        self, connection: sa.Connection, reports: Sequence[ProgressUpdate], now: datetime
    ) -> None:
        """Stores the lines of reports whose tokens were right, and keeps the newest N if asked."""
        rows = [
            {"job_id": report.job_id, "attempt": report.attempt, "logged_at": now, "line": line}
            for report in reports
            for line in report.lines
        ]
        if rows:
            connection.execute(sa.insert(self._logs), rows)
        for report in reports:
            if report.keep_logs is not None and report.lines:
                self._trim(connection, report.job_id, report.keep_logs)

    def _trim(self, connection: sa.Connection, job_id: JobId, keep: int) -> None:
        logs = self._logs
        of_job = logs.c.job_id == job_id
        # The newest line that is too many; with it go all that are older.
        last = connection.scalar(
            sa.select(logs.c.id).where(of_job).order_by(logs.c.id.desc()).offset(keep).limit(1)
        )
        if last is not None:
            connection.execute(sa.delete(logs).where(of_job, logs.c.id <= last))

    def read(
        self, connection: sa.Connection, job_id: JobId, limit: int, offset: int
    ) -> list[LogLine]:
        """The lines of a job, oldest first."""
        logs = self._logs
        rows = connection.execute(
            sa.select(logs.c.logged_at, logs.c.attempt, logs.c.line)
            .where(logs.c.job_id == job_id)
            .order_by(logs.c.id)
            .limit(limit)
            .offset(offset)
        )
        return [LogLine(*row) for row in rows]
