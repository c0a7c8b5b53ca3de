"""Stages: what `coachbook.toml` may say of them, and whether their criteria were met."""

from __future__ import annotations

import json
import re
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pandas as pd
import pytest

from coachbook import sources
from coachbook.errors import Invalid
from coachbook.metrics.compliance import TABLES, compliance
from coachbook.model.periods import Span
from coachbook.model.stages import DEFAULT, FIELDS, TOPICS, Criterion, Stage, Stages, Topic
from coachbook.model.tables import DEALS
from coachbook.settings import Settings, Workspace
from coachbook.sources.simulate.words import words
from coachbook.text import Locale, speaking
from coachbook.warehouse import Snapshot, Snapshots
from tests.warehouse import Desk

ROOT = Path(__file__).parents[1]


def read(toml: str) -> Stages:
    return Settings.read(toml).stages


# What may be written

STAGE = '[[stages]]\nid = "a"\nname = "A"\n'
LEADS = 'comes_from = "leads"\n'
DECISION = 'comes_from = "decision"\n'


def other(named: str) -> str:
    return f'[[stages]]\nid = "{named}"\nname = "{named.upper()}"\n'


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        pytest.param("stages = []", ["stages", "[[stages]]"], id="none"),
        pytest.param('[stages]\nid = "a"', ["stages", "[[stages]]"], id="a section"),
        pytest.param('[[stages]]\nid = "a"', ["'id': 'a'", "name ="], id="no name"),
        pytest.param('[[stages]]\nname = "A"', ["'name': 'A'", "id ="], id="no id"),
        pytest.param('[[stages]]\nid = "a"\nname = " "', ["stages.name.en", "quotation marks"], id="blank"),
        pytest.param('[[stages]]\nid = "a"\nname = 3', ["stages.name = 3", "zh_CN"], id="name of a number"),
        pytest.param('[[stages]]\nid = "a"\nname = { en = "A" }', ["'en': 'A'", "zh_CN"], id="one language"),
        pytest.param('[[stages]]\nid = "a"\nnames = "A"', ["stages.names", "stages.name"], id="wrong key"),
        pytest.param(
            STAGE + other("b") + STAGE, ["stages = a, b, a", "“a” is number 1, 3", "circle"], id="circle"
        ),
        pytest.param(
            STAGE + '[[stages]]\nid = "b"\nname = "A"', ["“A” is number 1, 2", "once"], id="one name twice"
        ),
        pytest.param(
            STAGE + LEADS + other("b") + LEADS, ["only the first", "“b” is number 2"], id="two firsts"
        ),
        pytest.param(
            STAGE + DECISION + other("b"), ["only the last", "“a” is number 1 of 2"], id="goes on after"
        ),
        pytest.param(STAGE + DECISION, ["at least one stage", 'comes_from = "deals"'], id="none of deals"),
        pytest.param(STAGE + 'comes_from = "deal"', ["comes_from = deal ", "deals"], id="comes from"),
        pytest.param(STAGE + "expected_conversion = 0", ["expected_conversion = 0 ", "above 0"], id="share 0"),
        pytest.param(STAGE + "expected_conversion = 1.2", ["expected_conversion = 1.2 ", "up to 1"], id="1.2"),
        pytest.param(
            STAGE + "expected_working_days = -1", ["expected_working_days = -1 ", "above 0"], id="dwell"
        ),
        pytest.param(STAGE + 'expected_working_days = "x"', ["= x ", "write a number"], id="dwell a text"),
        pytest.param(
            STAGE + 'topics = ["sale", "negotiate"]', ["topics = sale ", "one of"], id="unknown topic"
        ),
        pytest.param(
            STAGE + LEADS + 'entry = [{ text = "t", field = "amount" }]\n' + other("b"),
            ["leave entry out", 'comes_from = "deals"'], id="criteria of leads",
        ),
        pytest.param(
            other("b") + STAGE + DECISION + "expected_conversion = 0.5",
            ["leave expected_conversion out"], id="conversion of the decision",
        ),
    ],
)  # fmt: skip
def test_a_wrong_stage_is_told_with_a_right_one(toml: str, told: list[str]) -> None:
    _refused(toml, told)


