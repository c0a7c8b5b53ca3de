"""The command line: every option with every kind of wrong value, and what a user relies on."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from coachbook.catalogue import shipped
from coachbook.cli import command, run
from coachbook.cli.console import note, progress, table
from coachbook.cli.grammar import walked
from coachbook.settings import Settings, Workspace
from coachbook.text import Locale, speaking
from tests.conftest import COMMAND, RunCli
from tests.processes import until

LONG = "x" * 10_240
HOSTILE = "no such thing \x1b[31m[bold]\u202e"
BELOW_A_FILE = "coachbook.toml/below"
WRONG = {"--out": BELOW_A_FILE, "--html": BELOW_A_FILE, "DIR": BELOW_A_FILE}
"""A folder may have nearly any name; everything else is refused as HOSTILE."""


def _below() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command, with the words that call it."""
    return ((words, each) for words, each in walked(command()) if words)


def _cases() -> Iterator[Any]:
    """Each parameter of each command, so that a new one cannot be forgotten."""
    for words, each in _below():
        needed = [p for p in each.params if p.param_type_name == "argument" and p.required]
        for parameter in each.params:
            valid = [VALID[p.metavar] for p in needed if p is not parameter]
            title = parameter.metavar if parameter.param_type_name == "argument" else parameter.opts[0]
            for kind, value in _values(parameter, title):
                before = [] if parameter.param_type_name == "argument" else [title]
                last = [f"{title}={value}"] if kind == "flag" else [*before, value]
                yield pytest.param([*words, *valid, *last], value, id=f"{'-'.join(words)}-{title}-{kind}")


VALID = {"NOTEBOOK": "retrospective", "DIR": "new", "FILE": "coachbook.toml"}


def _values(parameter: Any, title: str) -> Iterator[tuple[str, str]]:
    if getattr(parameter, "is_flag", False):
        yield "flag", "yes"
        return
    yield "wrong", WRONG.get(title, HOSTILE)
    yield "empty", ""
    yield "long", LONG


@pytest.fixture
def there(
    own: Callable[[Workspace], Workspace], regional: Workspace, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    """A workspace with data, and the current folder in it."""
    workspace = own(regional)
    monkeypatch.chdir(workspace.folder)
    return workspace


def _tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_mtime_ns for path in folder.rglob("*")}


def test_the_walk_meets_every_command() -> None:
    met = {case.values[0][0] for case in _cases()}
    assert met == {
        "init",
        "import",
        "snapshots",
        "facts",
        "metrics",
        "doctor",
        "cleanup",
        "simulate",
        "run",
        "serve",
        "lab",
        "eject",
        "demo",
    }


