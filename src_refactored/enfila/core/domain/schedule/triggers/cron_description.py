"""Cron expressions in plain English."""

from __future__ import annotations

from typing import Final

from enfila.core.domain.schedule.triggers.cron_fields import CronFields
from enfila.core.domain.schedule.triggers.weekdays import FULL_NAMES, MONTH_NAMES, enumerated

_ORDINALS: Final = ("1st", "2nd", "3rd", "4th", "5th")
_MOST_TIMES: Final = 6


def cron_in_words(fields: CronFields) -> str:
    """Describes a cron expression, including how its two fields of days are combined."""
    plain = _without_needless_terms(fields)
    days = _days(plain, either_is_enough=fields.either_day_is_enough)
    phrases = (*_times(plain), days, _months(plain))
    return " ".join(phrase for phrase in phrases if phrase)


def _without_needless_terms(fields: CronFields) -> CronFields:
    """The same fields, `*` for those that have it among other terms: these add nothing."""
    return CronFields(
        _whole_or(fields.second),
        _whole_or(fields.minute),
        _whole_or(fields.hour),
        _whole_or(fields.day),
        _whole_or(fields.month),
        _whole_or(fields.weekday),
    )


def _whole_or(text: str) -> str:
    terms = text.split(",")
    return "*" if "*" in terms or "*/1" in terms else text


def _times(fields: CronFields) -> tuple[str, ...]:
    if fields.is_fixed and fields.second.isdigit():
        times = _times_of_day(fields)
        if len(times) <= _MOST_TIMES:
            return (f"at {enumerated(times)}",)
    return (_seconds(fields), _minutes(fields), _hours(fields))


def _times_of_day(fields: CronFields) -> list[str]:
    second = "" if fields.second == "0" else f":{int(fields.second):02}"
    times = {
        f"{int(hour):02}:{int(minute):02}{second}"
        for hour in fields.hour.split(",")
        for minute in fields.minute.split(",")
    }
    return sorted(times)


def _seconds(fields: CronFields) -> str:
    if fields.second == "0":
        return ""
    if fields.second == "*":
        return "every second"
    if (step := _even_step(fields.second, 60)) is not None:
        return f"every {step} seconds"
    return f"at second {_list(fields.second)}"


def _minutes(fields: CronFields) -> str:
    has_seconds = fields.second != "0"
    if fields.minute == "*":
        # "Every second" already says so.
        return "" if has_seconds and fields.second[0] == "*" else "every minute"
    if (step := _even_step(fields.minute, 60)) is not None:
        return f"of every {_ordinal(step)} minute" if has_seconds else f"every {step} minutes"
    return f"at minute {_list(fields.minute)}"


def _hours(fields: CronFields) -> str:
    if fields.hour == "*":
        is_rhythm = fields.minute == "*" or _even_step(fields.minute, 60) is not None
        return "" if is_rhythm else "of every hour"
    if (step := _even_step(fields.hour, 24)) is not None:
        return f"of every {_ordinal(step)} hour from 00:00"
    return f"of hour {_list(fields.hour)}"


def _days(fields: CronFields, *, either_is_enough: bool) -> str:
    day, weekday = _days_of_month(fields.day), _weekdays(fields.weekday)
    is_every_day = either_is_enough and not (day and weekday)
    if is_every_day or (not day and not weekday):
        return "" if fields.hour == "*" else "every day"
    if not day or not weekday:
        return day or weekday
    if either_is_enough:
        return f"{day} or {weekday} (either is enough)"
    return f"{day} and {weekday} (both must match)"


def _days_of_month(text: str) -> str:
    if text == "*":
        return ""
    return f"on {enumerated([_day_of_month(term) for term in text.split(',')])} of the month"


def _day_of_month(term: str) -> str:
    if term == "l":
        return "the last day"
    values, _, step = term.partition("/")
    if values == "*":
        return f"every {_ordinal(int(step))} day from the 1st"
    words = f"day {values.replace('-', ' to ')}"
    return f"every {_ordinal(int(step))} of {words}" if step else words


def _weekdays(text: str) -> str:
    if text == "*":
        return ""
    return f"on {enumerated([_weekday(term) for term in text.split(',')])}"


def _weekday(term: str) -> str:
    if term.startswith("l"):
        return f"the last {_day_name(term[1:])} of the month"
    if "#" in term:
        name, _, count = term.partition("#")
        return f"the {_ORDINALS[int(count) - 1]} {_day_name(name)} of the month"
    values, _, step = term.partition("/")
    first, _, last = values.partition("-")
    if first == "*":
        first, last = "0", "6"
    words = f"{_day_name(first)} to {_day_name(last)}" if last else _day_name(first)
    return f"every {_ordinal(int(step))} of {words}" if step else words


def _months(fields: CronFields) -> str:
    if fields.month == "*":
        return ""
    return f"in {enumerated([_month(term) for term in fields.month.split(',')])}"


def _month(term: str) -> str:
    values, _, step = term.partition("/")
    first, _, last = values.partition("-")
    if first == "*":
        first, last = "1", "12"
    words = MONTH_NAMES[int(first) - 1]
    if last:
        words += f" to {MONTH_NAMES[int(last) - 1]}"
    return f"every {_ordinal(int(step))} month from {words}" if step else words


def _list(text: str) -> str:
    """Describes a field of numbers: `1, 5 to 9 and every 2nd from 10 to 20`."""
    return enumerated([_numbers(term) for term in text.split(",")])


def _numbers(term: str) -> str:
    values, _, step = term.partition("/")
    words = values.replace("-", " to ")
    if not step:
        return words
    return f"every {_ordinal(int(step))} from {words.replace('*', '0')}"


def _even_step(text: str, size: int) -> int | None:
    """The n of `*/n` if n divides the range of the field, so that all intervals are equal."""
    mark, _, step = text.partition("/")
    if mark == "*" and step.isdigit() and size % int(step) == 0 and int(step) > 1:
        return int(step)
    return None


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number % 100 in {11, 12, 13} else ending}"


def _day_name(number: str) -> str:
    return FULL_NAMES[(int(number) - 1) % 7]