@pytest.mark.parametrize(
    ("criterion", "told"),
    [
        ('field = "amounts"', ["entry.field = amounts ", "amount"]),
        ('activity = "lunch"', ["entry.activity = lunch ", "meeting"]),
        ('field = "amount", equals = 3', ["entry.equals", "stages.entry."]),
        ("", ["either", 'field = "amount"', 'activity = "meeting"']),
        ('field = "amount", activity = "visit"', ["either", 'field = "amount"', 'activity = "meeting"']),
        ('field = "close_on", at_least = 3', ["at_least goes with", "amount"]),
        ('field = "amount", one_of = "x"', ["one_of goes with", "kind"]),
        ('activity = "visit", one_of = "x"', ["one_of goes with", "kind"]),
        ('field = "kind", within_days = 3', ["within_days goes with activity"]),
        ('activity = "visit", at_least = 1.5', ["1.5", "write a whole number"]),
        ('activity = "visit", at_least = 0', ["at_least = 0 ", "above 0"]),
        ('activity = "visit", within_days = 0', ["within_days = 0 ", "above 0"]),
        ('activity = "visit", within_days = 1.5', ["within_days = 1.5 ", "write a whole number"]),
    ],
)
def test_a_wrong_criterion_is_told_with_a_right_one(criterion: str, told: list[str]) -> None:
    _refused(
        f'{STAGE}entry = [{{ text = "t"{"," if criterion else ""} {criterion} }}]', ["coachbook.toml", *told]
    )


def test_a_criterion_without_a_text_is_told() -> None:
    _refused(f'{STAGE}exit = [{{ field = "amount" }}]', ["stages.exit", "'field': 'amount'", "text ="])


def _refused(toml: str, told: list[str]) -> None:
    with pytest.raises(Invalid) as refused:
        read(toml)
    for part in told:
        assert part in str(refused.value)


def test_a_refusal_speaks_chinese() -> None:
    with speaking(Locale.ZH_CN), pytest.raises(Invalid) as refused:
        read(STAGE + other("b") + STAGE)
    with speaking(Locale.ZH_CN):
        assert "“a” 同时排在第 1、3 位" in str(refused.value)


# What holds


def test_without_settings_there_are_the_six_of_the_source() -> None:
    stages = read("")
    with speaking(Locale.EN):
        assert [stages.title(stage) for stage in stages.ids] == [
            "Lead acquisition", "First contact", "Needs confirmed", "Proposal submitted", "Negotiation", "Closed",
        ]  # fmt: skip
    with speaking(Locale.ZH_CN):
        assert [stages.title(stage) for stage in stages.ids] == [
            "线索获取", "初步接洽", "需求确认", "方案提交", "商务谈判", "成交签约",
        ]  # fmt: skip
    assert [stage.comes_from for stage in stages.root] == ["leads", *["deals"] * 4, "decision"]
    assert stages.from_deals == ["contact", "needs", "proposal", "negotiation"]
    assert [s.id for s in stages.root if not s.expected_conversion or not s.expected_working_days] == [
        "closed"
    ]


@pytest.mark.parametrize("language", list(Locale))
def test_deals_of_the_demo_are_in_the_default_stages(language: Locale) -> None:
    carried = words(language).stages
    assert [DEFAULT.spellings[text] for text in carried] == DEFAULT.ids[1:]
    assert [DEFAULT.place(text) for text in carried] == [1, 2, 3, 4, 5]


def test_a_stage_that_is_not_configured_is_a_bucket_of_its_own() -> None:
    assert DEFAULT.find("1-Qualify") is None
    assert DEFAULT.place("1-Qualify") is None
    assert DEFAULT.title("1-Qualify") == "1-Qualify (not among the configured stages)"
    with speaking(Locale.ZH_CN):
        assert DEFAULT.title("1-Qualify") == "1-Qualify（不在已设置的阶段中）"
    assert "1-Qualify" not in DEFAULT.spellings


def test_one_text_serves_both_languages_and_one_alone_a_list() -> None:
    stages = read(
        f'{STAGE}topics = "discipline"\nentry = {{ text = "T", field = "kind", one_of = "New" }}\n'
        "expected_working_days = 6.5\nexpected_conversion = 1"
    )
    assert stages == Stages(
        (
            Stage(
                id="a", name="A", topics=("discipline",), expected_working_days=6.5, expected_conversion=1.0,
                entry=(Criterion(text="T", field="kind", one_of=("New",)),),
            ),
        )
    )  # fmt: skip
    with speaking(Locale.ZH_CN):
        assert (str(stages.root[0].name), str(stages.root[0].entry[0].text)) == ("A", "T")