@pytest.mark.parametrize(("args", "value"), list(_cases()))
def test_a_value_that_cannot_be_is_refused(
    args: list[str], value: str, there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _tree(there.folder)
    assert run(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert 20 < len(said.err) < 500
    assert "Traceback" not in said.err
    assert all(c.isprintable() for c in said.err.rstrip("\n"))
    assert _tree(there.folder) == before


REFUSALS = [
    (["rnu"], ["rnu", "run"]),
    (["run"], ["NOTEBOOK"]),
    (["run", "retrospective", "--perod", "2021-10"], ["--perod", "--period"]),
    (["run", "retrospective", "--period"], ["--period", "PERIOD"]),
    (["run", "retrospective", "and", "more"], ["and"]),
    (["run", "retrospectiv"], ["retrospectiv", "retrospective"]),
    (["run", "retrospective", "--reps", "Archy Boyle"], ["Archy Boyle", "Archie Boyle"]),
    (["run", "retrospective", "--period", "2021-13"], ["2021-13", "2021-10"]),
    (["run", "retrospective", "--period", "1999-01"], ["1999-01", "2021-10"]),
    (["run", "retrospective", "--period", "2022-01"], ["2022-01", "2021-10"]),
    (["run", "retrospective", "--as-of", "2021-02-30"], ["2021-02-30", "2021-11-10"]),
    (["run", "retrospective", "--format", "pdf"], ["pdf", "ipynb", "html"]),
    (["run", "retrospective", "--locale", "de"], ["de", "en", "zh_CN"]),
    (["run", "retrospective", "--workers", "0"], ["0", "1"]),
    (["run", "retrospective", "--cluster", "tcp://x"], ["tcp://x", "tcp://192.0.2.7:8786"]),
    (["run", "retrospective", "--shard", "5/2"], ["5/2", "2/3"]),
    (["run", "retrospective", "--out", "/proc/out"], ["/proc/out"]),
    (["init", "/proc/new"], ["/proc/new"]),
    (["init", "new", "--currency", "EURO"], ["EURO", "USD"]),
    (["import", "nowhere"], ["nowhere"]),
    (["import", "--preset", "regional"], ["regional", "regional_sales"]),
    (["eject", "retro"], ["retro", "retrospective"]),
    (["serve", "--port", "70000"], ["70000", "8866"]),
    (["snapshots", "--workspace", "elsewhere"], ["elsewhere", "coachbook init"]),
    (["demo", "."], ["workspace of your own", "coachbook-demo"]),
]


@pytest.mark.parametrize(("args", "named"), REFUSALS, ids=lambda each: " ".join(each))
def test_a_refusal_names_what_was_wrong_and_what_would_be_right(
    args: list[str], named: list[str], there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    before = _tree(there.folder)
    assert run(args) == 2
    said = capsys.readouterr()
    assert said.out == ""
    for word in named:
        assert word in said.err
    assert _tree(there.folder) == before


def test_a_wrong_key_in_the_settings_names_the_nearest(
    there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    (there.folder / "coachbook.toml").write_text('curency = "CNY"\n', encoding="utf-8")
    assert run(["facts"]) == 2
    said = capsys.readouterr().err
    assert "curency" in said
    assert "currency" in said


def test_a_port_in_use_is_refused(there: Workspace, run_cli: RunCli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_cli("serve", "--no-browser", "--port", port, cwd=there.folder)
    assert done.returncode == 2
    assert port in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_import_of_the_same_keeps_the_snapshot(
    there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["snapshots", "--json"]) == 0
    [before] = json.loads(capsys.readouterr().out)
    assert run(["import", str(shipped("sample_data") / "regional_sales"), "--json"]) == 0
    said = capsys.readouterr()
    account = json.loads(said.out)
    assert account["snapshot"] == before["id"]
    assert {f["file"] for f in account["files"]} >= {"Opportunities.csv", "Owners.csv"}
    assert all(f["unchanged"] == f["loaded"] for f in account["files"])
    assert before == {"id": before["id"], "as_of": "2021-11-10", "current": True}


def test_rows_in_quarantine_end_in_3(there: Workspace, tmp_path: Path, run_cli: RunCli) -> None:
    source = tmp_path / "source"
    shutil.copytree(shipped("sample_data") / "regional_sales", source)
    deals = source / "Opportunities.csv"
    lines = deals.read_text(encoding="utf-8-sig").splitlines()
    columns = lines[0].split(",")
    row = lines[7].split(",")
    row[columns.index("Opportunity Created On")] = "some day"
    lines[7] = ",".join(row)
    deals.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = run_cli("import", source, "--json", cwd=there.folder)
    assert done.returncode == 3, done.stderr
    account = next(f for f in json.loads(done.stdout)["files"] if f["file"] == "Opportunities.csv")
    assert account["quarantined"] == 1
    assert account["rows"] == account["loaded"] + 1 + sum(account["dropped"].values()) == 20_000
    assert "quarantine" in done.stderr


def test_json_is_one_document_and_the_rest_is_on_standard_error(
    there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    for args in (["metrics"], ["snapshots"], ["facts", "--period", "2021-10"]):
        assert run([*args, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)


def test_figures_are_prepared_for_everybody(there: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["facts", "--period", "2021-10", "--json"]) == 0
    prepared = json.loads(capsys.readouterr().out)
    assert prepared["reps"] == 20
    assert prepared["period"] == "2021-10"
    assert Path(prepared["files"]["retrospective"]).is_file()


def test_an_ejected_notebook_is_a_copy_and_is_never_written_over(
    there: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["eject", "retrospective"]) == 0
    copy = there.notebooks / "retrospective.ipynb"
    shipped_cells = json.loads((shipped("notebooks") / copy.name).read_text(encoding="utf-8"))["cells"]
    assert json.loads(copy.read_text(encoding="utf-8"))["cells"] == [
        {**cell, "source": "".join(cell["source"])} if cell["cell_type"] == "markdown" else cell
        for cell in shipped_cells
    ]
    copy.write_text("mine", encoding="utf-8")
    assert run(["eject", "retrospective"]) == 2
    assert copy.read_text(encoding="utf-8") == "mine"


def test_a_chinese_copy_is_chinese(there: Workspace) -> None:
    assert run(["eject", "retrospective", "--locale", "zh_CN"]) == 0
    text = (there.notebooks / "retrospective.ipynb").read_text(encoding="utf-8")
    markdown = [c["source"] for c in json.loads(text)["cells"] if c["cell_type"] == "markdown"]
    assert all(re.search("[\u4e00-\u9fff]", source) for source in markdown)


@pytest.mark.parametrize("locale", Locale)
def test_help_tells_every_option_in_the_language(locale: Locale, capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(locale), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COACHBOOK_LOCALE", locale.value)
        patch.setenv("COLUMNS", "200")
        pages = {}
        for words, each in _below():
            name = " ".join(words)
            assert run([*words, "--help"]) == 0
            pages[name] = capsys.readouterr().out
            for parameter in each.params:
                assert parameter.help
                assert all(option in pages[name] for option in parameter.opts if option.startswith("--"))
            assert all(code in pages[name] for code in ("0 ", "1 ", "2 ", "3 ", "130 "))
    if locale is Locale.ZH_CN:
        english = re.compile(r"(?:\b[A-Za-z][a-z]+ ){3}")
        said = {name: page.replace(f"coachbook {name}", "") for name, page in pages.items()}
        assert {name: english.findall(page) for name, page in said.items() if english.search(page)} == {}


def _chinese(text: str) -> bool:
    return re.search("[\u4e00-\u9fff]", text) is not None


def test_messages_are_in_the_language_of_option_environment_workspace_in_this_order(
    tmp_path: Path, run_cli: RunCli
) -> None:
    chinese = Workspace.init(tmp_path / "chinese", settings=Settings(locale="zh_CN")).folder
    english = Workspace.init(tmp_path / "english").folder
    assert _chinese(run_cli("snapshots", cwd=chinese).stderr)
    assert _chinese(run_cli("snapshots", "--workspace", chinese).stderr)
    assert not _chinese(run_cli("snapshots", cwd=english).stderr)
    assert _chinese(run_cli("snapshots", cwd=english, env={"COACHBOOK_LOCALE": "zh_CN"}).stderr)
    assert not _chinese(run_cli("snapshots", cwd=chinese, env={"COACHBOOK_LOCALE": "en"}).stderr)
    assert not _chinese(run_cli("run", "retrospective", "--locale", "en", cwd=chinese).stderr)
    wrong = run_cli("snapshots", cwd=english, env={"COACHBOOK_LOCALE": "fr"})
    assert wrong.returncode == 2
    assert "zh_CN" in wrong.stderr


def test_the_start_is_light() -> None:
    heavy = {
        "pandas",
        "numpy",
        "duckdb",
        "voila",
        "papermill",
        "altair",
        "pyarrow",
        "jupyterlab",
        "great_tables",
    }
    code = (
        "import sys; from coachbook.cli import run; run(['--help']); sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert heavy & set(done.stderr.split()) == set()
    assert "coachbook" in done.stdout


def test_what_nobody_foresaw_is_one_line_and_a_file(
    there: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("coachbook.metrics.dictionary", lambda: 1 / 0)
    assert run(["metrics"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "ZeroDivisionError" in said
    assert "Traceback" not in said
    [log] = there.store.glob("coachbook-error-*.txt")
    assert str(log) in said
    assert "Traceback" in log.read_text(encoding="utf-8")


def test_ctrl_c_ends_in_130(
    there: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("coachbook.metrics.dictionary", interrupt)
    assert run(["metrics"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_reader_that_goes_away_gets_no_traceback() -> None:
    done = subprocess.run(
        ["bash", "-c", f"'{COMMAND}' metrics --json | head -c 1"], capture_output=True, text=True, timeout=60
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_name_steers_neither_terminal_nor_markup(capsys: pytest.CaptureFixture[str]) -> None:
    name = "\x1b]0;owned\x07[red]张伟[/red]\x9b31m"
    table(["Name"], [[name]])
    with progress("Making pages") as step:
        step(name, 0.5)
    note("done")
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert "[red]张伟[/red]" in text
        assert not {"\x1b", "\x07", "\x9b"} & set(text)


def test_version_and_help_by_the_installed_command(run_cli: RunCli) -> None:
    version = run_cli("--version")
    assert (version.returncode, version.stderr) == (0, "")
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", version.stdout)
    alone = run_cli()
    assert alone.returncode == 0
    assert "retro" not in alone.stderr
    assert "import" in alone.stdout


def test_a_byte_that_is_no_text_is_no_traceback(there: Workspace) -> None:
    done = subprocess.run(
        [os.fsencode(COMMAND), b"run", b"\xff\xfe"], cwd=there.folder, capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def _lists(name: str, address: str) -> bool:
    try:
        listing = requests.get(address, timeout=30).json()
    except requests.ConnectionError:
        return False
    return name in {entry["name"] for entry in listing["content"]}


def test_lab_opens_on_the_workspace(there: Workspace) -> None:
    server = subprocess.Popen(
        [COMMAND, "lab", "--no-browser"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    try:
        assert server.stderr
        said = ""
        while not (found := re.search(r"http://127\.0\.0\.1:\d+/lab\?token=\w+", said)):
            line = server.stderr.readline()
            assert line, said
            said += line
        assert "coachbook eject retrospective" in said
        address = found[0].replace("/lab?", "/api/contents?")
        assert until(lambda: _lists("coachbook.toml", address), seconds=30)
    finally:
        server.terminate()
        server.communicate(timeout=30)
