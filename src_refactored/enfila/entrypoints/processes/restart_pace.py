"""How soon a process that died is replaced."""

from __future__ import annotations

from typing import Final

RAN_WELL: Final = 30.0
"""A process that ran for so many seconds before it died counts as its first death."""

_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0
_MOST_DOUBLINGS: Final = 10  # beyond the longest wait, and no number grows for ever


class RestartPace:
    """At once after a first death, then after waits that double up to 30 s."""

    def __init__(self) -> None:
        self._deaths = 0

    def wait_after(self, ran: float) -> float:
        """Seconds to wait, after a process that ran for so many seconds died."""
        self._deaths = 1 if ran >= RAN_WELL else self._deaths + 1
        if self._deaths == 1:
            return 0.0
        doublings = min(self._deaths - 2, _MOST_DOUBLINGS)
        return min(_FIRST_WAIT * (1 << doublings), _LONGEST_WAIT)