def test_what_a_criterion_may_name_is_there() -> None:
    assert {"amount_minor" if name == "amount" else name for name in FIELDS} <= set(DEALS.names)
    assert set(TOPICS) == set(get_args(Topic))


# Where they are kept

OWN = """
[[stages]]
id = "q\\"1"
name = { en = "Qualify", zh_CN = "甄别" }
expected_working_days = 6.5
entry = [{ text = "Big", field = "amount", at_least = 5000 }, { text = "Met", activity = "visit", within_days = 30 }]
[[stages]]
id = "won"
name = "Won"
comes_from = "decision"
"""


def test_stages_change_what_figures_mean_and_are_kept_with_a_publish(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    before = desk.export(date(2026, 1, 10), deals=[{"deal_id": "x", "stage": "A"}])
    changed = Settings(stages=read(OWN))
    assert changed.digest != Settings().digest
    after = desk.snapshots.republish(changed.reporting)
    assert after.id != before.id
    assert Settings.model_validate_json(after.settings_at(after.as_of)).stages == read(OWN)
    assert Settings.model_validate_json(before.settings_at(before.as_of)).stages == DEFAULT


def test_settings_that_were_kept_before_there_were_stages_are_read() -> None:
    kept = json.loads(Settings().reporting)
    del kept["stages"]
    assert Settings.model_validate_json(json.dumps(kept)) == Settings()


def test_a_new_workspace_says_how_stages_are_written(tmp_path: Path) -> None:
    text = (Workspace.init(tmp_path / "w").folder / "coachbook.toml").read_text(encoding="utf-8")
    comment = text[text.index("# The stages") :]
    assert len(comment.splitlines()) <= 10
    assert all(str(stage.name) in comment for stage in DEFAULT.root)
    assert "docs/stages.md" in comment
    example = "\n".join(line.removeprefix("# ") for line in comment.splitlines()[2:])
    assert read(example).root == (DEFAULT.root[2],)
    assert Settings.read(text).stages == DEFAULT


def test_stages_that_a_workspace_is_made_with_are_written(tmp_path: Path) -> None:
    workspace = Workspace.init(tmp_path / "w", settings=Settings(stages=read(OWN)))
    assert workspace.settings.stages == read(OWN) != DEFAULT


def test_the_documents_example_and_table_are_right() -> None:
    text = (ROOT / "docs/stages.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    assert read(example).ids == ["lead", "1-Qualify", "2-Propose", "won"]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) · (.*?) \| *(\d*) *\| *(\d*)%? *\|", text, re.MULTILINE)
    assert rows == [
        (s.id, s.name.en, s.name.zh_CN, _whole(s.expected_working_days), _whole(s.expected_conversion, 100))
        for s in DEFAULT.root
    ]


def _whole(value: float | None, times: int = 1) -> str:
    return "" if value is None else str(round(value * times))


# Whether criteria were met: a company of six deals and two people

JANUARY = Span(date(2026, 1, 1), date(2026, 2, 1))
STAGES = read(
    """
    [[stages]]
    id = "A"
    name = "Aye"
    [[stages]]
    id = "B"
    name = { en = "Bee", zh_CN = "乙" }
    entry = [
        { text = "The amount is known", field = "amount" },
        { text = "Met within a week", activity = ["meeting", "visit"], within_days = 7 },
    ]
    [[stages]]
    id = "C"
    name = "Sea"
    entry = [{ text = "It is big", field = "amount", at_least = 1000 }]
    exit = [{ text = "It is new", field = "kind", one_of = ["New"] }]
    """
)
DEAL_ROWS = """
deal_id,rep_id,stage,status,created_on,close_on,amount,currency,kind,modified_at
d1,r1,C,won,2026-01-05,2026-01-28,500,USD,New,2026-01-28 10:00:00
d2,r1,B,open,2026-01-05,,700,USD,New,2026-01-15 09:00:00
d3,r1,C,lost,2026-01-06,2026-01-29,1500,USD,New,2026-01-29 10:00:00
d4,r2,Old,open,2026-01-07,,,USD,New,
d5,r2,A,open,2026-01-08,,2000,USD,New,
d6,r2,乙,won,2026-01-03,2026-01-25,900,USD,Old,
"""
EVENT_ROWS = """
deal_id,occurred_at,field,old,new,currency
d1,2026-01-05 09:00:00,stage,,A,
d1,2026-01-12 10:00:00,stage,A,B,
d1,2026-01-12 10:00:00,amount,,500,USD
d1,2026-01-20 10:00:00,stage,B,C,
d1,2026-01-28 10:00:00,status,open,won,
d2,2026-01-05 09:00:00,stage,,A,
d2,2026-01-13 10:00:00,stage,A,B,
d2,2026-01-15 09:00:00,amount,,700,USD
d3,2026-01-06 09:00:00,stage,,A,
d3,2026-01-14 10:00:00,stage,A,B,
d3,2026-01-18 10:00:00,owner,r2,r1,
d3,2026-01-22 10:00:00,stage,B,C,
d3,2026-01-29 10:00:00,status,open,lost,
d4,2026-01-07 09:00:00,stage,,Old,
d5,2026-01-08 09:00:00,stage,,A,
d5,2026-01-08 09:00:00,amount,,2000,USD
d5,2026-01-15 10:00:00,stage,A,B,
d5,2026-01-16 10:00:00,stage,B,A,
d6,2026-01-03 09:00:00,stage,,乙,
d6,2026-01-03 09:00:00,amount,,900,USD
d6,2026-01-25 10:00:00,status,open,won,
"""
ACTIVITY_ROWS = """
activity_id,rep_id,kind,occurred_at,deal_id,held
a1,r1,meeting,2026-01-11 09:00:00,d1,true
a2,r1,visit,2026-01-02 11:00:00,d2,
a3,r1,call,2026-01-12 11:00:00,d2,true
a4,r2,meeting,2026-01-13 09:00:00,d3,false
a5,r2,visit,2026-01-15 10:00:01,d5,true
a6,r2,visit,2026-01-02 10:00:00,d6,
"""
LATE = """
activity_id,rep_id,kind,occurred_at,deal_id,held
a7,r2,visit,2026-01-14 10:00:00,d5,true
"""
Answers = dict[tuple[str, str, int | None, str], tuple[int, int, int | None]]
EXPECTED: Answers = {
    # by stage, moment, criterion (None: all together) and rep: visits, known, met
    ("A", "entry", None, "r1"): (2, 0, None),  # d1, d2; the stage has no criteria
    ("A", "entry", None, "r2"): (3, 0, None),  # d3; d5 twice, as it comes back
    ("A", "exit", None, "r1"): (2, 0, None),
    ("A", "exit", None, "r2"): (2, 0, None),
    ("B", "entry", 0, "r1"): (2, 2, 1),  # d1 filled it in the same instant, d2 two days later
    ("B", "entry", 0, "r2"): (3, 2, 2),  # d5 and d6; nobody knows when d3 had its amount
    ("B", "entry", 1, "r1"): (2, 2, 1),  # d1 the day before; d2 eleven days before, and by telephone
    ("B", "entry", 1, "r2"): (3, 3, 1),  # d6; d3's was not held, d5's came a second too late
    ("B", "entry", None, "r1"): (2, 2, 1),
    ("B", "entry", None, "r2"): (3, 3, 1),  # d3: not met, whatever its amount
    ("B", "exit", None, "r1"): (2, 0, None),  # d1, and d3, which had come to r1 by then
    ("B", "exit", None, "r2"): (1, 0, None),  # d6 was won; d5 went back
    ("C", "entry", 0, "r1"): (2, 1, 0),  # d1 with 500; d3 unknown
    ("C", "entry", None, "r1"): (2, 1, 0),
    ("C", "exit", 0, "r1"): (1, 1, 1),  # d1, unchanged since it was won; d3 was lost
    ("C", "exit", None, "r1"): (1, 1, 1),
    ("Old", "entry", None, "r2"): (1, 0, None),  # d4, where no stage of ours is
}


def files(folder: Path, **tables: str) -> Path:
    folder.mkdir()
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text.lstrip(), encoding="utf-8")
    (folder / "reps.csv").write_text("rep_id,name,role\nr1,Ann,rep\nr2,Bo,rep\n", encoding="utf-8")
    return folder


