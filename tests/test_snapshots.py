"""Snapshots: immutable, found by their content, switched last, and whole after any crash."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import duckdb
import psutil  # type: ignore[import-untyped]
import pytest

from coachbook import sources
from coachbook.cli import run
from coachbook.errors import Invalid, NotFound, Refused
from coachbook.facts import prepare
from coachbook.settings import Settings, Workspace
from coachbook.warehouse import Snapshot, Snapshots, snapshots

MAPPING = """
as_of = 2021-11-10
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "id"
status = { constant = "open" }
created_on = { constant = "2021-01-01" }
amount = "amount"
currency = { constant = "USD" }
"""


def files(folder: Path, ids: range, amount: int = 1) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mapping.toml").write_text(MAPPING)
    (folder / "deals.csv").write_text("id,amount\n" + "".join(f"{i},{amount}\n" for i in ids))
    return folder


def kept(workspace: Workspace) -> Snapshots:
    return Snapshots(workspace.store)


def deals(snapshot: Snapshot) -> set[str]:
    with snapshot.connect() as connection:
        return {row[0] for row in connection.execute("SELECT deal_id FROM deal_state").fetchall()}


def load(workspace: Workspace, ids: range, amount: int = 1, as_of: str = "") -> Snapshot:
    folder = files(workspace.folder.parent / f"{workspace.folder.name}-files", ids, amount)
    return sources.import_paths(workspace, [folder], as_of=as_of).snapshot


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.init(tmp_path / "workspace")


# Content and order


def test_a_snapshot_is_named_by_its_day_and_content(workspace: Workspace, tmp_path: Path) -> None:
    first = load(workspace, range(3))
    assert first.id.startswith("2021-11-10-")
    assert first.path == workspace.store / "snapshots" / f"{first.id}.duckdb"
    assert first.as_of == date(2021, 11, 10)
    other = Workspace.init(tmp_path / "other")
    assert load(other, range(3)).id == first.id
    assert load(other, range(3), amount=2).id != first.id
    assert load(workspace, range(3)) == first == kept(workspace).current()
    assert kept(workspace).all() == [first]


def test_going_back_to_earlier_content_names_it_again(workspace: Workspace) -> None:
    first, second = load(workspace, range(3)), load(workspace, range(3), amount=2)
    assert kept(workspace).all() == [second, first]
    assert load(workspace, range(3)) == first == kept(workspace).current()
    assert kept(workspace).all() == [first, second]


def test_without_data_the_message_says_how_to_import(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="coachbook import"):
        kept(workspace).current()
    assert kept(workspace).all() == []


def test_the_last_ten_are_kept_and_an_open_one_stays_readable(workspace: Workspace) -> None:
    first = load(workspace, range(1))
    with first.connect() as connection:
        for amount in range(2, 14):
            newest = load(workspace, range(1), amount)
        assert len(kept(workspace).all()) == snapshots.KEPT == 10
        assert kept(workspace).all()[0] == newest == kept(workspace).current()
        assert connection.execute("SELECT amount_minor FROM deals").fetchall() == [(100,)]
    with pytest.raises(NotFound, match=first.id):
        first.connect()


def test_a_pinned_snapshot_stays_and_what_was_made_of_others_goes_with_them(workspace: Workspace) -> None:
    statement, gone = load(workspace, range(1)), load(workspace, range(2))
    store = kept(workspace)
    store.pin(statement.id, "statement of 2021-Q4")
    for snapshot in (statement, gone):
        for kind in ("facts", "slices", "known"):
            made = store.beside(kind, snapshot.id)
            made.mkdir(parents=True)
            (made / "made.duckdb").touch()
    for amount in range(2, 14):
        load(workspace, range(1), amount)
    assert store.pins() == {statement.id: "statement of 2021-Q4"}
    assert deals(statement) == {"0"}
    assert not gone.path.exists()
    left = {path.parent.name for path in workspace.store.rglob("made.duckdb")}
    assert left == {statement.id}
    assert len(store.all()) == snapshots.KEPT + 1
    with pytest.raises(NotFound, match=statement.id):
        store.pin(f"{statement.id[:-1]}x", "nothing")


def test_several_readers_in_one_process_and_nobody_can_write(workspace: Workspace) -> None:
    snapshot = load(workspace, range(2))
    with snapshot.connect() as one, snapshot.connect() as other:
        assert (
            one.execute("SELECT count(*) FROM deals").fetchall()
            == other.execute("FROM (SELECT 2)").fetchall()
        )
        with pytest.raises(Exception, match="read-only"):
            one.execute("DELETE FROM deals")
        loaded = one.execute(
            "SELECT current_setting('autoinstall_known_extensions'), current_setting('autoload_known_extensions')"
        )
        assert loaded.fetchall() == [(False, False)]


def test_a_pointer_to_a_lost_snapshot_names_those_that_are_there(workspace: Workspace) -> None:
    first, second = load(workspace, range(1)), load(workspace, range(2))
    second.path.unlink()
    with pytest.raises(Refused, match=first.id):
        kept(workspace).current()
    with pytest.raises(Refused, match=first.id):
        load(workspace, range(3))
    (workspace.store / "snapshots" / "current").write_text(f"{first.id}\n")
    assert deals(load(workspace, range(3))) == {"0", "1", "2"}


def test_a_store_that_cannot_be_written_is_refused(workspace: Workspace) -> None:
    workspace.store.rmdir()
    workspace.store.write_text("a file, where a folder should be")
    with pytest.raises(Refused, match="Nothing was changed"):
        load(workspace, range(1))


# What another version wrote

OLD = """
CREATE TABLE deals (deal_id VARCHAR); CREATE TABLE reps (rep_id VARCHAR);
CREATE TABLE publishes (as_of DATE PRIMARY KEY, settings VARCHAR NOT NULL)
"""
"""Tables of the first layout, as far as any reader gets."""


def _of_an_earlier_layout(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute(OLD)
        connection.execute("INSERT INTO publishes VALUES ('2021-11-10', ?)", [Settings().reporting])


def _damaged(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize("write", [_of_an_earlier_layout, _damaged])
@pytest.mark.parametrize("command", ["import", "facts", "doctor", "run"])
def test_a_snapshot_that_cannot_be_read_is_one_clear_error(
    command: str, write: Callable[[Path], None], workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    there = kept(workspace)
    there.folder.mkdir()
    write(there.path("2021-11-10-0123abcd"))
    (there.folder / "current").write_text("2021-11-10-0123abcd")
    source = files(workspace.folder.parent / "files", range(3))
    arguments = {"import": [str(source)], "run": ["retrospective"]}.get(command, [])
    assert run([command, *arguments, "--workspace", str(workspace.folder)]) == 2
    said = capsys.readouterr().err
    for part in ("2021-11-10-0123abcd.duckdb", "another version", "import"):
        assert part in said.splitlines()[-1]
    shutil.move(there.folder, workspace.folder / "away")
    assert sources.import_paths(workspace, [source]).snapshot == there.current()


# Settings


def test_settings_are_kept_with_each_publish(workspace: Workspace) -> None:
    load(workspace, range(1), as_of="2021-10-31")
    first = workspace.settings
    (workspace.folder / "coachbook.toml").write_text('name = "New name"\ntime_zone = "Asia/Shanghai"')
    changed = Workspace(workspace.folder)
    snapshot = load(changed, range(2), as_of="2021-11-30")

    def in_force(day: date) -> Settings:
        return Settings.model_validate_json(snapshot.settings_at(day))

    assert in_force(date(2021, 1, 1)).digest == first.digest
    assert in_force(date(2021, 11, 29)).digest == first.digest
    assert in_force(date(2021, 11, 30)).time_zone == "Asia/Shanghai"
    assert in_force(date(2022, 1, 1)).digest == changed.settings.digest != first.digest


def republished(workspace: Workspace) -> Snapshot:
    return kept(workspace).republish(workspace.settings.reporting)


def test_republishing_makes_a_snapshot_only_when_a_figure_may_change(workspace: Workspace) -> None:
    before = load(workspace, range(3))
    (workspace.folder / "coachbook.toml").write_text('name = "Renamed"\nlocale = "zh_CN"')
    assert republished(Workspace(workspace.folder)) == before
    (workspace.folder / "coachbook.toml").write_text("[worth_acting]\nshare = 0.2")
    changed = Workspace(workspace.folder)
    after = republished(changed)
    assert after == kept(workspace).current() != before
    assert (after.as_of, deals(after)) == (before.as_of, deals(before))
    assert Settings.model_validate_json(after.settings_at(after.as_of)).worth_acting.share == 0.2
    assert Settings.model_validate_json(before.settings_at(before.as_of)).worth_acting.share == 0.05
    assert republished(changed) == after


def test_figures_of_a_fiscal_year_follow_its_setting_at_once(
    own: Callable[[Workspace], Workspace], firm: Workspace
) -> None:
    before = own(firm)
    first = kept(before).current()
    for wrong in ({"period": "FY2021-Q5"}, {"as_of": "2021-02-30"}):
        (before.folder / "coachbook.toml").write_text('[calendar]\nfiscal_year_starts = "04-01"')
        with pytest.raises(Invalid):
            prepare(Workspace(before.folder), **wrong)
        assert kept(before).current() == first
    prepared = prepare(Workspace(before.folder), "FY2021-Q4")
    assert (prepared.period.span.first, prepared.period.span.after) == (date(2021, 1, 1), date(2021, 4, 1))
    assert prepared.snapshot == kept(before).current().id != first.id
    with pytest.raises(Invalid, match=r"FY2031.*outside"):
        prepare(Workspace(before.folder), "FY2031")
    assert kept(before).current().id == prepared.snapshot


# Two at once

IMPORT = """
import sys, time
from pathlib import Path
from coachbook import sources
from coachbook.settings import Workspace
workspace, folder, go = (Path(a) for a in sys.argv[1:4])
def wait(*_):
    print("reading", flush=True)
    while not go.exists():
        time.sleep(0.005)
{before}
sources.import_paths(Workspace(workspace), [folder]{how})
"""


def importing(workspace: Workspace, folder: Path, go: Path, *, hold: bool) -> subprocess.Popen[str]:
    code = IMPORT.format(before="" if hold else "wait()", how=", on_progress=wait" if hold else "")
    return subprocess.Popen(
        [sys.executable, "-c", code, str(workspace.folder), str(folder), str(go)],
        stdout=subprocess.PIPE,
        text=True,
    )


def test_imports_at_once_wait_for_one_another(workspace: Workspace, tmp_path: Path) -> None:
    go = tmp_path / "go"
    parts = [files(tmp_path / f"part{n}", range(n * 10, n * 10 + 10)) for n in range(4)]
    running = [importing(workspace, part, go, hold=False) for part in parts]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
    go.touch()
    assert [process.wait(60) for process in running] == [0, 0, 0, 0]
    assert deals(kept(workspace).current()) == {str(n) for n in range(40)}


def test_an_import_that_waits_too_long_is_refused_and_a_killed_one_holds_nobody_up(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "PATIENCE_SECONDS", 0.2)
    holder = importing(workspace, files(tmp_path / "held", range(5)), tmp_path / "never", hold=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "reading\n"
    with pytest.raises(Refused, match="Another import"):
        load(workspace, range(3))
    killed(holder)
    assert deals(load(workspace, range(3))) == {"0", "1", "2"}


FULL = """
import resource, signal, sys
from pathlib import Path
from coachbook import sources
from coachbook.errors import Refused
from coachbook.settings import Workspace

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    sources.import_paths(Workspace(Path(sys.argv[1])), [Path(sys.argv[2])])
except Refused as error:
    print(error)
