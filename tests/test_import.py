"""Files in: every row is accounted for, or the file is refused and nothing has changed."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from coachbook import sources
from coachbook.catalogue import shipped
from coachbook.errors import CoachbookError, Invalid, NotFound, Refused
from coachbook.model.tables import TABLES
from coachbook.settings import Workspace
from coachbook.sources.mapping import Drop, Lookup, Mapping, Origin, Source, key_of
from coachbook.sources.transforms import TRANSFORMS
from coachbook.text import Locale, speaking
from coachbook.warehouse import Snapshots
from tests.desk import HEADER, MAPPING, ROW, Desk, balances, quarantined
from tests.house.reference import GENERIC, REFERENCE, generic, reference

ROOT = Path(__file__).parents[1]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


# The sample


def test_every_row_of_the_regional_sample_is_loaded_with_its_own_values(regional: Workspace) -> None:
    folder = shipped("sample_data") / "regional_sales"
    with (folder / "Opportunities.csv").open(encoding="utf-8-sig", newline="") as file:
        raw = list(csv.DictReader(file))
    with Snapshots(regional.store).current().connect() as connection:
        kept = connection.execute(
            "SELECT deal_id, rep_id, account_id, product_id, stage, status, created_on, close_on, amount_minor, currency FROM deals"
        ).fetchall()
        state = connection.execute(
            "SELECT deal_id, name, account, product, team_id FROM deal_state"
        ).fetchall()
    columns = ["OpportunitySeq", "SystemUserSeq", "AccountSeq", "ProductSeq", "Sales Stage"]
    assert sorted(kept) == sorted(
        (
            *(row[c] for c in columns), row["Status"].lower(),
            date.fromisoformat(row["Opportunity Created On"]), date.fromisoformat(row["CloseDate"]),
            int(row["Value"]) * 100, "USD",
        )
        for row in raw
    )  # fmt: skip
    names = {}
    for name, key, value in [
        ("Accounts", "AccountSeq", "Account Name"), ("Products", "ProductSeq", "Product"), ("Owners", "SystemUserSeq", "Manager")
    ]:  # fmt: skip
        with (folder / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            names[name] = {row[key]: row[value] for row in csv.DictReader(file)}
    assert sorted(state) == sorted(
        (
            row["OpportunitySeq"], names["Accounts"][row["AccountSeq"]], names["Accounts"][row["AccountSeq"]],
            names["Products"][row["ProductSeq"]], names["Owners"][row["SystemUserSeq"]],
        )
        for row in raw
    )  # fmt: skip


def test_the_sample_again_changes_nothing(regional: Workspace, own: Callable[[Workspace], Workspace]) -> None:
    workspace = own(regional)
    before = Snapshots(workspace.store).current()
    accounting = sources.import_paths(workspace, [], preset="regional_sales")
    plain = accounting.to_dict()
    assert plain["snapshot"] == before.id == Snapshots(workspace.store).current().id
    assert before.id.startswith("2021-11-10-")
    assert [(f["file"], f["rows"], f["loaded"], f["unchanged"], f["quarantined"], f["dropped"]) for f in plain["files"]] == [
        ("Owners.csv", 20, 20, 20, 0, {}),
        ("Accounts.csv", 300, 300, 300, 0, {}),
        ("Products.csv", 9, 9, 9, 0, {}),
        ("Opportunities.csv", 20000, 20000, 20000, 0, {}),
    ]  # fmt: skip
    assert json.loads(json.dumps(plain)) == plain


def test_tripling_one_owners_amounts_changes_those_amounts_alone(
    regional: Workspace, own: Callable[[Workspace], Workspace], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(shipped("sample_data") / "regional_sales", tmp_path / "tripled"))
    with (folder / "Opportunities.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    owner, value, key = (header.index(name) for name in ("SystemUserSeq", "Value", "OpportunitySeq"))
    theirs = {row[key] for row in rows if row[owner] == "8"}
    for row in rows:
        row[value] = str(int(row[value]) * (3 if row[owner] == "8" else 1))
    with (folder / "Opportunities.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    workspace = own(regional)
    before = Snapshots(workspace.store).current()
    accounting = sources.import_paths(workspace, [folder])
    assert accounting.files[-1].unchanged == 20000 - len(theirs)
    assert accounting.snapshot is not None
    tripled = ", ".join(
        f"CASE rep_id WHEN '8' THEN 3 ELSE 1 END * {c} AS {c}" for c in ("own_minor", "amount_minor")
    )
    with before.connect() as connection:
        expected = connection.execute(
            f"SELECT * REPLACE ({tripled}) FROM deal_state ORDER BY deal_id"
        ).fetchall()
    with accounting.snapshot.connect() as connection:
        assert connection.execute("FROM deal_state ORDER BY deal_id").fetchall() == expected


def test_the_made_up_company_has_the_cases_that_the_sample_lacks(firm: Workspace) -> None:
    with Snapshots(firm.store).current().connect() as connection:
        reps = dict(connection.execute("SELECT name, rep_id FROM reps WHERE role = 'rep'").fetchall())
        amount = connection.execute("SELECT amount_minor FROM deals WHERE deal_id = 'D259'").fetchone()
    assert {"王小明", "</script><script>alert(1)</script>"} < set(reps)
    assert amount == (2431625,)


# The accounting, against an independent reading


def _oracle(raw: bytes) -> tuple[int, dict[str, tuple[Any, ...]], int] | None:
    """Rows, deals and quarantined rows as Python's csv and hand-written rules have them; None: refused."""
    try:
        records = [r for r in csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True) if r]
    except (UnicodeDecodeError, csv.Error):
        return None
    names = HEADER.split(",")
    heads = [head.strip(" \ufeff") for head in records[0]] if records else []
    if any(heads.count(name) != 1 for name in names):
        return None
    deals: dict[str, tuple[Any, ...]] = {}
    bad = 0
    for record in records[1:]:
        row = dict(zip(heads, record, strict=False)) if len(record) == len(heads) else {}
        deal = _deal({name: row.get(name, "") for name in names})
        bad += deal is None
        if deal is not None:
            deals[row["id"]] = deal
    return len(records) - 1, deals, bad


