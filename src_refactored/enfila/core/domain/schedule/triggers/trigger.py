"""The five kinds of triggers, and reading a stored one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.cron import Cron
from enfila.core.domain.schedule.triggers.interval import AfterCompletion, Interval
from enfila.core.domain.schedule.triggers.once import Once
from enfila.core.domain.schedule.triggers.times_of_day import TimesOfDay
from enfila.core.domain.showing import message_of, shown

Trigger = Cron | Interval | AfterCompletion | TimesOfDay | Once
"""Each kind has `next_after(instant, zone)`, `in_words()`, `to_document()`, `from_document()`."""

KINDS: Final[Mapping[str, type[Trigger]]] = {
    each.kind: each for each in (Cron, Interval, AfterCompletion, TimesOfDay, Once)
}


def trigger_from_document(stored: Mapping[str, Any]) -> Trigger:
    """Reads a trigger of any kind that its `to_document` wrote.

    Raises:
        InvalidRequest: an unknown kind, or values that its kind refuses.
    """
    kind = stored.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidRequest("trigger.kind", kind, f"the kinds are {', '.join(KINDS)}")
    try:
        return KINDS[kind].from_document(stored)
    except InvalidRequest:
        raise
    except KeyError as missing:
        raise InvalidRequest(
            "trigger", stored, f"a trigger {kind} has {shown(missing.args[0])}"
        ) from None
    except (TypeError, ValueError) as problem:
        raise InvalidRequest(
            "trigger", stored, f"a {kind} has other values: {message_of(problem)}"
        ) from None