"""


@pytest.mark.parametrize("room", [0, 20_000, 400_000, 1_500_000])
def test_no_room_to_write_is_refused_and_changes_nothing(
    workspace: Workspace, tmp_path: Path, room: int
) -> None:
    """The system refuses to write more than so many bytes into a file, as a full disk does."""
    old = load(workspace, range(3))
    folder = files(tmp_path / "large", range(20_000))
    ended = subprocess.run(
        [sys.executable, "-c", FULL, str(workspace.folder), str(folder), str(room)],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (ended.returncode, "cannot be written" in ended.stdout) == (0, True), ended.stderr
    assert kept(workspace).current() == old
    assert deals(old) == {"0", "1", "2"}
    assert [path.name for path in (workspace.store / "snapshots").glob("*.duckdb")] == [old.path.name]
    assert len(deals(sources.import_paths(workspace, [folder]).snapshot)) == 20_000


# Crashes

CRASH = """
import os, signal, sys
from pathlib import Path
from coachbook import sources
from coachbook.settings import Workspace

def steps_of_an_import(workspace, folder, new, moment):
    snapshots, phases, told = workspace / ".coachbook" / "snapshots", [], [None]
    def phase(where, what):
        if (snapshots / "current").read_text().strip() == new:
            return "switch"
        if (snapshots / f"{new}.duckdb").exists():
            return "rename"
        if what in ("_check", "summed", "_sync") and told[0]:
            return "check"
        if "/warehouse/" in where:
            return "write"
        return "parse"
    def hook(frame, event, arg):
        where, what = frame.f_code.co_filename, frame.f_code.co_name
        ours = "/coachbook/warehouse/" in where or "/coachbook/sources/" in where
        if ours or ("/pathlib" in where and what in ("write_text", "replace", "rename")):
            sys.setprofile(None)
            told[0] = told[0] or what == "_check"
            phases.append(phase(where, what))
            if len(phases) == moment:
                os.kill(os.getpid(), signal.SIGKILL)
            sys.setprofile(hook)
    sys.setprofile(hook)
    sources.import_paths(Workspace(workspace), [folder])
    sys.setprofile(None)
    return phases