def _deal(row: dict[str, str]) -> tuple[Any, ...] | None:
    status = {"Won": "won", "Lost": "lost", "Open": "open"}.get(row["state"])
    made, closed = _date(row["made"]), _date(row["closed"])
    amount = _cents(row["sum"])
    if (
        not row["id"]
        or status is None
        or made is None
        or not row["cur"]
        or (row["cur"] != "USD" and row["sum"])
    ):
        return None
    if (row["closed"] and closed is None) or (row["sum"] and amount is None):
        return None
    return (row["note"] or None, row["who"] or None, status, made, closed, amount, row["cur"])


def _date(text: str) -> date | None:
    found = re.fullmatch(r"((?:19|20|21)[0-9]{2})[-/]([0-9]{1,2})[-/]([0-9]{1,2})", text)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def _cents(text: str) -> int | None:
    if not re.fullmatch(r" *[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+) *", text):
        return None
    cents = Decimal(text.strip(" ")) * 100
    return int(cents) if cents == int(cents) and abs(cents) < 2**63 else None


FIELDS = {
    "id": st.sampled_from(["1", "2", "3", "4", "5", "6", "7", ""]),
    "who": st.sampled_from(["r", "s", "", "=cmd|' /C calc'!A0", "王小明"]),
    "state": st.sampled_from(["Won", "Won", "Lost", "Open", "won", "", "Won "]),
    "made": st.sampled_from(["2021-01-02", "2021/1/2", "2021-02-30", "01/02/2021", "", "infinity"]),
    "closed": st.sampled_from(["2021-03-04", "", "soon", "9999-12-31"]),
    "sum": st.sampled_from(["10.50", "", "0", "-7", "1e3", "1,5", "0.001", "1.10000", "x", "12345678901234567890"]),
    "cur": st.sampled_from(["USD", "USD", "USD", "CNY", ""]),
    "note": st.sampled_from(["a", "", 'say "hi"', "two\nlines", "two\r\nlines", "\0\x1b[31m", "x" * 200_000]),
}  # fmt: skip


