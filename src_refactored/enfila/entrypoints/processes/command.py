"""The command line of `WorkerProcesses`."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from typing import Final

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.showing import message_of
from enfila.entrypoints.processes.worker_processes import WorkerProcesses

_DESCRIPTION: Final = """\
Runs workers as many processes: replaced when they die, ended together.

TARGET is an async function without arguments, which runs a worker:

    # jobs.py
    async def work():
        async with Enfila("sqlite:///jobs.db") as app:
            await app.worker("email", send, WorkerOptions(concurrency=20)).run()

    python -m enfila.entrypoints.processes jobs:work --processes 4

SIGTERM and Ctrl-C let running jobs finish. Pressed twice, jobs are cancelled
and go back to their queue; three times, the processes are killed.
"""
_EXIT_CODES: Final = """\
exit codes: 0 all ended as they were told to; 1 none came up, or one had to be
killed or ended with an error; 2 wrong arguments
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; the exit code. Wrong arguments end the program with 2."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        processes = WorkerProcesses(
            given.target, processes=given.processes, stop_timeout=given.stop_timeout
        )
    except InvalidRequest as error:
        parser.error(message_of(error))
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    return processes.run()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m enfila.entrypoints.processes",
        description=_DESCRIPTION,
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", metavar="TARGET", help="package.module:name")
    parser.add_argument(
        "--processes", type=int, metavar="N", help="how many (default: one for each usable CPU)"
    )
    parser.add_argument(
        "--stop-timeout",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="a process that takes longer to end is killed; more than the grace of its workers "
        "(default: 60)",
    )
    return parser
