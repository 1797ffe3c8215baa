"""What the documents show runs as it stands, and the tables name everything that there is."""

import ast
import asyncio
import inspect
import re
import runpy
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple, TypeGuard

import pytest

import enfila
import enfila.alembic
import enfila.testing
from enfila.core.application.queue.maintenance.maintenance_options import MaintenanceOptions
from enfila.core.application.scheduler.scheduler_options import SchedulerOptions
from enfila.core.application.worker.worker_options import WorkerOptions
from enfila.core.domain import events
from enfila.core.domain.job.options import JobOptions
from enfila.core.domain.job.state import JobState, Reason
from enfila.core.domain.schedule import events as schedule_events
from enfila.infrastructure.persistence.sqlalchemy.effects.effects import Effects
from enfila.infrastructure.persistence.sqlalchemy.tables.tables import build_tables
from enfila.settings import Settings

PROJECT = Path(__file__).parents[2]
DOCUMENTS = [PROJECT / "README.md", *sorted((PROJECT / "docs").rglob("*.md"))]

_BLOCK = re.compile(
    r"^(?P<note><!-- not run.*?-->\n)?```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
REPOSITORY = "https://github.com/enfila/enfila/blob/main/"
_LINK = re.compile(
    rf"\[[^\]]*\]\((?:(?P<ours>{REPOSITORY})|(?!https?:))(?P<file>[^)#\s]*)(?:#(?P<heading>[^)\s]*))?\)"
)


class Block(NamedTuple):
    """One fenced piece of Python."""

    document: Path
    line: int
    code: str
    is_run: bool

    @property
    def is_program(self) -> bool:
        """Whether it stands alone; others are read with an open `app` and a `queue` at hand."""
        return "Enfila(" in self.code or "asyncio.run(" in self.code

    def __str__(self) -> str:
        return f"{self.document.relative_to(PROJECT)}:{self.line}"


def _compiled(code: str, place: str) -> CodeType:
    compiled: CodeType = compile(code, place, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    return compiled


def _blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        text = document.read_text()
        for found in _BLOCK.finditer(text):
            line = text.count("\n", 0, found.start("code")) + 1
            yield Block(document, line, found["code"], not found["note"])


BLOCKS = list(_blocks())


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_documented_code_runs(
    block: Block,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not block.is_run:
        _ = _compiled(block.code, str(block))
        return
    monkeypatch.chdir(tmp_path)
    program = tmp_path / "program.py"
    program.write_text(block.code)
    if block.is_program:
        _ = runpy.run_path(str(program), run_name="__main__")
    else:
        asyncio.run(_run_with_a_queue(_compiled(block.code, str(program))))


async def _run_with_a_queue(code: CodeType) -> None:
    """Runs a piece in the surroundings that `docs/index.md` promises for it."""
    async with enfila.Enfila("sqlite:///jobs.db") as app:
        known: dict[str, Any] = {name: getattr(enfila, name) for name in enfila.__all__}
        known |= {"app": app, "queue": app.queue("email")}
        answer = eval(code, known)
        if inspect.isawaitable(answer):
            await answer


def test_documented_code_imports_public_modules_only() -> None:
    inside = re.compile(r"(?:from|import) enfila\.(?!testing\b|alembic\b|events\b)\S+")
    assert [str(block) for block in BLOCKS if inside.search(block.code)] == []


def test_every_error_is_documented() -> None:
    errors = {
        name
        for name in enfila.__all__
        if isinstance(each := getattr(enfila, name), type) and issubclass(each, enfila.EnfilaError)
    }
    assert len(errors) > 20
    assert errors <= _first_column("errors.md")


def test_every_logger_is_documented() -> None:
    source = PROJECT / "src_refactored"
    named = re.compile(r"getLogger\(\"([\w.]+)\"\)")
    loggers = {name for path in source.rglob("*.py") for name in named.findall(path.read_text())}
    assert loggers == _first_column("logging.md")


def test_the_index_leads_to_every_page() -> None:
    index = (PROJECT / "docs" / "index.md").read_text()
    linked_elsewhere = {"index.md", "demo-output.md"}
    pages = {page.name for page in (PROJECT / "docs").glob("*.md")} - linked_elsewhere
    assert [page for page in pages if f"({page})" not in index] == []


def test_the_reference_has_every_public_name() -> None:
    pages = (PROJECT / "docs" / "api").glob("*.md")
    shown = [
        name for page in pages for name in re.findall(r"^::: (\S+)", page.read_text(), re.MULTILINE)
    ]
    public = {f"enfila.{name}" for name in enfila.__all__} - {"enfila.__version__", "enfila.events"}
    public |= {f"enfila.testing.{name}" for name in enfila.testing.__all__}
    public |= {f"enfila.alembic.{name}" for name in ("include_name", "leaving_out", "IncludeName")}
    assert sorted(shown) == sorted(public | {enfila.events.__name__})


def test_the_site_has_every_page() -> None:
    site = tomllib.loads((PROJECT / "zensical.toml").read_text())
    listed = set(re.findall(r"'([^']+\.md)'", str(site["project"]["nav"])))
    folder = PROJECT / "docs"
    pages = {str(page.relative_to(folder)) for page in folder.rglob("*.md")}
    assert {page for page in pages if not page.startswith("decisions/0")} == listed


def test_every_table_is_documented() -> None:
    tables = build_tables(None, "enfila_")
    _ = Effects(tables)
    assert {table.name for table in tables.metadata.tables.values()} <= _first_column(
        "configuration.md"
    )


def test_what_runs_a_job_has_one_name() -> None:
    """A processor, or the function of a job type; handlers are those of logging."""
    said = re.compile(r"(?<!`)\b[Hh]andlers?\b(?!s?=)")
    pages = [page for page in DOCUMENTS if page.parent.name != "decisions"]
    found = {
        (page.name, line)
        for page in pages
        for line in _prose(page).splitlines()
        if said.search(line) and "logging" not in line.lower()
    }
    public = {
        name: inspect.getdoc(getattr(enfila, name)) or ""
        for name in enfila.__all__
        if name != "__version__"
    }
    assert found == set()
    assert [name for name, doc in public.items() if said.search(doc)] == []


def _prose(page: Path) -> str:
    """A page without its code, in which names of others may stand."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`]*`", "", text)


def test_there_is_documented_code() -> None:
    assert len(BLOCKS) > 10


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in _LINK.finditer(document.read_text()):
        place = PROJECT if link["ours"] else document.parent
        target = (place / link["file"]).resolve() if link["file"] else document
        assert target.exists(), link[0]
        if link["heading"]:
            assert link["heading"] in _headings(target), link[0]


def test_no_link_of_the_first_page_is_relative() -> None:
    """A package index shows it without the files around it."""
    links = _LINK.finditer((PROJECT / "README.md").read_text())
    assert [link[0] for link in links if link["file"] and not link["ours"]] == []


def test_no_link_leads_out_of_the_pages() -> None:
    """The site has the folder `docs` and nothing else."""
    pages = PROJECT / "docs"
    outside = [
        link[0]
        for page in pages.rglob("*.md")
        for link in _LINK.finditer(page.read_text())
        if link["file"] and not link["ours"]
        if not (page.parent / link["file"]).resolve().is_relative_to(pages)
    ]
    assert outside == []


def _headings(document: Path) -> set[str]:
    lines = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def _first_column(document: str) -> set[str]:
    """What stands in backquotes in the first column of the tables."""
    text = (PROJECT / "docs" / document).read_text()
    return set(re.findall(r"`([^`]+)`", "\n".join(re.findall(r"^\| ([^|]*)", text, re.MULTILINE))))


def test_every_option_of_a_job_is_documented() -> None:
    assert set(inspect.signature(JobOptions).parameters) <= _first_column("queues.md")


@pytest.mark.parametrize("options", [WorkerOptions, MaintenanceOptions])
def test_every_option_of_a_worker_is_documented(options: type) -> None:
    assert {field.name for field in fields(options)} <= _first_column("workers.md")


def test_every_setting_is_documented() -> None:
    variables = {
        str(field.validation_alias or f"ENFILA_{name.upper()}")
        for name, field in Settings.model_fields.items()
    }
    arguments = set(inspect.signature(enfila.Enfila).parameters)
    assert variables | arguments <= _first_column("configuration.md")


def test_every_state_and_reason_is_documented() -> None:
    text = (PROJECT / "docs" / "life-of-a-job.md").read_text()
    rows = re.findall(r"^\| (.*)$", text, re.MULTILINE)
    assert set(JobState) <= _first_column("life-of-a-job.md")
    assert [reason for reason in Reason if not any(reason in row for row in rows)] == []


def test_every_event_is_documented_with_its_fields() -> None:
    table = _fields_of_events("events.md")
    assert set(table) == events.QUEUE_EVENTS | events.WORKER_EVENTS
    bases = (events.JobEvent, events.WorkerEvent, events.QueueEvent)
    for event in filter(_is_told, vars(events).values()):
        common = next(base for base in bases if issubclass(event, base))
        assert table[event.name] == _names_of_fields(event) - _names_of_fields(common)


def test_every_event_of_a_scheduler_is_documented_with_its_fields() -> None:
    table = _fields_of_events("schedules.md")
    assert set(table) == schedule_events.SCHEDULER_EVENTS
    bases = (schedule_events.ScheduleEvent, events.Event)
    for event in filter(_is_told, vars(schedule_events).values()):
        common = next(base for base in bases if issubclass(event, base))
        assert table[event.name] == _names_of_fields(event) - _names_of_fields(common)


def test_every_option_of_a_scheduler_is_documented() -> None:
    assert {field.name for field in fields(SchedulerOptions)} <= _first_column("schedules.md")


def _fields_of_events(document: str) -> dict[str, set[str]]:
    """The events in the tables of a document, with what stands in their second column."""
    text = (PROJECT / "docs" / document).read_text()
    return {
        name: set(re.findall(r"`(\w+)`", told))
        for name, told in re.findall(r"^\| `([a-z_]+\.[a-z_.]+)` \|([^|]*)\|", text, re.MULTILINE)
    }


def _is_told(kind: object) -> TypeGuard[type[events.Event]]:
    return isinstance(kind, type) and issubclass(kind, events.Event) and hasattr(kind, "name")


def _names_of_fields(kind: type[events.Event]) -> set[str]:
    return {field.name for field in fields(kind)}


def test_the_documents_name_no_place_of_this_machine() -> None:
    place = re.compile(r"/home/|/root/|/tmp/|/Users/|/work/")
    assert [path.name for path in DOCUMENTS if place.search(path.read_text())] == []