@st.composite
def files_of_rows(draw: st.DrawFn) -> bytes:
    """A small file, mostly right, then damaged."""
    good = st.tuples(*(st.sampled_from([f.elements[0]]) | f for f in FIELDS.values()))  # type: ignore[attr-defined]
    rows = [HEADER.split(","), *draw(st.lists(good, max_size=8))]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=draw(st.sampled_from(["\n", "\r\n", "\r"]))).writerows(rows)
    raw = draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.getvalue().encode()
    for damage in draw(st.lists(st.sampled_from(DAMAGES), max_size=2)):
        raw = damage(raw, draw(st.integers(0, max(0, len(raw) - 1))))
    return raw


DAMAGES: list[Callable[[bytes, int], bytes]] = [
    lambda raw, at: raw[:at],
    lambda raw, at: raw[:at] + b'"' + raw[at:],
    lambda raw, at: raw[:at] + b"\n" + raw[at:],
    lambda raw, at: raw[:at] + b"," + raw[at:],
    lambda raw, at: raw[:at] + b"\xff" + raw[at + 1 :],
    lambda raw, at: b"\n".join(reversed(raw.split(b"\n"))),
    lambda raw, at: re.sub(rb",[^,\n]*\n", b"\n", raw),
]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    desk = Desk(tmp_path_factory.mktemp("busy"))
    desk.write(
        f"{HEADER}\n1,old,Open,2020-01-01,,1,USD,kept unless superseded\n9,old,Open,2020-01-01,,1,USD,\n"
    ).load()
    return desk


SLOW = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large]}


@settings(max_examples=30, **SLOW)
@given(raw=files_of_rows())
def test_any_file_balances_or_is_refused_and_nothing_changes(busy: Desk, raw: bytes) -> None:
    balances_or_is_refused(busy, raw)


@pytest.mark.verify
@settings(max_examples=300, **SLOW)
@given(raw=files_of_rows())
def test_more_files_balance_or_are_refused(busy: Desk, raw: bytes) -> None:
    balances_or_is_refused(busy, raw)


def balances_or_is_refused(busy: Desk, raw: bytes) -> None:
    before, there = busy.current, busy.deals()
    expected = _oracle(raw)
    busy.write(raw)
    if expected is None:
        with pytest.raises(CoachbookError) as refused:
            busy.load()
        assert busy.current == before
        assert len(str(refused.value)) < 500
        return
    accounting = busy.load()
    rows, deals, bad = expected
    balances(accounting)
    (account,) = accounting.files
    assert (account.rows, account.loaded, account.quarantined) == (rows, len(deals), bad)
    assert account.unchanged == sum(there.get(key) == deal for key, deal in deals.items())
    assert busy.deals() == there | deals


def test_the_oracle_sees_both_kinds_of_file() -> None:
    """The test above would be empty if every damaged file were refused, or none."""
    assert _oracle(f"{HEADER}\n{ROW}".encode()) == (
        1, {"1": ("first", "r", "won", date(2021, 1, 2), date(2021, 3, 4), 1050, "USD")}, 0
    )  # fmt: skip
    assert _oracle(f'{HEADER}\n{ROW}"'.encode()) is None


# Lines


