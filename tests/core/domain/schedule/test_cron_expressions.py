"""What may be written as a cron expression, how it reads in English, and what is refused."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.cron import Cron

UTC_ZONE = ZoneInfo("UTC")
START = datetime(2025, 3, 5, 5, tzinfo=UTC)  # a Wednesday


def first(expression: str, start: datetime = START) -> str:
    found = Cron(expression).next_after(start, UTC_ZONE)
    assert found is not None
    return f"{found:%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("30 4 1,15 * 5", "2025-03-07 04:30:00"),
        ("15 0 12 * * *", "2025-03-05 12:00:15"),
        ("0 12 L * *", "2025-03-31 12:00:00"),
        ("0 12 L 2 *", "2026-02-28 12:00:00"),
        ("0 0 7-31,L 4 *", "2025-04-07 00:00:00"),
        ("0 0 2-31,L 4 *", "2025-04-02 00:00:00"),
        ("0 0 L,2/1 4 *", "2025-04-02 00:00:00"),
        ("0 0 1-30,L 4 *", "2025-04-01 00:00:00"),
        ("0 12 * * friL", "2025-03-28 12:00:00"),
        ("0 12 * * 5L", "2025-03-28 12:00:00"),
        ("0 12 * * L5", "2025-03-28 12:00:00"),
        ("0 12 * * mon#1", "2025-04-07 12:00:00"),
        ("0 12 * * 7", "2025-03-09 12:00:00"),
        ("0 12 * * 7-7", "2025-03-09 12:00:00"),
        ("0 12 * * sat-sun", "2025-03-08 12:00:00"),
        ("5-5 * * * *", "2025-03-05 05:05:00"),
        ("50/4 * * * *", "2025-03-05 05:50:00"),
        ("0 0 * JAN,jul *", "2025-07-01 00:00:00"),
        ("0 0 29 2 *", "2028-02-29 00:00:00"),
        ("0 0 30 2 mon", "2026-02-02 00:00:00"),
        ("@hourly", "2025-03-05 06:00:00"),
        ("@daily", "2025-03-06 00:00:00"),
        ("@midnight", "2025-03-06 00:00:00"),
        ("@weekly", "2025-03-09 00:00:00"),
        ("@monthly", "2025-04-01 00:00:00"),
        ("@yearly", "2026-01-01 00:00:00"),
        ("@ANNUALLY", "2026-01-01 00:00:00"),
    ],
)
def test_the_first_time_of_an_expression(expression: str, expected: str) -> None:
    assert first(expression) == expected


def test_a_29_february_on_a_sunday_is_found_over_the_year_2100() -> None:
    assert first("0 0 29 2 */7", datetime(2088, 3, 1, tzinfo=UTC)) == "2128-02-29 00:00:00"


def test_the_calendar_ends() -> None:
    assert Cron("@yearly").next_after(datetime(9998, 6, 1, tzinfo=UTC), UTC_ZONE) is None


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 12 * * *", "at 12:00 every day"),
        ("15 30 2 * * *", "at 02:30:15 every day"),
        ("0 12,18,20 * * mon-fri", "at 12:00, 18:00 and 20:00 on Monday to Friday"),
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("*/5 * * * *", "every 5 minutes"),
        ("*/7 * * * *", "at minute every 7th from 0 of every hour"),
        ("0 */2 * * *", "at minute 0 of every 2nd hour from 00:00 every day"),
        ("*/15 9-17 * * *", "every 15 minutes of hour 9 to 17 every day"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 0 * jan-mar *", "at 00:00 every day in January to March"),
        ("0 0 * * 5#2", "at 00:00 on the 2nd Friday of the month"),
        ("0 0 * * friL", "at 00:00 on the last Friday of the month"),
        (
            "0 0 1 * mon",
            "at 00:00 on day 1 of the month or on Monday (either is enough)",
        ),
        (
            "0 0 */2 * mon",
            "at 00:00 on every 2nd day from the 1st of the month and on Monday (both must match)",
        ),
    ],
)
def test_an_expression_in_words(expression: str, words: str) -> None:
    assert Cron(expression).in_words() == words


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("61 * * * *", r"cron\.minute: '61' is not allowed; give 0-59"),
        ("* 24 * * *", r"cron\.hour: '24' is not allowed; give 0-23; is the order right\? minute"),
        ("14 30 * * *", r"cron\.hour: '30' is not allowed; .*is the order right\? minute hour"),
        ("0 12 mon * *", r"cron\.day-of-month: 'mon' .*is the order right\?"),
        ("0 12 * * 30", r"cron\.day-of-week: '30' .*with six fields seconds first"),
        ("0 12 0 * *", r"cron\.day-of-month: '0' is not allowed; give 1-31"),
        ("0 12 * 13 *", r"cron\.month: '13' is not allowed; give 1-12 or jan-dec"),
        ("0 12 * * funday", r"cron\.day-of-week: 'funday' is not allowed; give 0-7 or sun-sat"),
        ("*/0 * * * *", r"cron\.minute: '\*/0' is not allowed; give a step from 1 to 60"),
        ("*/90 * * * *", r"cron\.minute: '\*/90' is not allowed; give a step from 1 to 60"),
        ("0 22-6 * * *", r"cron\.hour: '22-6' is not allowed; give a range that rises"),
        ("0 12 ? * *", r"cron\.day-of-month: '\?' .*write \* for any day"),
        ("0 12 15W * *", r"cron\.day-of-month: '15w' .*nearest weekdays"),
        ("0 12 * * mon#6", r"cron\.day-of-week: 'mon#6'"),
        ("0 12 * * mon,fri#2", r"cron\.day-of-week: 'mon,fri#2' .*not both"),
        ("0 12 * * L", r"cron\.day-of-week: 'l'"),
        ("h * * * *", r"cron\.minute: 'h'"),
        ("1,,2 * * * *", r"cron\.minute: ''"),
        ("٣ * * * *", r"cron\.minute: '٣'"),
        ("0 0 30 2 *", r"cron: '0 0 30 2 \*' is not allowed; no date can ever match"),
        ("0 0 31 4,6,9,11 *", r"no date can ever match"),
        ("* * * *", r"cron: .* give 5 or 6 fields, not 4: minute hour"),
        ("0 0 12 * * ? 2025", r"give 5 or 6 fields, not 7"),
        ("", r"give 5 or 6 fields, not 0"),
        ("@noon", r"cron: '@noon' is not allowed; the nicknames are @hourly, @daily"),
        ("0," * 200 + "0 * * * *", r"give text of at most 255 characters"),
        (None, r"cron: None is not allowed; give text"),
    ],
)
def test_a_wrong_expression_is_refused_with_its_field_and_what_is_allowed(
    expression: Any, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Cron(expression)
