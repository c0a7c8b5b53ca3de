"""The clean-up round trip: decisions, changes in the CRM's own shape, and what the next import says of them."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from coachbook import cleanup, sources
from coachbook.catalogue import shipped
from coachbook.cleanup import Decision, Decisions
from coachbook.cleanup.cells import inert, plain
from coachbook.cleanup.decisions import Kind
from coachbook.cleanup.store import put
from coachbook.cli import run
from coachbook.errors import NotFound, Refused
from coachbook.settings import Settings, Workspace
from coachbook.warehouse import Snapshots
from tests import desk
from tests.conftest import DATA, RunCli
from tests.warehouse import Desk as Warehouse

REGIONAL, DEMO = (shipped("sample_data") / name for name in ("regional_sales", "demo"))
SIGNS = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
COLUMNS = ("deal_id", "decision", "value", "by")
DAY = "2021-11-10"

Rows = list[dict[str, str]]
Own = Callable[[Workspace], Workspace]


# What a person does with files


def read(path: Path, encoding: str = "utf-8-sig") -> tuple[list[str], Rows]:
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    return list(reader.fieldnames or []), rows


def write(path: Path, header: list[str], rows: Rows, encoding: str = "utf-8") -> Path:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, header)
        writer.writeheader()
        writer.writerows(rows)
    return path


def sheet(folder: Path, *rows: tuple[str, ...], name: str = "decided.csv") -> Path:
    return write(folder / name, list(COLUMNS), [dict(zip(COLUMNS, row, strict=True)) for row in rows])


def carried_out(changes: Path, export: Path, key: str | tuple[str, ...], encoding: str = "utf-8-sig") -> None:
    """The CRM takes the list: what a field holds goes to the deal of that id, an empty one changes nothing."""
    keys = (key,) if isinstance(key, str) else key
    header, deals = read(export, encoding)
    by_id = {tuple(deal[name] for name in keys): deal for deal in deals}
    _header, rows = read(changes, encoding)
    for row in rows:
        deal = by_id[tuple(plain(row[name]) for name in keys)]
        deal |= {name: plain(text) for name, text in row.items() if text and name in header}
    write(export, header, deals, encoding)


def deals_of(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    with Snapshots(workspace.store).current().connect() as connection:
        found = connection.execute(
            "SELECT deal_id, status, close_on, own_minor, next_step, loss_reason FROM deal_state"
        ).fetchall()
    return {deal_id: tuple(told) for deal_id, *told in found}


def counts(told: dict[str, Any]) -> tuple[int, int, int]:
    return told["done"], told["not_done"], told["overtaken"]


# The real thing, by the command line


def test_the_round_trip_of_the_regional_sample(
    regional: Workspace, own: Own, tmp_path: Path, run_cli: RunCli, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = own(regional)
    at = workspace.folder
    before = deals_of(workspace)
    dead, put_off, cut, step = [
        deal for deal, (status, due, *_more) in sorted(before.items())
        if status == "open" and due and due > date(2021, 11, 20)
    ][:4]  # fmt: skip
    decided = sheet(
        tmp_path, (dead, "dead", "", "王芳"), (put_off, "close_on", "2022-03-31", "Ann"),
        (cut, "amount", "80.50", "Ann"), (step, "next_step", "=HYPERLINK(1)", "Ann"),
    )  # fmt: skip
    done = run_cli("cleanup", "add", decided, "--on", DAY, "--json", cwd=at)
    assert done.returncode == 0, done.stderr
    assert [d["deal_id"] for d in json.loads(done.stdout)["added"]] == [dead, put_off, cut, step]

    done = run_cli("cleanup", "export", "--out", tmp_path / "changes.csv", "--json", cwd=at)
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)["files"]
    assert told["source"] == "regional_sales"
    assert told["outside"] == ["coachbook_next_step"]
    header, rows = read(tmp_path / "changes.csv")
    assert (
        header == told["columns"] == ["OpportunitySeq", "Status", "CloseDate", "Value", "coachbook_next_step"]
    )
    assert [list(row.values()) for row in rows] == [
        list(row) for row in sorted([
            (dead, "Lost", "2021-11-10", "", ""), (put_off, "", "2022-03-31", "", ""),
            (cut, "", "", "80.50", ""), (step, "", "", "", "'=HYPERLINK(1)"),
        ])
    ]  # fmt: skip

    export = Path(shutil.copytree(REGIONAL, tmp_path / "export"))
    carried_out(tmp_path / "changes.csv", export / "Opportunities.csv", "OpportunitySeq")
    done = run_cli("import", export, "--as-of", "2021-11-12", "--json", cwd=at)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["cleanup"]
    assert counts(told) == (3, 1, 0)
    assert {d["deal_id"]: d["state"] for d in told["decisions"]} == {
        dead: "done", put_off: "done", cut: "done", step: "not_done",
    }  # fmt: skip
    after = deals_of(workspace)
    changed = {deal: now for deal, now in after.items() if now != before[deal]}
    assert changed == {
        dead: ("lost", date(2021, 11, 10), *before[dead][2:]),
        put_off: ("open", date(2022, 3, 31), *before[put_off][2:]),
        cut: (*before[cut][:2], 8050, None, None),
    }
    assert run(["cleanup", "status", "--workspace", str(at)]) == 0
    said = capsys.readouterr().out
    assert "3 done, 1 not done, 0 overtaken" in said
    assert all(deal in said for deal in (dead, put_off, cut, step))


def test_the_round_trip_of_the_demo_company(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workspace = Workspace.init(tmp_path / "demo", settings=Settings(currency="CNY"))
    export = Path(shutil.copytree(DEMO, tmp_path / "export"))
    sources.import_paths(workspace, [export])
    before = deals_of(workspace)
    found = [deal for deal, (status, *_more) in sorted(before.items()) if status == "open"]
    dead, put_off, cut, step = found[:4]
    decided = sheet(
        tmp_path, (dead, "dead", "没有预算", "王芳"), (put_off, "close_on", "2027/3/31", "王芳"), (put_off, "amount", "12", "王芳"),
        (cut, "amount", "80000", "王芳"), (step, "next_step", "周五前报价，找李总", "王芳"),
    )  # fmt: skip
    at = ["--workspace", str(workspace.folder)]
    assert run(["cleanup", "add", str(decided), "--on", "2026-09-30", *at]) == 0
    capsys.readouterr()
    assert run(["cleanup", "export", "--json", *at]) == 0
    [told] = json.loads(capsys.readouterr().out)["files"]
    assert (told["deals"], told["decisions"], told["outside"]) == (4, 5, [])
    assert told["columns"] == ["deal_id", "status", "close_on", "amount", "next_step", "loss_reason"]
    carried_out(Path(told["file"]), export / "deals.csv", "deal_id")
    assert run(["import", str(export), "--as-of", "2026-10-02", "--json", *at]) == 0
    assert counts(json.loads(capsys.readouterr().out)["cleanup"]) == (5, 0, 0)
    after = deals_of(workspace)
    assert {deal: now for deal, now in after.items() if now != before[deal]} == {
        dead: ("lost", date(2026, 9, 30), *before[dead][2:4], "没有预算"),
        put_off: ("open", date(2027, 3, 31), 1200, *before[put_off][3:]),
        cut: (*before[cut][:2], 8000000, *before[cut][3:]),
        step: (*before[step][:3], "周五前报价，找李总", before[step][4]),
    }
    assert run(["cleanup", "export", *at]) == 0
    assert "nothing to change" in capsys.readouterr().out


SHAPES: dict[str, tuple[str, str, tuple[str, ...], list[str]]] = {
    "firm": ("", "Deals.csv", ("Deal id",), ["Deal id", "State", "Close date", "Amount"]),
    "salesforce_report": (
        "salesforce", "report1791234567890.csv", ("Opportunity ID",), ["Opportunity ID", "Stage", "Close Date", "Amount"],
    ),
    "xiaoshouyi": ("xiaoshouyi", "销售机会.csv", ("商机名称", "客户名称"), ["商机名称", "客户名称", "销售阶段", "结单日期", "商机金额"]),
    "hubspot": (
        "hubspot", "deal_data.csv", ("deal_id",), ["deal_id", "property_closedate", "property_amount", "coachbook_status"],
    ),
}  # fmt: skip
"""Preset, file of deals, columns of the id, and what a change list of these has."""


@pytest.mark.parametrize("shape", SHAPES)
def test_changes_are_written_as_the_source_writes_them(shape: str, tmp_path: Path) -> None:
    preset, name, key, header = SHAPES[shape]
    currency = "CNY" if shape == "xiaoshouyi" else "USD"
    workspace = Workspace.init(tmp_path / "workspace", settings=Settings(currency=currency))
    export = Path(shutil.copytree(DATA / shape, tmp_path / "export"))
    sources.import_paths(workspace, [export], preset=preset, as_of="2026-10-10")
    before = deals_of(workspace)
    dead, other = [deal for deal, (status, *_more) in sorted(before.items()) if status == "open"][:2]
    decided = sheet(tmp_path, (dead, "dead", "", "王"), (other, "close_on", "2027-03-31", "王"), (other, "amount", "1234.5", "王"))  # fmt: skip
    cleanup.add(workspace, decided, decided_on="2026-10-10")
    [changes] = sources.change_lists(workspace).lists
    assert list(changes.header) == header
    (tmp_path / "changes.csv").write_bytes(changes.content)
    if shape == "salesforce_report":  # it has ids of 15 characters, and takes both
        text = (export / name).read_text(encoding="utf-8")
        (export / name).write_text(text.replace(f'"{dead[:15]}"', dead).replace(f'"{other[:15]}"', other))
    carried_out(tmp_path / "changes.csv", export / name, key)
    accounting = sources.import_paths(workspace, [export], preset=preset, as_of="2026-10-12")
    by_hand = 1 if changes.outside else 0
    assert accounting.cleanup
    assert counts(accounting.cleanup.to_dict()) == (3 - by_hand, by_hand, 0)
    after = deals_of(workspace)
    assert {deal for deal, now in after.items() if now != before[deal]} == {dead, other}
    assert after[other][1:3] == (date(2027, 3, 31), 123450)
    assert after[dead][:2] == ("open" if by_hand else "lost", date(2026, 10, 10))


def test_a_list_in_the_sources_own_encoding(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "workspace", settings=Settings(currency="CNY"))
    sources.import_paths(workspace, [DATA / "fxiaoke"], preset="fxiaoke", as_of="2026-10-10")
    cleanup.add(workspace, sheet(tmp_path, ("OP-001", "dead", "", "王")), decided_on="2026-10-10")
    [changes] = sources.change_lists(workspace).lists
    assert changes.content.decode("gb18030").splitlines() == [
        "商机编号,销售阶段,预计成交日期",
        "OP-001,输单,2026-10-10",
    ]


FLAGS = """
as_of = 2021-11-10
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "Id"
stage = "StageName"
status = { columns = ["IsClosed", "IsWon"], transform = "lower", map = { "false false" = "open", "true true" = "won", "true false" = "lost" } }
created_on = "CreatedDate"
currency = { constant = "USD" }
"""


@pytest.mark.parametrize(("lost_in", "stage"), [(["Closed Lost"] * 5, "Closed Lost"), (["Closed Lost"] * 4, ""), (["Closed Lost"] * 4 + ["Talk"], ""), (["Talk"] * 5, "")])  # fmt: skip
def test_a_dead_deal_gets_the_flags_of_a_lost_one_and_the_stage_that_only_lost_ones_have(
    lost_in: list[str], stage: str, tmp_path: Path
) -> None:
    rows = ["open,Talk,False,False,2021-01-02", "won,Closed Won,True,True,2021-01-02"]
    rows += [f"{nr},{place},True,False,2021-01-02" for nr, place in enumerate(lost_in)]
    text = "\n".join(["Id,StageName,IsClosed,IsWon,CreatedDate", *rows, ""])
    at = desk.Desk(tmp_path).write(text, mapping=FLAGS)
    at.load()
    cleanup.add(at.workspace, sheet(tmp_path, ("open", "dead", "no budget", "A")), decided_on=DAY)
    [changes] = sources.change_lists(at.workspace).lists
    told = dict(zip(changes.header, changes.rows[0], strict=True))
    staged = {"StageName": stage} if stage else {}
    assert told == {
        "Id": "open",
        "IsClosed": "true",
        "IsWon": "false",
        **staged,
        "coachbook_loss_reason": "no budget",
    }
    assert changes.outside == ("coachbook_loss_reason",)


LOOKED_UP = """
as_of = 2021-11-10
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "Id"
created_on = "Created"
currency = { constant = "USD" }
[deals.columns.status]
column = "Stage"
lookup = { file = "stages.csv", key = "key", values = ["closed", "won"] }
map = { "no no" = "open", "yes yes" = "won", "yes no" = "lost" }
"""


@pytest.mark.parametrize(
    ("more", "told"),
    [("", {"Id": "a", "Stage": "300"}), ("400,yes,no\n", {"Id": "a", "coachbook_status": "lost"})],
)
def test_a_word_that_stands_for_a_number_is_written_where_it_is_the_only_one(
    more: str, told: dict[str, str], tmp_path: Path
) -> None:
    stages = f"key,closed,won\n100,no,no\n200,yes,yes\n300,yes,no\n{more}"
    at = desk.Desk(tmp_path).write("Id,Stage,Created\na,100,2021-01-02\n", mapping=LOOKED_UP, stages=stages)
    at.load()
    cleanup.add(at.workspace, sheet(tmp_path, ("a", "dead", "", "A")), decided_on=DAY)
    [changes] = sources.change_lists(at.workspace).lists
    assert dict(zip(changes.header, changes.rows[0], strict=True)) == told


# Any mapping


MAPPED = """
as_of = 2021-11-10
{nulls}
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "编号"
name = "name"
status = {{ column = "状态", map = {{ "{open}" = "open", "{won}" = "won", "{lost}" = "lost" }} }}
created_on = "made"
close_on = {{ column = "日期"{format} }}
amount = {{ column = "金额", decimal = "{decimal}"{thousands} }}
currency = "cur"
next_step = {{ column = "下一步"{words} }}
"""
FORMS = ("", "%d/%m/%Y", "%d.%m.%y", "%Y%m%d", "%Y-%m-%d %H:%M")
MINOR = {"USD": 8050, "JPY": 80}
WORDS = st.text(
    st.characters(exclude_categories=("C", "Z"), exclude_characters='"\\'), min_size=1, max_size=6
)
STEPS = st.one_of(
    st.text(st.characters(exclude_categories=("C",)), min_size=1, max_size=20), st.sampled_from(["=1+1", "-", "'=x", "a\nb", "n/a"])
).map(str.strip).filter(lambda text: text and text == plain(text).strip() and not text.endswith('"'))  # fmt: skip


@settings(max_examples=6, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_applying_the_list_to_the_export_gives_exactly_what_was_decided(data: st.DataObject) -> None:
    draw = data.draw
    form, decimal = draw(st.sampled_from(FORMS)), draw(st.sampled_from([".", ","]))
    opened, won, lost = draw(
        st.lists(WORDS.filter(lambda w: w not in "*-"), min_size=3, max_size=3, unique=True)
    )
    mapping = MAPPED.format(
        nulls=draw(st.sampled_from(["", 'nulls = ["n/a"]', "nulls = []"])), open=opened, won=won, lost=lost,
        format=f', format = "{form}"' if form else "", decimal=decimal, thousands="",
        words=draw(st.sampled_from(["", ', map = { "call" = "phone" }', ', transform = "trim"'])),
    )  # fmt: skip
    kinds = draw(
        st.lists(
            st.sets(st.sampled_from(["close_on", "amount", "next_step"])) | st.just({"dead"}),
            min_size=1,
            max_size=5,
        )
    )
    currencies = draw(st.lists(st.sampled_from([*MINOR]), min_size=len(kinds), max_size=len(kinds)))
    ids = draw(st.lists(STEPS, min_size=len(kinds), max_size=len(kinds), unique=True))
    with TemporaryDirectory() as folder:
        at = desk.Desk(
            Path(folder), time_zone=draw(st.sampled_from(["UTC", "Asia/Shanghai"])), currency="USD"
        )
        due = date(2021, 12, 1).strftime(form) if form else "2021-12-01"
        export = at.files / "deals.csv"
        header = ["编号", "name", "状态", "made", "日期", "金额", "cur", "下一步"]
        rows = [
            dict(zip(header, (deal, "", opened, "2021-01-02", due, "7", cur, "wait"), strict=True))
            for deal, cur in zip(ids, currencies, strict=True)
        ]
        write(export, header, rows)
        at.write(mapping=mapping, rates="currency,into,from_on,rate\nJPY,USD,2020-01-01,0.01\n")
        with (at.files / "mapping.toml").open("a", encoding="utf-8") as file:
            file.write('[fx_rates]\nfile = "rates.csv"\n[fx_rates.columns]\ncurrency = "currency"\ninto = "into"\nfrom_on = "from_on"\nrate = "rate"\n')  # fmt: skip
        at.load()
        before = deals_of(at.workspace)
        decided, expected = [], dict(before)
        for deal, cur, some in zip(ids, currencies, kinds, strict=True):
            if deal not in before:  # its id was a word for nothing
                continue
            status, on, minor, step, reason = before[deal]
            for kind in sorted(some):
                value = {
                    "dead": "",
                    "close_on": "2022-02-28",
                    "amount": "80.5" if cur == "USD" else "80",
                    "next_step": draw(STEPS),
                }[kind]
                decided.append((inert(deal), kind, inert(value), "x"))
                match kind:
                    case "dead":
                        status, on = "lost", date(2021, 11, 10)
                    case "close_on":
                        on = date(2022, 2, 28)
                    case "amount":
                        minor = MINOR[cur]
                    case _:
                        step = value
            expected[deal] = (status, on, minor, step, reason)
        if not decided:
            return
        cleanup.add(at.workspace, sheet(Path(folder), *decided), decided_on=DAY)
        [changes] = sources.change_lists(at.workspace).lists
        (Path(folder) / "changes.csv").write_bytes(changes.content)
        assert {row[0] for row in decided} == {row[0] for row in changes.rows}
        carried_out(Path(folder) / "changes.csv", export, "编号")
        accounting = at.load(as_of="2021-11-11")
        after = deals_of(at.workspace)
        by_hand = {"coachbook_next_step"} & set(changes.header)
        assert set(changes.outside) <= {"coachbook_next_step"}
        for deal, now in after.items():
            assert now[:3] == expected[deal][:3]
            if not by_hand:
                assert now[3] == expected[deal][3]
        assert accounting.cleanup
        assert by_hand or counts(accounting.cleanup.to_dict()) == (len(decided), 0, 0)


# What is refused, and what then is not there


REFUSED = {
    "a deal that nobody knows": (("1426x", "dead", "", "Ann"), ["“1426x”", "Nearest: 1426"]),
    "a deal that was decided": (("14079", "dead", "", "Ann"), ["14079", "lost already"]),
    "a word that is no decision": (("14268", "close", "2022-01-01", "Ann"), ["“close”", "close_on", "dead", "keep"]),
    "nobody decided": (("14268", "dead", "", " "), ["by", "who decided"]),
    "no date": (("14268", "close_on", "soon", "Ann"), ["“soon”", "not a day", "20"]),
    "a date that does not exist": (("14268", "close_on", "2022-02-30", "Ann"), ["2022-02-30", "not a day"]),
    "a date in the past": (("14268", "close_on", "2021-11-09", "Ann"), ["2021-11-09", "before", "2021-11-10"]),
    "a date nobody means": (("14268", "close_on", "2121-11-09", "Ann"), ["2121-11-09", "2022-03-31"]),
    "no amount": (("14268", "amount", "80k", "Ann"), ["“80k”", "USD", "80000.50"]),
    "an amount with commas": (("14268", "amount", "80,000", "Ann"), ["“80,000”", "digits alone"]),
    "an amount below 0": (("14268", "amount", "-5", "Ann"), ["“-5”", "80000.50"]),
    "an amount of nothing": (("14268", "amount", "", "Ann"), ["not an amount"]),
    "digits of another script": (("14268", "amount", "٣٤", "Ann"), ["not an amount"]),
    "a tenth of a cent": (("14268", "amount", "1.005", "Ann"), ["1.005", "decimals", "2"]),
    "an amount beyond measure": (("14268", "amount", "9" * 16, "Ann"), ["not an amount"]),
    "what it is already": (("14268", "close_on", "2021-11-09", "Ann"), ["2021-11-09"]),
    "the amount that it has": (("14268", "amount", "5808.00", "Ann"), ["already has", "5808"]),
    "no next step": (("14268", "next_step", "", "Ann"), ["value", "what is to be done"]),
    "a novel": (("14268", "next_step", "x" * 256, "Ann"), ["256", "255"]),
    "a value to keep": (("14268", "keep", "5", "Ann"), ["“5”", "keep"]),
    "a value without a decision": (("14268", "", "5", "Ann"), ["“5”", "no decision"]),
}  # fmt: skip


@pytest.fixture(scope="module")
def there(regional: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The sample, in which nothing is ever decided."""
    return regional