def test_lines_are_physical_ones(desk: Desk) -> None:
    note = '"one,\n""two""\r\n\r\nthree"'
    bad = "x,r,Wrong,2021-01-02,,1,USD"
    lines = [
        HEADER,
        "",
        f"1,r,Won,2021-01-02,,1,USD,{note}",
        f"{bad},{note}",
        "",
        "",
        f"{bad},",
        "short",
        f"{bad},{note}",
    ]
    text = "\n".join(lines) + "\n"
    accounting = desk.write(text).load()
    balances(accounting)
    numbered = text.replace("\r\n", "\n").split("\n")
    expected = [n for n, line in enumerate(numbered, 1) if line.startswith("x,") or line == "short"]
    found = quarantined(accounting)
    assert [int(row["line"]) for row in found] == expected == [7, 13, 14, 15]
    assert [(row["file"], row["column"], row["value"]) for row in found] == [
        ("deals.csv", "state", "Wrong"), ("deals.csv", "state", "Wrong"), ("deals.csv", "", "1"), ("deals.csv", "state", "Wrong"),
    ]  # fmt: skip
    assert all(row["reason"] for row in found)


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (f'{ROW}2,"r,Won,2021-01-02,,1,USD,\n{ROW}', 3),
        (f'{ROW}2,"r\n\nq",Won,"2021-01-02,,1,USD,\n{ROW}', 5),
        (f'{ROW}2,"a ""b\n"" c",Won,2021-01-02,"\r\n{ROW}', 4),
        (f'{ROW}2,"r,Won\n3,"r",Won,2021-01-02,,1,USD,\n', 3),
    ],
)
def test_an_open_quote_refuses_the_file_and_names_the_line_where_it_opens(
    desk: Desk, body: str, line: int
) -> None:
    with pytest.raises(Invalid, match=rf"line {line}\b"):
        desk.write(f"{HEADER}\n{body}").load()
    assert desk.current == ""


# What is refused


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is empty"),
        (b"\n\r\n", "is empty"),
        (f"{HEADER}\n{ROW}2,\xff".encode("latin-1"), f"line 3, byte {len(HEADER) + 1 + len(ROW) + 3}"),
        (f"{HEADER}\n{ROW}2,王".encode()[:-1], f"line 3, byte {len(HEADER) + 1 + len(ROW) + 3}"),
        (f"{HEADER}\n{ROW}2,王小明".encode() + b"\xce", f"line 3, byte {len(HEADER) + 1 + len(ROW) + 12}"),
        (HEADER.replace("state", "Stat").encode(), "“state”. Nearest: Stat"),
        (HEADER.replace("note", "who").encode(), "“note”"),
        (f"{HEADER},who\n".encode(), "“who” more than once"),
        (f"{HEADER}\n{ROW}".replace(",", ":").encode(), "“id”"),
    ],
    ids=["empty", "blank", "no encoding", "cut", "damaged", "column missing", "columns missing", "column twice", "colons"],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_refused(desk: Desk, raw: bytes, said: str) -> None:
    desk.write(f"{HEADER}\n{ROW}").load()
    before = desk.current
    with pytest.raises(CoachbookError) as refused:
        desk.write(raw).load()
    assert said in str(refused.value)
    assert desk.current == before
    assert not desk.workspace.quarantine.exists()


def test_a_missing_file_names_the_nearest(desk: Desk) -> None:
    (desk.files / "deal.csv").write_text(HEADER)
    with pytest.raises(NotFound, match=r"Nearest: deal\.csv"):
        desk.load()
    with pytest.raises(NotFound, match=r"mapping\.toml"):
        sources.import_paths(desk.workspace, [desk.files / "nowhere"])
    with pytest.raises(NotFound, match="regional_sales"):
        sources.import_paths(desk.workspace, [], preset="regional")
    with pytest.raises(NotFound):
        sources.import_paths(desk.workspace, [])
    with pytest.raises(CoachbookError):
        sources.import_paths(desk.workspace, [Path("x" * 10_000)])


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[deals]", "[deal]", "The nearest is deals."),
        ("rep_id =", "rep =", "The nearest is deals.columns.rep_id."),
        ("map =", "maps =", "The nearest is deals.columns.status.map."),
        ('file = "deals.csv"', 'fil = "deals.csv"', "The nearest is deals.file."),
        ('currency = "cur"', "", "lacks the key deals.columns.currency"),
        ('Won = "won"', 'Won = "win"', "It can be: open, won, lost."),
        ('"made"', '{ column = "made", format = "%Q" }', "%d/%m/%Y"),
        ('"made"', '{ column = "made", constant = "2021-01-01" }', "either column or constant"),
        ('"sum"', '{ column = "sum", thousands = "." }', "must differ"),
        ("2021-11-10", '"10.11.2021"', "2021-11-10"),
        ("as_of = 2021-11-10", 'export = "all"', "full, partial"),
        ("[deals.columns]", "[deals.columns", "is not valid TOML"),
        ('file = "deals.csv"', "file = 3", "write a text in quotation marks"),
    ],
)
def test_a_wrong_mapping_names_what_would_be_right(desk: Desk, old: str, new: str, said: str) -> None:
    assert old in MAPPING
    with pytest.raises(CoachbookError) as refused:
        desk.write(f"{HEADER}\n{ROW}", mapping=MAPPING.replace(old, new)).load()
    assert said in str(refused.value)
    assert desk.current == ""


