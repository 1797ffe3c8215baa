"""Logging errors of any kind."""

from __future__ import annotations

import logging
import traceback

from enfila.core.application.runtime.outage_log import OUTAGES
from enfila.core.domain.errors import RepositoryUnavailable
from enfila.core.domain.job.failure import JobError
from enfila.core.domain.showing import described


def log_error(logger: logging.Logger, error: BaseException, during: str) -> None:
    """Logs an error with its trace, an outage without: `OutageLog` tells of those.

    Never raises, whatever the exception's own methods do.
    """
    if type(error) is RepositoryUnavailable:
        if not OUTAGES.has_told(error):
            logger.error("during %s: %s", during, error)
        return
    if _can_be_formatted(error):
        logger.error("during %s: %s", during, described(error), exc_info=error)
    else:
        logger.error("during %s: %s\n%s", during, described(error), JobError.of(error).trace)


def _can_be_formatted(error: BaseException) -> bool:
    try:
        _ = "".join(traceback.format_exception(error)).encode()
    except BaseException:  # noqa: BLE001 - an exception's own methods may raise anything
        return False
    return True