@pytest.mark.parametrize(("row", "named"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_row_is_refused_by_line_and_with_what_would_be_right(
    row: tuple[str, ...],
    named: list[str],
    there: Workspace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good = ("16880", "dead", "", "Ann")
    decided = sheet(tmp_path, row, good)
    assert run(["cleanup", "add", str(decided), "--on", DAY, "--workspace", str(there.folder)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    for word in ("line 2", *named):
        assert word in said.err
    assert not there.cleanup.exists()


FILES = {
    "no such column": ("deal_id,decision,value\n1,dead,\n", ["by", "deal_id"]),
    "nothing decided": ("deal_id,decision,value,by\n14268,,,\n", ["holds no decision", "dead"]),
    "empty": ("", ["deal_id"]),
    "a field too many": ("deal_id,decision,value,by\n14268,next_step,call, then write,Ann\n", ["line 2", "5", "4"]),
    "a quote never closed": ('deal_id,decision,value,by\n"14268,dead,,Ann\n', ["line 2"]),
    "decided twice": ("deal_id,decision,value,by\n14268,dead,,A\n\n14268,amount,8,A\n", ["lines 2 and 4", "14268"]),
    "still to come": ("deal_id,decision,value,by,decided_on\n14268,dead,,A,2099-01-01\n", ["2099-01-01", "still to come"]),
    "before its time": ("deal_id,decision,value,by,decided_on\n14268,dead,,A,1999-01-01\n", ["1999-01-01", "not there yet"]),
}  # fmt: skip


@pytest.mark.parametrize(("text", "named"), FILES.values(), ids=FILES)
def test_a_wrong_file_is_refused(
    text: str, named: list[str], there: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "decided.csv").write_text(text, encoding="utf-8")
    command = ["cleanup", "add", str(tmp_path / "decided.csv"), "--on", DAY, "--workspace", str(there.folder)]
    assert run(command) == 2
    said = capsys.readouterr().err
    assert all(word in said for word in named), said
    assert not there.cleanup.exists()


def test_nothing_is_written_over(
    there: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = tmp_path / "Deals.csv"
    mine.write_text("mine", encoding="utf-8")
    for command in ("worksheet", "export"):
        assert run(["cleanup", command, "--out", str(mine), "--workspace", str(there.folder)]) == 2
        assert "Deals-2.csv" in capsys.readouterr().err
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_shape_that_is_not_known_is_said_and_learnt(tmp_path: Path) -> None:
    at = desk.Desk(tmp_path).write(f"{desk.HEADER}\n1,r,Open,2021-01-02,2021-12-04,10,USD,\n")
    at.load()
    cleanup.add(at.workspace, sheet(tmp_path, ("1", "dead", "", "A")), decided_on=DAY)
    shutil.rmtree(at.workspace.store / "shapes")
    with pytest.raises(NotFound, match="coachbook import"):
        sources.change_lists(at.workspace)
    before = at.current
    at.load()
    assert at.current == before
    assert sources.change_lists(at.workspace).lists[0].rows == (("1", "Lost", DAY),)


# What is kept


def decision(
    deal: str, kind: Kind, value: str = "", *, on: int = 1, was: str | None = None, currency: str = ""
) -> Decision:
    day = date(2026, 3, 1) + timedelta(days=on)
    return Decision(
        deal,
        kind,
        value,
        was,
        currency,
        "王芳",
        day,
        datetime(2026, 3, 1, 9, tzinfo=UTC) + timedelta(days=on),
    )


def test_all_that_was_ever_decided_is_kept_and_a_later_decision_stands(tmp_path: Path) -> None:
    said = [
        decision("a", "dead"), decision("b", "amount", "8000", currency="USD"), decision("b", "close_on", "2026-05-01"),
        decision("b", "amount", "7000", on=3, currency="USD"), decision("a", "close_on", "2026-06-01", on=4),
        decision("c", "next_step", "打电话\n=1"), decision("c", "keep", on=2), decision("d", "dead", on=0),
    ]  # fmt: skip
    for one in said:
        path = cleanup.keep(tmp_path / "cleanup", [one])
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    found = cleanup.kept(tmp_path / "cleanup")
    assert sorted(map(repr, found.all)) == sorted(map(repr, said))
    assert {(d.deal_id, d.kind, d.value) for d in found.standing} == {
        ("b", "amount", "7000"), ("b", "close_on", "2026-05-01"), ("a", "close_on", "2026-06-01"), ("d", "dead", ""),
    }  # fmt: skip
    assert {(c.deal_id, c.kind, c.until_on) for c in found.clean_ups} == {
        ("a", "dead", date(2026, 3, 5)), ("b", "amount", date(2026, 3, 4)), ("b", "amount", None),
        ("b", "close_on", None), ("a", "close_on", None), ("d", "dead", None),
    }  # fmt: skip


def test_what_is_decided_later_changes_nothing_of_what_was_known_before() -> None:
    first = Decisions((decision("a", "dead"),))
    both = Decisions((decision("a", "keep", on=9), *first.all))
    for day in (1, 5, 8):
        known = both.known(date(2026, 3, 1) + timedelta(days=day))
        assert (known, known.digest, known.clean_ups) == (first, first.digest, first.clean_ups)
    assert both.standing == []
    assert both.digest != first.digest
    assert len(both.known(date(2026, 3, 1))) == 0


def test_the_same_again_is_not_kept_twice(tmp_path: Path) -> None:
    at = desk.Desk(tmp_path).write(f"{desk.HEADER}\n1,r,Open,2021-01-02,2021-12-04,10,USD,\n")
    at.load()
    for row, added in (
        (("1", "dead", "", "A"), (1, 0)), (("1", "dead", "", "B"), (0, 1)), (("1", "amount", "8", "A"), (1, 0)),
        (("1", "dead", "", "A"), (1, 0)),
    ):  # fmt: skip
        done = cleanup.add(at.workspace, sheet(tmp_path, row), decided_on=DAY)
        assert (len(done.decisions), done.unchanged) == added
    assert [d.kind for d in cleanup.kept(at.workspace.cleanup).standing] == ["dead"]


def test_a_file_that_was_altered_is_named_and_no_import_stops_for_it(tmp_path: Path) -> None:
    at = desk.Desk(tmp_path).write(f"{desk.HEADER}\n{desk.ROW}")
    path = cleanup.keep(at.workspace.cleanup, [decision("1", "dead")])
    with path.open("a", encoding="utf-8") as file:
        file.write("{}\n")
    with pytest.raises(Refused, match="line 2"):
        cleanup.kept(at.workspace.cleanup)
    accounting = at.load()
    assert accounting.snapshot
    assert accounting.to_dict()["cleanup"] is None
    assert "line 2" in str(accounting.warnings[-1])


STRIKING = """
import os, signal, sys
from pathlib import Path
from coachbook import cleanup, sources, warehouse
from coachbook.cli import run

def die(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)

class Half:
    def __init__(self, path, mode): self.file = open(path, mode)
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def write(self, content): self.file.write(content[: len(content) // 2]); self.file.flush(); die()

PHASES = {
    "before it is made": (Path, "touch", die), "half written": (Path, "open", Half), "written": (os, "fsync", die),
    "before it is named": (Path, "hardlink_to", die), "named": (Path, "unlink", die),
}
folder, *sheets = sys.argv[1:]
for (phase, (place, name, strike)), path in zip([p for p in PHASES.items() for _ in range(5)], sheets, strict=True):
    child = os.fork()
    if not child:
        whole = getattr(place, name)
        ours = lambda first: name in ("fsync", "hardlink_to") or first.name.startswith(".aside-")
        setattr(place, name, lambda first, *more, **rest: (strike if ours(first) else whole)(first, *more, **rest))
        os._exit(run(["cleanup", "add", path, "--on", "2021-11-10", "--workspace", folder]))
    print(phase, os.waitpid(child, 0)[1], flush=True)
"""


def test_who_is_killed_while_adding_leaves_all_that_was_there_and_nothing_in_pieces(tmp_path: Path) -> None:
    ids = range(30)
    deals = "".join(f"{nr},r,Open,2021-01-02,2021-12-04,10,USD,\n" for nr in ids)
    at = desk.Desk(tmp_path).write(f"{desk.HEADER}\n{deals}")
    at.load()
    cleanup.add(at.workspace, sheet(tmp_path, ("29", "dead", "", "A")), decided_on=DAY)
    [first] = at.workspace.cleanup.iterdir()
    before = first.read_bytes()
    sheets = [sheet(tmp_path, (str(nr), "amount", "8", "A"), (str(nr), "next_step", "x", "A"), name=f"{nr}.csv") for nr in range(25)]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", STRIKING, str(at.workspace.folder), *map(str, sheets)], capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    struck = [line.rsplit(" ", 1) for line in done.stdout.splitlines()]
    assert [status for _phase, status in struck] == [str(int(signal.SIGKILL))] * 25
    assert len({phase for phase, _status in struck}) == 5
    named = [nr for nr, (phase, _status) in enumerate(struck) if phase == "named"]
    found = [(d.deal_id, d.kind) for d in cleanup.kept(at.workspace.cleanup).all]
    assert found == [("29", "dead"), *((str(nr), kind) for nr in named for kind in ("amount", "next_step"))]
    assert first.read_bytes() == before
    cleanup.add(at.workspace, sheets[0], decided_on=DAY)
    assert len(cleanup.kept(at.workspace.cleanup)) == len(found) + 2


def test_a_name_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    taken = put(tmp_path, ["a", "b"], b"first")
    assert put(tmp_path, ["a", "b"], b"second").name == "b"
    with pytest.raises(FileExistsError):
        put(tmp_path, ["a", "b"], b"third")
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"first", b"second"]
    assert taken.name == "a"


def test_two_who_add_at_once_lose_nothing(tmp_path: Path) -> None:
    command = "from tests.test_cleanup import *; [cleanup.keep(Path(sys.argv[1]), [decision(f'{sys.argv[2]}{i}', 'dead')]) for i in range(60)]"
    adding = [
        subprocess.Popen(
            [sys.executable, "-c", command, str(tmp_path / "cleanup"), who], cwd=Path(__file__).parents[1]
        )
        for who in "abc"
    ]
    assert [process.wait(60) for process in adding] == [0, 0, 0]
    found = cleanup.kept(tmp_path / "cleanup")
    assert {d.deal_id for d in found.all} == {f"{who}{i}" for who in "abc" for i in range(60)}
    assert not list((tmp_path / "cleanup").glob(".*"))


# What the data say of it


D = [date(2026, 3, 1) + timedelta(days=n) for n in range(31)]
OPEN: dict[str, Any] = {
    "deal_id": "x", "status": "open", "created_on": date(2026, 1, 5), "close_on": D[20], "amount_minor": 10000, "currency": "USD",
    "next_step": "wait",
}  # fmt: skip
DEAD = decision("x", "dead", was="open", on=5)
DUE = decision("x", "close_on", D[25].isoformat(), was=D[20].isoformat(), on=5)
CUT = decision("x", "amount", "8000", was="10000", currency="USD", on=5)
STEP = decision("x", "next_step", "=call", was="wait", on=5)
LATER: dict[str, tuple[Decision, list[dict[str, Any]], str]] = {
    "still open": (DEAD, [{}], "not_done"),
    "lost": (DEAD, [{"status": "lost"}], "done"),
    "won": (DEAD, [{"status": "won"}], "overtaken"),
    "lost and back": (DEAD, [{"status": "lost"}, {}], "overtaken"),
    "given up, with another date": (DEAD, [{"close_on": D[25]}], "not_done"),
    "not moved": (DUE, [{}], "not_done"),
    "moved": (DUE, [{"close_on": D[25]}], "done"),
    "moved elsewhere": (DUE, [{"close_on": D[26]}], "overtaken"),
    "moved, and on from there": (DUE, [{"close_on": D[25]}, {"close_on": D[28]}], "done"),
    "moved in two steps": (DUE, [{"close_on": D[23]}, {"close_on": D[25]}], "done"),
    "lost instead of moved": (DUE, [{"status": "lost"}], "overtaken"),
    "the date is gone": (DUE, [{"close_on": None}], "overtaken"),
    "cut": (CUT, [{"amount_minor": 8000}], "done"),
    "cut by one cent less": (CUT, [{"amount_minor": 8001}], "overtaken"),
    "the figure of another currency": (CUT, [{"amount_minor": 8000, "currency": "EUR"}], "overtaken"),
    "cut and won for more": (CUT, [{"amount_minor": 8000}, {"amount_minor": 9000, "status": "won"}], "done"),
    "the date moved, not the amount": (CUT, [{"close_on": D[25]}], "not_done"),
    "a step": (STEP, [{"next_step": "=call"}], "done"),
    "a step behind an apostrophe": (STEP, [{"next_step": "'=call "}], "done"),
    "a step, and the next": (STEP, [{"next_step": "=call"}, {"next_step": "write"}], "done"),
    "another step": (STEP, [{"next_step": "write"}], "overtaken"),
    "no step": (STEP, [{}], "not_done"),
}  # fmt: skip
RATES = [{"currency": "EUR", "into": "USD", "from_on": D[0], "rate": "1"}]


@pytest.fixture(scope="module")
def became(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """States as of the last export and of a day before the first change, by case; each has a deal of its own."""
    warehouse = Warehouse(tmp_path_factory.mktemp("became"))
    once = {"close_on": D[25], "amount_minor": 8000, "next_step": "=call"}
    warehouse.export(D[2], deals=[{**OPEN, "deal_id": case, **once} for case in LATER], fx_rates=RATES)
    warehouse.export(D[4], deals=[{**OPEN, "deal_id": case} for case in LATER])
    for number in (0, 1):
        changed = [
            {**OPEN, "deal_id": case, **then[number]}
            for case, (_decided, then, _state) in LATER.items()
            if len(then) > number
        ]
        snapshot = warehouse.export(D[8 + number], deals=changed)
    decided = Decisions(tuple(replace(one, deal_id=case) for case, (one, *_rest) in LATER.items()))
    now, then_ = (
        {o.decision.deal_id: o.state for o in cleanup.outcomes(decided, snapshot, day).all}
        for day in (None, D[6])
    )
    return now, then_


@pytest.mark.parametrize("case", LATER)
def test_what_became_of_it(case: str, became: tuple[dict[str, str], dict[str, str]]) -> None:
    now, earlier = became
    assert now[case] == LATER[case][2]
    assert earlier[case] == "not_done"


def test_a_deal_that_a_complete_export_lacks_is_done_with_and_one_that_was_never_there_is_not(
    tmp_path: Path,
) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.export(D[4], complete=True, deals=[OPEN, {**OPEN, "deal_id": "y"}])
    snapshot = warehouse.export(D[8], complete=True, deals=[{**OPEN, "deal_id": "y"}])
    found = cleanup.outcomes(Decisions((DEAD, decision("z", "dead", on=5))), snapshot)
    assert [(o.state, o.now) for o in found.all] == [("done", "deleted"), ("not_done", None)]
    [late] = cleanup.outcomes(Decisions((DUE,)), snapshot).all
    assert late.state == "overtaken"


# What to decide about


def test_candidates_are_overdue_quiet_or_without_a_next_step_where_that_can_be_told(tmp_path: Path) -> None:
    deals = [
        {**OPEN, "deal_id": "due today", "close_on": D[10]}, {**OPEN, "deal_id": "late", "close_on": D[9], "rep_id": "r"},
        {**OPEN, "deal_id": "late too", "close_on": D[9], "amount_minor": 20000}, {**OPEN, "deal_id": "no step", "next_step": None},
        {**OPEN, "deal_id": "lost", "status": "lost", "close_on": D[9]},
    ]  # fmt: skip
    people = [{"rep_id": "r", "name": "=张伟", "role": "rep"}]
    warehouse = Warehouse(tmp_path)
    snapshot = warehouse.export(D[10], deals=deals, reps=people)
    found = cleanup.candidates(snapshot, D[10])
    assert [(c.deal_id, c.why) for c in found] == [
        ("late too", ("overdue",)), ("late", ("overdue",)), ("no step", ("no_next_step",)),
    ]  # fmt: skip
    assert [c.deal_id for c in cleanup.candidates(snapshot, D[10], reps=["r"])] == ["late"]
    assert cleanup.candidates(snapshot, D[10], reps=[]) == []
    header, rows = list(csv.reader(io.StringIO(cleanup.worksheet(found[:2]))))[:2]
    assert header[:4] == list(COLUMNS)
    assert rows[:5] == ["late too", "", "", "", "overdue"]
    assert "'=张伟" in cleanup.worksheet(found)

    touched = [
        {
            "activity_id": "1",
            "rep_id": "r",
            "kind": "call",
            "occurred_at": datetime(2026, 3, 9, 12),
            "deal_id": "late",
        }
    ]
    snapshot = warehouse.export(D[10], source="calls", activities=touched)
    assert {c.deal_id: c.why for c in cleanup.candidates(snapshot, D[10])} == {
        "late": ("overdue",), "late too": ("overdue", "quiet"), "no step": ("quiet", "no_next_step"), "due today": ("quiet",),
    }  # fmt: skip
    without = Warehouse(tmp_path / "without").export(
        D[10], deals=[{**deal, "next_step": None} for deal in deals]
    )
    assert {c.deal_id for c in cleanup.candidates(without, D[10])} == {"late", "late too"}


def test_a_worksheet_filled_in_goes_in_as_it_came_out(
    regional: Workspace, own: Own, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ["--workspace", str(own(regional).folder)]
    assert run(["cleanup", "worksheet", "--reps", "Hollie Rees,1", "--json", *at]) == 0
    told = json.loads(capsys.readouterr().out)
    path = Path(told["file"])
    header, rows = read(path)
    assert told["deals"] == len(rows) > 0
    assert "Hollie Rees" in {row["rep"] for row in rows}
    assert len({row["rep"] for row in rows}) <= 2
    rows[0] |= {"decision": "dead", "by": "王芳"}
    write(path, header, rows, "gb18030")
    assert run(["cleanup", "add", str(path), "--on", DAY, *at]) == 0
    assert run(["cleanup", "status", *at]) == 0
    said = capsys.readouterr().out
    assert "0 done, 1 not done, 0 overtaken" in said
    assert "王芳" in said
    assert run(["cleanup", "worksheet", "--reps", "Hollie Ree", *at]) == 2
    assert "Hollie Rees" in capsys.readouterr().err


# Texts of others


@settings(deadline=None)
@given(
    st.text(max_size=12)
    | st.tuples(
        st.sampled_from(["", "'", " ", "''", "\u3000"]), st.sampled_from(SIGNS), st.text(max_size=4)
    ).map("".join)
)
def test_a_cell_is_never_a_formula_and_reads_back_as_it_was(text: str) -> None:
    cell = inert(text)
    assert not cell.startswith(SIGNS)
    assert not cell.lstrip(" \u3000").startswith(tuple(sign for sign in SIGNS if not sign.isspace()))
    assert plain(cell) == text
    assert cell in (text, f"'{text}")


def test_no_cell_that_is_written_is_a_formula(tmp_path: Path) -> None:
    hostile = ["=cmd|' /C calc'!A0", "+1", "-2+3", "@SUM(A1)", "＝1"]
    at = desk.Desk(tmp_path)
    at.write(mapping=desk.MAPPING + 'next_step = "who"\n')
    rows = [
        dict(
            zip(
                desk.HEADER.split(","),
                (deal, "wait", "Open", "2021-01-02", "2021-10-04", "10", "USD", f"={deal}"),
                strict=True,
            )
        )
        for deal in hostile
    ]
    write(at.files / "deals.csv", desk.HEADER.split(","), rows)
    at.load()
    snapshot = Snapshots(at.workspace.store).current()
    book = tmp_path / "worksheet.csv"
    book.write_text(cleanup.worksheet(cleanup.candidates(snapshot, snapshot.as_of)), encoding="utf-8")
    columns, told = read(book)
    assert len(told) == len(hostile)
    for row in told:
        row |= {"decision": "next_step", "value": f"'{plain(row['deal_id'])}", "by": "=A1"}
    write(book, columns, told)
    cleanup.add(at.workspace, book, decided_on=DAY)
    assert {d.value for d in cleanup.kept(at.workspace.cleanup).all} == set(hostile)
    [changes] = sources.change_lists(at.workspace).lists
    (tmp_path / "changes.csv").write_bytes(changes.content)
    for path in (book, tmp_path / "changes.csv"):
        with path.open(encoding="utf-8-sig", newline="") as file:
            cells = [cell for record in csv.reader(file) for cell in record]
        assert not [cell for cell in cells if cell.startswith(SIGNS) and cell != "=A1"]
    carried_out(tmp_path / "changes.csv", at.files / "deals.csv", "id")
    accounting = at.load(as_of="2021-11-12")
    assert accounting.cleanup
    assert counts(accounting.cleanup.to_dict()) == (5, 0, 0)


def test_what_is_printed_steers_no_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = desk.Desk(tmp_path).write(f"{desk.HEADER}\n1,r,Open,2021-01-02,2021-12-04,10,USD,\x1b]0;owned\x07\n")
    at.write(mapping=desk.MAPPING + 'next_step = "who"\n')
    at.load()
    cleanup.add(
        at.workspace, sheet(tmp_path, ("1", "next_step", "\x1b[31m[bold]\u202e", "\x9b31m")), decided_on=DAY
    )
    for command in (["cleanup", "status"], ["import", str(at.files)]):
        assert run([*command, "--workspace", str(at.workspace.folder)]) == 0
        said = capsys.readouterr()
        assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(said.out + said.err)
        assert "[bold]" in said.out