def test_an_empty_mapping_is_refused(desk: Desk) -> None:
    with pytest.raises(Invalid, match="reps, accounts, contacts, products, leads, deals"):
        desk.write(mapping="as_of = 2021-11-10").load()


def test_messages_and_reasons_speak_the_language_in_use(desk: Desk) -> None:
    accounting = desk.write(f"{HEADER}\nshort\n").load()
    with speaking(Locale.ZH_CN):
        chinese = desk.load()
    (english_row,), (chinese_row,) = quarantined(accounting), quarantined(chinese)
    assert english_row["reason"] == "1 fields where the first line has 8"
    assert re.search("[一-鿿]", chinese_row["reason"])


# The mapping's own words


def test_hostile_texts_stay_the_texts_they_are(desk: Desk) -> None:
    hostile = ['=HYPERLINK("http://x.invalid")', "\x1b[31mred\x07", "'; DROP TABLE deals; --", "</script><script>", "\0", "a\tb", " NULL "]  # fmt: skip
    text = io.StringIO(newline="")
    csv.writer(text).writerows(
        [[i, t, "Won", "2021-01-02", "", "1", "USD", t] for i, t in enumerate(hostile)]
    )
    desk.write(f"{HEADER}\r\n{text.getvalue()}").load()
    assert [(row[0], row[1]) for _id, row in sorted(desk.deals().items())] == [(t, t) for t in hostile]


def test_a_later_row_supersedes_an_earlier_one_of_the_same_deal(desk: Desk) -> None:
    accounting = desk.write(
        f"{HEADER}\n{ROW}{ROW.replace('first', 'second')}{ROW.replace('Won', 'Wrong')}"
    ).load()
    balances(accounting)
    (account,) = accounting.files
    assert (account.rows, account.loaded, account.quarantined, account.dropped) == (
        3,
        1,
        1,
        {"superseded": 1},
    )
    assert desk.deals()["1"][0] == "second"


def test_rules_drop_rows_under_their_names_before_they_are_judged(desk: Desk) -> None:
    rules = """
    [[deals.drop]]
    rule = "test deals"
    column = "note"
    equals = "test"
    [[deals.drop]]
    rule = "no owner"
    column = "who"
    equals = ["", "nobody"]
    """
    body = "1,,Bad,,,,,test\n2,,Won,2021-01-02,,1,USD,\n3,nobody,Won,2021-01-02,,1,USD,\n4,r,Won,2021-01-02,,1,USD,\n"
    accounting = desk.write(f"{HEADER}\n{body}", mapping=MAPPING + rules).load()
    balances(accounting)
    assert accounting.files[0].dropped == {"no owner": 2, "test deals": 1}
    assert set(desk.deals()) == {"4"}


