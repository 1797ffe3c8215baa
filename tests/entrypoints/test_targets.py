"""What a worker process may run, and what is said about the rest."""

from pathlib import Path

import pytest

from enfila import InvalidRequest, WorkerProcesses
from enfila.entrypoints.processes.command import main
from enfila.entrypoints.processes.target import described, load, name_of
from tests.entrypoints import worker_processes_target
from tests.entrypoints.worker_processes_target import work

TARGETS = worker_processes_target.__name__


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_function_has_a_name_by_which_others_find_it() -> None:
    assert name_of(work) == f"{TARGETS}:work"
    assert load(name_of(work)) is work


@pytest.mark.parametrize(
    "target", ["", "jobs", "jobs:", ":work", "a:b:c", "jobs.py:wo rk", "a:b()"]
)
def test_what_is_no_name_is_refused_before_anything_is_imported(target: str) -> None:
    with pytest.raises(InvalidRequest, match=r'give "package\.module:name"'):
        name_of(target)


def test_what_others_cannot_find_is_refused() -> None:
    async def inner() -> None: ...

    with pytest.raises(InvalidRequest, match="where other processes find it too"):
        name_of(inner)


def test_what_is_not_async_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="a plain function is no async function"):
        name_of(worker_processes_target.plain)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nosuchmodule:work", "there is no module 'nosuchmodule' in "),
        ("tests.nosuchmodule:work", "there is no module 'tests.nosuchmodule' in "),
        (f"{TARGETS}:wrok", "has no 'wrok', perhaps 'work' is meant"),
        (f"{TARGETS}:xyz", "has no 'xyz'"),
        (f"{TARGETS}:plain", "a plain function is no async function; give `async def work"),
        (f"{TARGETS}:QUEUE", "a str is no async function"),
        (f"{TARGETS}:of_one", "without arguments: missing a required argument: 'argument'"),
    ],
)
def test_a_wrong_target_is_refused_in_a_sentence(target: str, told: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load(target)
    assert refused.value.field == "target"
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nosuchlibrary", "ModuleNotFoundError: No module named 'nosuchlibrary'"),
        ("\n1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_fails_is_named_with_the_line(modules: Path, text: str, told: str) -> None:
    file = modules / f"failing_{len(text)}.py"
    file.write_text(text)
    line = text.count("\n") + 1
    with pytest.raises(InvalidRequest) as refused:
        load(f"{file.stem}:work")
    assert f"importing {file.stem!r} raises {told} ({file}, line {line})" in str(refused.value)


def test_a_module_that_is_no_python_is_named_with_the_line(modules: Path) -> None:
    (modules / "garbled.py").write_text("async def work(:")
    with pytest.raises(InvalidRequest, match=r"raises SyntaxError: .* \(garbled.py, line 1\)$"):
        load("garbled:work")


def test_an_error_without_a_trace_is_named_alone() -> None:
    assert described(ValueError("no")) == "ValueError: no"


@pytest.mark.parametrize("processes", [0, -1, 1_001, True, 1.5])
def test_a_wrong_number_of_processes_is_refused(processes: int) -> None:
    with pytest.raises(InvalidRequest, match=r"processes: .* give a whole number from 1 to 1000"):
        WorkerProcesses(work, processes=processes)


def test_there_are_as_many_processes_as_cpus() -> None:
    assert WorkerProcesses(work).processes >= 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["jobs"], "error: target: 'jobs' is not allowed; give"),
        (["jobs:work", "--processes", "0"], "error: processes: 0 is not allowed; give"),
        (["jobs:work", "--stop-timeout", "-1"], "error: stop_timeout: -1.0 is not allowed; give"),
        (["jobs:work", "--processes", "many"], "error: argument --processes: invalid int value"),
        ([], "error: the following arguments are required: TARGET"),
    ],
)
def test_wrong_arguments_are_told_in_a_sentence(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_the_help_shows_how_it_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "python -m enfila.entrypoints.processes jobs:work --processes 4" in (
        capsys.readouterr().out
    )