for line in sys.stdin:
    workspace, folder, new, moment = line.rstrip().split("|")
    process = os.fork()
    if not process:
        print(*steps_of_an_import(Path(workspace), Path(folder), new, int(moment)), end=" ", flush=True)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""
STRIKES = 5


def killed(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    assert process.wait(20) == -signal.SIGKILL
    assert not psutil.pid_exists(process.pid)


@pytest.fixture
def before(tmp_path: Path) -> tuple[Workspace, Path, str]:
    """A workspace with ten deals, the files of an import that makes them twenty, and the id it will have."""
    workspace = Workspace.init(tmp_path / "before")
    load(workspace, range(10))
    after = Workspace(Path(shutil.copytree(workspace.folder, tmp_path / "after")))
    return workspace, files(tmp_path / "new", range(10, 20)), load(after, range(10, 20)).id


def copies(workspace: Workspace, into: Path) -> Iterator[Workspace]:
    for number in range(1000):
        yield Workspace(Path(shutil.copytree(workspace.folder, into / f"copy{number}")))


PHASES = ("parse", "write", "check", "rename", "switch")


def whole_after_crash(workspace: Workspace, old: str, new: str) -> str:
    """Whatever the crash left, the current snapshot is the old or the new one, whole; which one."""
    current = kept(workspace).current()
    assert current.id in (old, new)
    for snapshot in kept(workspace).all():
        assert deals(snapshot) == {str(n) for n in range(10 if snapshot.id == old else 20)}
    return current.id


@pytest.mark.parametrize("strikes", [2, pytest.param(20, marks=pytest.mark.verify)])
def test_a_crash_at_any_step_leaves_the_old_or_the_new_snapshot(
    strikes: int, before: tuple[Workspace, Path, str], tmp_path: Path
) -> None:
    """Each strike hits a process of its own, forked from one that has imported nothing yet."""
    workspace, folder, new = before
    old = kept(workspace).current().id
    copy = copies(workspace, tmp_path)
    parent = subprocess.Popen(
        [sys.executable, "-c", CRASH], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def crash(moment: int) -> tuple[list[str], Workspace]:
        assert parent.stdin is not None
        assert parent.stdout is not None
        struck = next(copy)
        parent.stdin.write(f"{struck.folder}|{folder}|{new}|{moment}\n")
        parent.stdin.flush()
        return parent.stdout.readline().split(), struck

    try:
        (*phases, ended), _whole = crash(0)
        assert ended == "0"
        for phase in PHASES:
            steps = [step for step, seen in enumerate(phases, 1) if seen == phase]
            assert len(steps) >= STRIKES
            for strike in range(strikes):
                (ended,), struck = crash(steps[strike * (len(steps) - 1) // (strikes - 1)])
                assert int(ended) == -signal.SIGKILL
                assert whole_after_crash(struck, old, new) == (new if phase == "switch" else old)
            assert sources.import_paths(struck, [folder]).snapshot.id == new == kept(struck).current().id
            assert not list((struck.store / "snapshots").glob("aside-*"))
    finally:
        parent.kill()
        parent.wait(20)


def test_a_kill_from_outside_at_any_time_does_no_harm(
    before: tuple[Workspace, Path, str], tmp_path: Path
) -> None:
    workspace, folder, new = before
    old = kept(workspace).current().id
    go = tmp_path / "go"
    go.touch()
    ends = []
    for delay, struck in zip(
        [0.0, 0.02, 0.04, 0.06, 0.08, 0.12, 0.16, 5.0], copies(workspace, tmp_path), strict=False
    ):
        process = importing(struck, folder, go, hold=False)
        assert process.stdout is not None
        assert process.stdout.readline() == "reading\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(delay)
        process.send_signal(signal.SIGKILL)
        ends.append(process.wait(20))
        whole_after_crash(struck, old, new)
    assert ends[0] == -signal.SIGKILL
    assert ends[-1] == 0