def test_lookups_constants_maps_and_formats(desk: Desk) -> None:
    mapping = """
    as_of = 2021-11-10
    [reps]
    file = "people.csv"
    [reps.columns]
    rep_id = "id"
    name = { column = "id", lookup = { file = "names.csv", key = "id", value = "name" } }
    team = { column = "team", lookup = { file = "teams.csv", key = "code", value = "team" } }
    role = { constant = "rep" }
    start_on = { column = "from", format = ["%d.%m.%Y", "%Y%m%d"] }
    end_on = { column = "to", map = { "9999-12-31" = "" } }
    """
    desk.write(
        mapping=mapping,
        people="id,team,from,to\n1,N,31.12.2020,9999-12-31\n2,S,20210102,2021-05-06\n3,?,,\n4,N,2021-01-02,\n",
        names="id,name\n1,Ann\n2,old\n2,Bob\n4,Dan\n",
        teams="code,team,code2\nN,North,\nS,,\n",
    )
    accounting = desk.load()
    balances(accounting)
    assert desk.query("SELECT rep_id, name, team, role, start_on, end_on FROM known_reps ORDER BY 1") == [
        ("1", "Ann", "North", "rep", date(2020, 12, 31), None),
        ("2", "Bob", None, "rep", date(2021, 1, 2), date(2021, 5, 6)),
    ]
    assert [(r["line"], r["column"], r["value"]) for r in quarantined(accounting)] == [
        ("4", "id", "3"), ("5", "from", "2021-01-02"),
    ]  # fmt: skip
    assert [account.file for account in accounting.files] == ["people.csv"]


@pytest.mark.parametrize(
    ("currency", "text", "minor"),
    [
        ("USD", "1234.5", 123450), ("USD", "1,234,567.89", 123456789), ("USD", "-.5", -50), ("USD", "+7.", 700),
        ("USD", "0.1", 10), ("USD", "90071992547409.93", 9007199254740993), ("USD", "12,34", None), ("USD", "1.005", None),
        ("USD", "1.00500", None), ("USD", "1.50000", 150), ("JPY", "1234", 1234), ("JPY", "1.5", None), ("KWD", "1.234", 1234),
        ("USD", "$5", 500), ("USD", "€5", None), ("USD", "٣", None), ("USD", "1_000", None), ("USD", "NaN", None), ("USD", "0x10", None),
    ],
)  # fmt: skip
def test_amounts_are_exact(tmp_path: Path, currency: str, text: str, minor: int | None) -> None:
    desk = Desk(tmp_path, currency=currency)
    mapping = MAPPING.replace('"sum"', '{ column = "sum", thousands = "," }')
    accounting = desk.write(f'{HEADER}\n1,r,Won,2021-01-02,,"{text}",{currency},\n', mapping=mapping).load()
    found = [deal[5] for deal in desk.deals().values()]
    assert found == ([] if minor is None else [minor])
    assert [row["column"] for row in quarantined(accounting)] == (["sum"] if minor is None else [])


def test_a_decimal_comma(desk: Desk) -> None:
    mapping = MAPPING.replace('"sum"', '{ column = "sum", thousands = ".", decimal = "," }')
    desk.write(f'{HEADER}\n1,r,Won,2021-01-02,,"1.234,5",USD,\n', mapping=mapping).load()
    assert desk.deals()["1"][5] == 123450


def test_another_currency_is_quarantined_until_there_are_rates(desk: Desk) -> None:
    accounting = desk.write(f"{HEADER}\n{ROW}{ROW.replace('USD', 'CNY')}").load()
    (row,) = quarantined(accounting)
    assert (row["column"], row["value"], row["reason"]) == (
        "cur",
        "CNY",
        "no rate from CNY to USD on 2021-01-02",
    )
    assert accounting.to_dict()["quarantine"] == str(accounting.quarantine)


def test_unknown_owner_customer_product_and_stage_are_loaded(firm: Workspace) -> None:
    with Snapshots(firm.store).current().connect() as connection:
        unknown = connection.execute(
            "SELECT rep_id, team_id, account_id, account, product, stage FROM deal_state WHERE deal_id IN ('D454', 'D455') ORDER BY 1"
        ).fetchall()
    assert unknown == [
        ("S4", "south", "C99", None, None, "5 Paused"),
        ("X9", None, "C01", "Acorn Foods", "Starter plan", "Needs"),
    ]