def imported(folder: Path, as_of: str, **tables: str) -> Workspace:
    workspace = Workspace.init(folder / "workspace")
    done = sources.import_paths(workspace, [files(folder / "files", **tables)], preset="generic", as_of=as_of)
    assert done.snapshot
    return workspace


def answers(snapshot: Snapshot, as_of: date, stages: Stages = STAGES, span: Span = JANUARY) -> Answers:
    with closing(snapshot.known(as_of, TABLES)) as connection:
        found = compliance(connection, stages, {"span": span}, as_of)
    return {
        (row.stage, row.moment, _or_none(row.criterion), row.rep_id): (row.visits, row.known, _or_none(row.met))
        for row in found.itertuples()
    }  # fmt: skip


def _or_none(value: Any) -> int | None:
    return None if pd.isna(value) else int(value)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return imported(
        tmp_path_factory.mktemp("six"),
        "2026-01-31",
        deals=DEAL_ROWS,
        deal_events=EVENT_ROWS,
        activities=ACTIVITY_ROWS,
    )


def test_every_criterion_is_answered_as_by_hand(six: Workspace) -> None:
    assert answers(Snapshots(six.store).current(), date(2026, 1, 31)) == EXPECTED


def test_places_are_those_of_the_order_and_spans_are_told_apart(six: Workspace) -> None:
    spans = {"month": JANUARY, "late": Span(date(2026, 1, 20), date(2026, 1, 25))}
    with closing(Snapshots(six.store).current().known(date(2026, 1, 31), TABLES)) as connection:
        found = compliance(connection, STAGES, spans, date(2026, 1, 31))
    places = {row.stage: _or_none(row.place) for row in found.itertuples()}
    assert places == {"A": 0, "B": 1, "C": 2, "Old": None}
    late = found[(found["span"] == "late") & found["criterion"].isna()]
    assert [(r.stage, r.moment, r.rep_id, r.visits) for r in late.itertuples()] == [
        ("B", "exit", "r1", 2), ("C", "entry", "r1", 2),
    ]  # fmt: skip


