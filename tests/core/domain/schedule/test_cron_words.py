"""Every accepted cron expression has words, and they name the same instants.

By hand, with more expressions: `python -m tests.core.domain.schedule.test_cron_words 100000`.
"""

import sys
from itertools import product

import pytest
from hypothesis import assume, given, settings, strategies as st

from enfila.core.domain.errors import InvalidRequest
from enfila.core.domain.schedule.triggers.cron import Cron, CronRule, _rule_of
from tests.core.domain.schedule.cron_reading import WhatWasRead, read

EXAMPLES = int(sys.argv[1]) if __name__ == "__main__" else 1_000

Terms = st.SearchStrategy[str]


def terms(lowest: int, highest: int, *others: Terms, names: tuple[str, ...] = ()) -> Terms:
    """Terms of one field."""
    number = st.integers(lowest, highest).map(str)
    if names:
        number |= st.sampled_from(names)
    step = st.integers(1, highest - lowest + 1) | st.sampled_from([1, 2, 3])
    a_range = st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)).map(
        lambda pair: f"{min(pair)}-{max(pair)}"
    )
    return st.one_of(
        number,
        st.just("*"),
        a_range,
        st.builds("*/{}".format, step),
        st.builds("{}/{}".format, number, step),
        st.builds("{}/{}".format, a_range, step),
        *others,
    )


def field(term: Terms, most: int = 4) -> Terms:
    return st.just("*") | st.lists(term, min_size=1, max_size=most).map(",".join)


DAYS = ("sun", "mon", "Tue", "wed", "thu", "fri", "SAT")
MONTHS = ("jan", "Feb", "mar", "dec")
DAY = st.integers(0, 7).map(str) | st.sampled_from(DAYS)
NTH = (
    st.builds("{}#{}".format, DAY, st.integers(1, 5))
    | st.builds("L{}".format, DAY)
    | st.builds("{}L".format, DAY)
)
TIMES = field(terms(0, 59))
FIVE = st.tuples(
    TIMES,
    field(terms(0, 23)),
    field(terms(1, 31, st.just("L"))),
    field(terms(1, 12, names=MONTHS)),
    field(terms(0, 7, names=DAYS)) | field(NTH, 3),
)
EXPRESSIONS = (FIVE | st.builds(lambda second, five: (second, *five), TIMES, FIVE)).map(" ".join)


@given(EXPRESSIONS)
@settings(max_examples=EXAMPLES, deadline=None)
def test_words_name_the_same_instants(expression: str) -> None:
    try:
        cron = Cron(expression)
    except InvalidRequest:
        assume(False)
        return
    words = cron.in_words()
    assert says_the_same(read(words), _rule_of(cron.expression)), f"{expression!r} as {words!r}"


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 0 *,1 * 1", "at 00:00 on Monday"),
        ("0 0 1,* * 1", "at 00:00 every day"),
        ("0 0 1 * 1,*", "at 00:00 every day"),
        ("0 0 1,* * *", "at 00:00 every day"),
        ("0 0 */1 * 1", "at 00:00 on Monday"),
        ("*/5,* * * * *", "every minute"),
        ("*,5 * * * * *", "every second"),
        ("0 0 *,L * *", "at 00:00 every day"),
        ("0 0 L,* * mon", "at 00:00 every day"),
        ("0 0 * *,2 *", "at 00:00 every day"),
        ("0 *,3 * * *", "at minute 0 of every hour"),
        ("0,0 12,12 * * *", "at 12:00 every day"),
        ("0 0 * * 0-7", "at 00:00 on Sunday to Sunday"),
    ],
)
def test_a_star_among_other_terms_stands_for_all(expression: str, words: str) -> None:
    assert Cron(expression).in_words() == words
    assert says_the_same(read(words), _rule_of(expression))


def test_the_reader_sees_what_differs() -> None:
    rule = _rule_of("0 0 1 * mon")
    assert says_the_same(
        read("at 00:00 on day 1 of the month or on Monday (either is enough)"), rule
    )
    for other in (
        "at 00:00 on day 1 of the month and on Monday (both must match)",
        "at 00:00 on day 2 of the month or on Monday (either is enough)",
        "at 00:00 on day 1 of the month or on the last Monday of the month (either is enough)",
        "at 00:01 on day 1 of the month or on Monday (either is enough)",
        "at 00:00 on day 1 of the month",
        "at 00:00 on day 1 of the month or on Monday (either is enough) in May",
    ):
        assert not says_the_same(read(other), rule)
    with pytest.raises(AssertionError, match="what is 'at noon'"):
        _ = read("at noon")


def says_the_same(found: WhatWasRead, rule: CronRule) -> bool:
    if found.months != rule.days.months or not has_the_times(found, rule):
        return False
    given_days = (rule.days.days, rule.days.weekdays, rule.days.nth_weekdays)
    is_alike = (found.days, found.weekdays, found.nth) == given_days
    if is_alike and found.is_either == rule.days.either_is_enough:
        return True
    return all(
        found.has_day(day, weekday, length) == rule.days._mean(day, weekday, length)  # noqa: SLF001 - by days, not dates
        for length in (28, 29, 30, 31)
        for day, weekday in product(range(1, length + 1), range(7))
    )


def has_the_times(found: WhatWasRead, rule: CronRule) -> bool:
    given_times = (set(rule.hours), set(rule.minutes), set(rule.seconds))
    if len(found.times) == 1:
        return found.times[0] == given_times
    every = [set(product(*each)) for each in found.times]  # a few times of day
    return set[tuple[int, ...]]().union(*every) == set(product(*given_times))


if __name__ == "__main__":
    test_words_name_the_same_instants()