def test_one_file_may_fill_two_tables_and_two_files_one(desk: Desk) -> None:
    mapping = (
        MAPPING.replace("[deals]", "[[deals]]")
        + """
    [[deals]]
    file = "more.csv"
    [deals.columns]
    deal_id = "id"
    status = { constant = "open" }
    created_on = "made"
    currency = { constant = "USD" }
    [reps]
    file = "deals.csv"
    [reps.columns]
    rep_id = "who"
    name = "who"
    role = { constant = "rep" }
    """
    )
    desk.write(
        f"{HEADER}\n{ROW}{ROW.replace('1,', '2,', 1)}",
        mapping=mapping,
        more="id,made\n2,2021-05-05\n3,2021-05-06\n",
    )
    accounting = desk.load()
    balances(accounting)
    assert {(a.file, a.table): (a.rows, a.loaded, a.dropped) for a in accounting.files} == {
        ("deals.csv", "deals"): (2, 1, {"superseded": 1}),
        ("more.csv", "deals"): (2, 2, {}),
        ("deals.csv", "reps"): (2, 1, {"superseded": 1}),
    }
    assert {key: deal[2] for key, deal in desk.deals().items()} == {"1": "won", "2": "open", "3": "open"}


def test_progress_is_told_to_the_end(desk: Desk) -> None:
    told: list[tuple[str, float]] = []
    desk.write(f"{HEADER}\n{ROW}").load(on_progress=lambda file, share: told.append((file, share)))
    assert told[-1] == ("deals.csv", 1.0)
    assert all(0 <= share <= 1 for _file, share in told)


# Again, later, more


def test_a_later_partial_export_supersedes_and_keeps_and_a_full_one_removes(desk: Desk) -> None:
    first, second, third = ROW, ROW.replace("1,", "2,", 1), ROW.replace("1,", "3,", 1)
    desk.write(f"{HEADER}\n{first}{second}").load()
    before = desk.current
    accounting = desk.write(f"{HEADER}\n{first}{third}").load(as_of="2021-11-11")
    assert (accounting.files[0].loaded, accounting.files[0].unchanged) == (2, 1)
    assert desk.there() == {"1", "2", "3"}
    assert desk.current != before
    assert desk.current.startswith("2021-11-11-")
    desk.load(full=True, as_of="2021-11-12")
    assert desk.there() == {"1", "3"}
    desk.write(mapping=MAPPING.replace("[deals]", 'export = "full"\n[deals]')).write(
        f"{HEADER}\n{third}"
    ).load(as_of="2021-11-13")
    assert desk.there() == {"3"}


def test_a_full_export_removes_nothing_that_may_be_in_it(desk: Desk) -> None:
    bad = ROW.replace("1,", "2,", 1)
    desk.write(f"{HEADER}\n{ROW}{bad}").load()
    desk.write(f"{HEADER}\n{ROW}{bad.replace('Won', 'Wrong')}").load(full=True)
    assert desk.there() == {"1", "2"}
    desk.write(f"{HEADER}\n{ROW}2;r\n").load(full=True)
    assert desk.there() == {"1", "2"}
    with pytest.raises(Refused, match="no rows"):
        desk.write(f"{HEADER}\n").load(full=True)
    assert desk.there() == {"1", "2"}


def test_the_same_files_on_a_later_day_keep_the_snapshot_unless_a_day_is_stated(desk: Desk) -> None:
    desk.write(f"{HEADER}\n{ROW}", mapping=MAPPING.replace("as_of = 2021-11-10", "")).load(as_of="2021-11-10")
    before = desk.current
    again = desk.load().snapshot
    assert again is not None
    assert again.id == before
    earlier = desk.load(as_of="2021-11-09").snapshot
    later = desk.load(as_of="2021-12-01").snapshot
    assert earlier is not None
    assert later is not None
    assert (earlier.as_of, later.as_of) == (date(2021, 11, 10), date(2021, 12, 1))