def test_without_activities_it_is_not_known_whether_there_were_any(tmp_path: Path) -> None:
    workspace = imported(tmp_path, "2026-01-31", deals=DEAL_ROWS, deal_events=EVENT_ROWS)
    found = answers(Snapshots(workspace.store).current(), date(2026, 1, 31))
    assert found == EXPECTED | {
        ("B", "entry", 1, "r1"): (2, 0, None),
        ("B", "entry", 1, "r2"): (3, 0, None),
        ("B", "entry", None, "r1"): (2, 1, 0),  # d2 lacked its amount
        ("B", "entry", None, "r2"): (3, 0, None),
    }


def test_what_is_recorded_later_changes_nothing_before(six: Workspace, own: Any, tmp_path: Path) -> None:
    workspace = own(six)
    sources.import_paths(
        workspace, [files(tmp_path / "later", activities=LATE)], preset="generic", as_of="2026-02-10"
    )
    snapshot = Snapshots(workspace.store).current()
    assert answers(snapshot, date(2026, 1, 31)) == EXPECTED
    assert answers(snapshot, date(2026, 2, 10))["B", "entry", 1, "r2"] == (
        3,
        3,
        2,
    )  # d5 was visited, after all


# What the deal list alone tells

NEXT = read(f'{STAGE}entry = {{ text = "There is a next step", field = "next_step" }}')


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _deal(**more: Any) -> dict[str, Any]:
    return {"deal_id": "x", "rep_id": "r", "stage": "a", "created_on": date(2026, 1, 5), **more}


def _came(deal: str, day: int) -> dict[str, Any]:
    return {
        "deal_id": deal,
        "occurred_at": datetime(2026, 1, day, 9),
        "field": "stage",
        "old": "z",
        "new": "a",
    }


NOT_KNOWN, NOT_MET, MET = (1, 0, None), (1, 1, 0), (1, 1, 1)
CALL = {"next_step": "call the buyer"}
SEEN: list[tuple[str, int, dict[str, Any], dict[str, Any], tuple[int, int, int | None]]] = [
    # entered on that day of January at nine; what the lists of the 10th and the 20th show; the answer
    ("on the day of the export", 10, {}, {}, NOT_MET),
    ("before the first export", 9, {}, {}, NOT_KNOWN),
    ("unchanged since before", 9, {"modified_at": datetime(2026, 1, 8)}, {}, NOT_MET),
    ("changed since", 9, {"modified_at": datetime(2026, 1, 9, 10)}, {}, NOT_KNOWN),
    ("between exports", 15, {}, CALL, NOT_KNOWN),
    ("saved with it", 15, {}, CALL | {"modified_at": datetime(2026, 1, 15, 9)}, MET),
    ("on the day that shows the change", 20, {}, CALL, MET),
    ("seen otherwise then", 10, {}, CALL | {"modified_at": datetime(2026, 1, 7)}, NOT_MET),
    ("after the last export", 21, {}, CALL, NOT_KNOWN),
]