def test_the_same_quarantined_rows_give_the_same_file(desk: Desk) -> None:
    first = desk.write(f"{HEADER}\n{ROW}x\n").load()
    assert desk.load().quarantine == first.quarantine
    assert len(list(desk.workspace.quarantine.iterdir())) == 1


def test_a_changed_currency_is_refused_where_there_are_deals(desk: Desk) -> None:
    desk.write(f"{HEADER}\n{ROW}").load()
    (desk.workspace.folder / "coachbook.toml").write_text('currency = "CNY"')
    changed, before = Workspace(desk.workspace.folder), desk.current
    with pytest.raises(Refused, match="no rate from USD to CNY"):
        Snapshots(changed.store).republish(changed.settings.reporting)
    assert desk.current == before
    other = ROW.replace("1,", "2,", 1).replace("USD", "CNY")
    with pytest.raises(Refused, match="no rate from USD to CNY"):
        sources.import_paths(changed, [desk.write(f"{HEADER}\n{other}").files])
    assert desk.current == before
    sources.import_paths(changed, [desk.write(f"{HEADER}\n{other}").files], full=True)
    assert {deal[-1] for deal in desk.deals().values()} == {"CNY"}


def test_a_quarantine_that_cannot_be_written_refuses_the_import(desk: Desk) -> None:
    desk.workspace.quarantine.write_text("a file, where a folder should be")
    with pytest.raises(Refused, match="quarantine"):
        desk.write(f"{HEADER}\n{ROW}short\n").load()
    assert desk.current == ""


# The documentation


def _example() -> str:
    return (ROOT / "docs/mapping.md").read_text(encoding="utf-8").split("```toml")[1].split("```")[0]


def test_the_documented_example_works(desk: Desk) -> None:
    desk.write(
        mapping=_example(),
        People="Id,Name,Team code,Job,First day,Last day\n7,Ann,N,Account executive,01/02/2020,31/12/9999\n",
        Teams="Code,Team,Lead\nN,North,Bob\n",
        Customers="Customer id,Customer\nc,Acorn\n",
        Deals='Deal id,Deal,Owner,Customer id,Stage,State,Created,Close date,Amount,Region\nd,Deal,7,c,2 - Propose,,03/02/2020,,"1.234,50",EMEA\ne,Deal,test,c,,Won,03/02/2020,,1,EMEA\n',
    )
    accounting = desk.load()
    balances(accounting)
    assert accounting.quarantined == 0
    assert desk.query("SELECT rep_id, name, team, manager, role, start_on, end_on FROM known_reps") == [
        ("7", "Ann", "North", "Bob", "rep", date(2020, 2, 1), None)
    ]
    assert desk.query("SELECT deal_id, account, stage, status, created_on, amount_minor FROM deal_state") == [
        ("d", "Acorn", "Propose", "open", date(2020, 2, 3), 123450)
    ]


def test_what_is_made_from_the_tables_is_current() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference()
    assert GENERIC.read_text(encoding="utf-8") == generic()


def test_every_table_and_column_is_in_the_reference() -> None:
    sections = dict(
        re.findall(r"^## `(\w+)`\n(.*?)(?=^## |\Z)", REFERENCE.read_text(encoding="utf-8"), re.M | re.S)
    )
    assert list(sections) == list(TABLES)
    for name, text in sections.items():
        rows = re.findall(r"^\| (\**)`(\w+)`\** \| [^|]+ \| (.+) \|$", text, re.M)
        assert [(column, bool(bold)) for bold, column, _meaning in rows] == [
            (key_of(column), column.required) for column in TABLES[name].columns
        ]
        assert all(meaning.endswith(".") for _bold, _column, meaning in rows)


def test_every_word_of_the_mapping_is_documented() -> None:
    text = (ROOT / "docs/mapping.md").read_text(encoding="utf-8")
    words = {key for section in (Origin, Lookup, Drop, Source) for key in section.model_fields}
    words |= {key for key in Mapping.model_fields if key not in TABLES} | {*TRANSFORMS, *sources.presets()}
    assert {word for word in words if f"`{word}`" not in text} == set()