def test_a_field_without_a_history_is_known_while_the_list_is_seen_to_stand(desk: Desk) -> None:
    lists: dict[int, list[dict[str, Any]]] = {10: [], 20: []}
    for name, entered, *shown, _answer in SEEN:
        for (day, rows), more in zip(lists.items(), shown, strict=True):
            rows.append(_deal(deal_id=name, rep_id=name, stage="a" if entered <= day else "z", **more))
    for day, rows in lists.items():
        desk.export(date(2026, 1, day), deals=rows)
    came = [_came(name, entered) for name, entered, *_rest in SEEN]
    snapshot = desk.export(date(2026, 1, 25), deal_events=came)
    found = answers(snapshot, date(2026, 1, 25), NEXT)
    assert {case[0]: found["a", "entry", 0, case[0]] for case in SEEN} == {case[0]: case[-1] for case in SEEN}


@pytest.mark.parametrize(
    "second",
    [
        pytest.param({"stage": None}, id="unchanged"),
        pytest.param({"modified_at": datetime(2026, 1, 15, 9)}, id="saved with it"),
    ],
)
def test_how_a_row_stood_is_known_from_the_list_that_shows_it(desk: Desk, second: dict[str, Any]) -> None:
    desk.export(date(2026, 1, 10), deals=[_deal(stage=None)])
    snapshot = desk.export(date(2026, 1, 20), deals=[_deal(**second)], deal_events=[_came("x", 15)])
    assert answers(snapshot, date(2026, 1, 16), NEXT)["a", "entry", 0, "r"] == NOT_KNOWN
    assert answers(snapshot, date(2026, 1, 20), NEXT)["a", "entry", 0, "r"] == NOT_MET


@pytest.mark.parametrize(
    ("currency", "minor", "met"), [("JPY", 1000, 1), ("JPY", 999, 0), ("USD", 99_999, 0)]
)
def test_an_amount_is_compared_in_units_of_its_currency(
    tmp_path: Path, currency: str, minor: int, met: int
) -> None:
    desk = Desk(tmp_path, Settings(currency=currency))
    stages = read(f'{STAGE}entry = {{ text = "Big", field = "amount", at_least = 1000 }}')
    deal = _deal(amount_minor=minor, currency=currency, modified_at=datetime(2026, 1, 5))
    snapshot = desk.export(date(2026, 1, 10), deals=[deal])
    assert answers(snapshot, date(2026, 1, 10), stages)["a", "entry", 0, "r"] == (MET if met else NOT_MET)


def test_activities_are_known_from_their_first_to_their_last_import(desk: Desk) -> None:
    stages = read(f'{STAGE}entry = {{ text = "Twice", activity = "visit", at_least = 2 }}')
    days = {"before": 6, "few": 8, "enough": 10, "after": 20}
    deals = [_deal(deal_id=name, rep_id=name) for name in days]
    came = [_came(name, day) for name, day in days.items()]
    visits = [
        {"activity_id": f"{name}{i}", "rep_id": "r", "kind": "visit", "deal_id": name,
         "occurred_at": datetime(2026, 1, 7) + timedelta(hours=i)}
        for name, times in {"few": 1, "enough": 2, "after": 2}.items() for i in range(times)
    ]  # fmt: skip
    desk.export(date(2026, 1, 15), activities=visits)
    snapshot = desk.export(date(2026, 1, 25), deals=deals, deal_events=came)
    found = answers(snapshot, date(2026, 1, 25), stages)
    assert {rep: told for (_s, _m, criterion, rep), told in found.items() if criterion == 0} == {
        "before": NOT_KNOWN, "few": NOT_MET, "enough": MET, "after": NOT_KNOWN,
    }  # fmt: skip


def test_deleted_deals_do_not_count_and_no_deals_are_no_rows(desk: Desk) -> None:
    desk.export(date(2026, 1, 10), complete=True, deals=[_deal(), _deal(deal_id="y", rep_id="s")])
    snapshot = desk.export(date(2026, 1, 20), complete=True, deals=[_deal()])
    assert {rep for _s, _m, _c, rep in answers(snapshot, date(2026, 1, 20), NEXT)} == {"r"}
    later = Span(date(2026, 3, 1), date(2026, 4, 1))
    assert answers(snapshot, date(2026, 1, 20), NEXT, later) == {}
