"""Files of every kind: encodings, delimiters, sheets, Parquet, archives; numbers, dates and instants as people write them."""

from __future__ import annotations

import csv
import io
import shutil
import stat
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coachbook import sources
from coachbook.errors import CoachbookError, Invalid, NotFound
from coachbook.model.periods import Period
from coachbook.sources.readers import Form, Style, reader
from coachbook.sources.readers.even import is_even
from coachbook.warehouse import Snapshots
from tests.conftest import RunCli
from tests.desk import HEADER, MAPPING, ROW, Desk, balances, quarantined
from tests.sheets import write_sheets

CHINESE = f"{HEADER}\n1,王小明,Won,2021-01-02,2021-03-04,10.50,USD,第一单\n"
EXPECTED = {"1": ("第一单", "王小明", "won", date(2021, 1, 2), date(2021, 3, 4), 1050, "USD")}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def only(desk: Desk, column: str, table: str = "deals") -> Any:
    """The one value of a column."""
    ((value,),) = desk.query(f"SELECT {column} FROM known_{table}")
    return value


# Text


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-16"), ("gb18030", "gb18030")],
)
def test_an_encoding_is_found_out_and_told(desk: Desk, encoding: str, told: str) -> None:
    accounting = desk.write(CHINESE.encode(encoding)).load()
    balances(accounting)
    assert desk.deals() == EXPECTED
    assert accounting.files[0].encoding == told


def test_big_endian_utf_16_with_its_mark(desk: Desk) -> None:
    desk.write(b"\xfe\xff" + CHINESE.encode("utf-16-be")).load()
    assert desk.deals() == EXPECTED


def test_the_mapping_may_name_the_encoding(desk: Desk) -> None:
    text = CHINESE.replace("王小明", "Müller").replace("第一单", "é")
    desk.write(text.encode("cp1252"), mapping=f'encoding = "cp1252"\n{MAPPING}').load()
    assert desk.deals()["1"][:2] == ("é", "Müller")
    with pytest.raises(Invalid, match="encoding like utf-8"):
        desk.write(mapping=f'encoding = "cp-nonsense"\n{MAPPING}').load()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_a_delimiter_is_found_in_the_header(desk: Desk, delimiter: str) -> None:
    text = io.StringIO(newline="")
    rows = [line.split(",") for line in f"{HEADER}\n{ROW}".splitlines()]
    rows[1][-1] = "a,b;c\td|e"
    csv.writer(text, delimiter=delimiter).writerows(rows)
    balances(desk.write(text.getvalue()).load())
    assert desk.deals()["1"][0] == "a,b;c\td|e"


def test_the_mapping_may_name_the_delimiter(desk: Desk) -> None:
    raw = f"{HEADER}\n{ROW}".replace(",", "^")
    with pytest.raises(NotFound):
        desk.write(raw).load()
    desk.write(raw, mapping=f'delimiter = "^"\n{MAPPING}').load()
    assert set(desk.deals()) == {"1"}


def test_headers_are_known_whatever_their_case_width_and_spaces(desk: Desk) -> None:
    header = HEADER.replace("id", " ＩＤ ").replace("state", "State").replace("sum", "SUM\u200b")
    desk.write(f"{header}\n{ROW}").load()
    assert desk.deals()["1"][5] == 1050


def test_the_first_header_that_is_there_counts(desk: Desk) -> None:
    mapping = MAPPING.replace('name = "note"', 'name = ["title", "note", "who"]')
    desk.write(f"{HEADER}\n{ROW}", mapping=mapping).load()
    assert only(desk, "name") == "first"
    with pytest.raises(NotFound, match="“title”"):
        desk.write(mapping=mapping.replace('"note", "who"', '"caption"')).load()


def test_an_optional_column_may_be_lacking_and_have_a_default(desk: Desk) -> None:
    mapping = MAPPING.replace('"note"', '{ column = "title", optional = true }').replace(
        '"cur"', '{ column = "currency", optional = true, default = "workspace" }'
    )
    desk.write(f"{HEADER}\n{ROW}", mapping=mapping).load()
    assert desk.deals()["1"][0] is None
    assert desk.deals()["1"][6] == "USD"


def test_several_columns_make_one_value(desk: Desk) -> None:
    mapping = MAPPING.replace('name = "note"', 'name = { columns = ["note", "who"] }').replace(
        '{ column = "state", map = { Won = "won", Lost = "lost", Open = "open" } }',
        '{ columns = ["state", "who"], transform = "lower", map = { "won r" = "won", "*" = "open", "" = "lost" } }',
    )
    desk.write(
        f"{HEADER}\n{ROW}{ROW.replace('1,r,Won', '2,,Odd')}{ROW.replace('1,r,Won', '3,,')}", mapping=mapping
    ).load()
    assert {key: (deal[0], deal[2]) for key, deal in desk.deals().items()} == {
        "1": ("first r", "won"), "2": ("first", "open"), "3": ("first", "lost"),
    }  # fmt: skip
    first = mapping.replace('{ columns = ["note", "who"] }', '{ columns = ["who", "note"], first = true }')
    desk.write(mapping=first).load()
    assert {key: deal[0] for key, deal in desk.deals().items()} == {"1": "r", "2": "first", "3": "first"}


NOTHING = ["null", "NULL", "N/A", "#N/A", "None", "-", "--", "n/a"]


def test_words_for_nothing_are_nothing(desk: Desk) -> None:
    rows = "".join(f"{i},{word},Won,2021-01-02,{word},{word},USD,{word}\n" for i, word in enumerate(NOTHING))
    accounting = desk.write(f"{HEADER}\n{rows}").load()
    assert accounting.quarantined == 0
    assert {(d[0], d[1], d[4], d[5]) for d in desk.deals().values()} == {(None, None, None, None)}
    desk.write(mapping=f"nulls = []\n{MAPPING.replace('2021-11-10', '2021-11-11')}")
    assert desk.load().quarantined == len(NOTHING)


PIECES = [
    "",
    "a",
    "b c",
    " ",
    ",",
    ",,",
    ";",
    "\n",
    "\r\n",
    "\r",
    '"',
    "王",
    "\0",
    "\x0b",
    "\u2028",
    "\x85",
    "1.5",
    "NULL",
    "\t",
    "'",
    "\\",
    "#",
]
LINES = st.lists(
    st.lists(
        st.sampled_from(["", "a", "b c", " ", "王", "1.5", "NULL", "\u2028", "\0", "'", "\\"]),
        min_size=3,
        max_size=3,
    ),
    max_size=6,
)


@st.composite
def nearly_even(draw: st.DrawFn) -> bytes:
    """Lines of three fields, often all of them right, else with something spliced in."""
    end = draw(st.sampled_from(["\n", "\r\n"]))
    text = end.join(",".join(row) for row in [["x", "y", "z"], *draw(LINES)]) + draw(
        st.sampled_from(["", end])
    )
    for piece in draw(st.lists(st.sampled_from(PIECES), max_size=1)):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + piece + text[at:]
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()


@pytest.fixture(scope="module")
def memory() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        yield connection


@settings(max_examples=300, deadline=None)
@given(raw=nearly_even())
def test_the_quick_way_reads_what_the_careful_way_reads(
    tmp_path_factory: pytest.TempPathFactory, memory: duckdb.DuckDBPyConnection, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "even.csv"
    path.write_bytes(raw)
    quick = read_through(memory, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("coachbook.sources.readers.delimited.is_even", lambda *_arguments: False)
        assert read_through(memory, path) == quick


def read_through(connection: duckdb.DuckDBPyConnection, path: Path) -> object:
    """The rows and the records with a wrong number of fields, or what was refused."""
    try:
        file = reader(path, Form())
        wanted = [(i, Style()) for i in (2, 0) if i < len(file.header)]
        loaded = file.load(connection, "read", wanted)
        return connection.execute("FROM read ORDER BY _line").fetchall(), loaded.rows, loaded.misshapen
    except CoachbookError as refused:
        return str(refused)
    finally:
        connection.execute("DROP TABLE IF EXISTS read")


def test_the_quick_way_is_taken_for_plain_files_and_not_for_others(tmp_path: Path) -> None:
    for raw, even in [
        ("a,b\n1,2\n", True),
        ("a,b\r\n1,2", True),
        ('a,b\n"1",2\n', False),
        ("a,b\n1\n", False),
        ("a,b\n\n1,2\n", False),
        ("a,b\r1,2\n", False),
    ]:
        (tmp_path / "a.csv").write_bytes(raw.encode())
        assert is_even(tmp_path / "a.csv", ",", 2) is even


# Numbers


@pytest.mark.parametrize(
    ("text", "minor", "origin"),
    [
        ("1.234,50", 123450, 'thousands = ".", decimal = ","'),
        ("1 234,50", 123450, 'thousands = " ", decimal = ","'),
        ("1\u00a0234,50", 123450, 'thousands = " ", decimal = ","'),
        ("1'234.50", 123450, 'thousands = "\'"'),
        ("$1,234.50", 123450, 'thousands = ","'),
        ("US$ 1,234.50", 123450, 'thousands = ","'),
        ("1,234.50 USD", 123450, 'thousands = ","'),
        ("(1,234.50)", -123450, 'thousands = ","'),
        ("-$5", -500, ""),
        ("$-5", -500, ""),
        ("−5", -500, ""),
        ("１２３．５", 12350, ""),
        ("1.2亿", 12_000_000_000, ""),
        ("1,234万", 1_234_000_000, 'thousands = ","'),
        ("0.12345万", 123450, ""),
        ("1,234", None, ""),
        ("1.234", None, ""),
        ("1.234", 123400, 'thousands = ".", decimal = ","'),
        ("¥5", None, ""),
        ("5%", None, ""),
        ("--5", None, ""),
        ("(5", None, ""),
        ("-(5)", None, ""),
        ("5 apples", None, ""),
        ("1.2.3", None, ""),
        ("万", None, ""),
    ],
)
def test_amounts_as_people_write_them(desk: Desk, text: str, minor: int | None, origin: str) -> None:
    more = f", {origin}" if origin else ""
    mapping = MAPPING.replace('amount = "sum"', f'amount = {{ column = "sum"{more} }}')
    accounting = desk.write(f'{HEADER}\n1,r,Won,2021-01-02,,"{text}",USD,\n', mapping=mapping).load()
    balances(accounting)
    assert [deal[5] for deal in desk.deals().values()] == ([] if minor is None else [minor])


def test_yuan(tmp_path: Path) -> None:
    desk = Desk(tmp_path, currency="CNY")
    mapping = MAPPING.replace('amount = "sum"', 'amount = { column = "sum", thousands = "," }')
    written = ["¥1,234万", "￥1,234", "1,234.5元", "RMB 7", "$7"]
    rows = "".join(f'{i},r,Won,2021-01-02,,"{text}",CNY,\n' for i, text in enumerate(written))
    accounting = desk.write(f"{HEADER}\n{rows}", mapping=mapping).load()
    assert {key: deal[5] for key, deal in desk.deals().items()} == {
        "0": 1_234_000_000,
        "1": 123400,
        "2": 123450,
        "3": 700,
    }
    assert [(row["value"], row["reason"]) for row in quarantined(accounting)] == [("$7", "not an amount")]


def test_decimals_go_by_the_currency_of_the_row(desk: Desk) -> None:
    rates = "currency,into,from_on,rate\nUSD,JPY,2020-01-01,100\nUSD,KWD,2020-01-01,0.3\n"
    mapping = (
        MAPPING
        + '[fx_rates]\nfile = "rates.csv"\n[fx_rates.columns]\n'
        + "".join(f'{name} = "{name}"\n' for name in ("currency", "into", "from_on", "rate"))
    )
    body = "".join(
        f"{i},r,Won,2021-01-02,,{amount},{currency},\n"
        for i, (amount, currency) in enumerate([("12", "JPY"), ("1.234", "KWD"), ("1.5", "JPY"), ("1.234", "USD"), ("1", "XYZ"), ("1", "usd")])
    )  # fmt: skip
    accounting = desk.write(f"{HEADER}\n{body}", mapping=mapping, rates=rates).load()
    assert {key: (deal[5], deal[6]) for key, deal in desk.deals().items()} == {
        "0": (12, "JPY"),
        "1": (1234, "KWD"),
    }
    assert [(row["value"], row["reason"]) for row in quarantined(accounting)] == [
        ("1.5", "more decimals than JPY has"), ("1.234", "more decimals than USD has"),
        ("XYZ", "not a currency code (ISO 4217)"), ("usd", "not a currency code (ISO 4217)"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ("EUR,USD,2021-01-02,1.1", ""),
        ("USD,EUR,2020-05-05,0.9", ""),
        ("EUR,CNY,2020-01-01,8\nUSD,CNY,2021-01-02,7", ""),
        ("EUR,USD,2021-01-03,1.1", "no rate from EUR to USD on 2021-01-02"),
        ("EUR,CNY,2020-01-01,8\nUSD,CNY,2021-01-03,7", "no rate from EUR to USD on 2021-01-02"),
        ("EUR,CNY,2020-01-01,8", "no rate from EUR to USD on 2021-01-02"),
        ("EUR,USD,2020-01-01,0", "no rate from EUR to USD on 2021-01-02"),
    ],
)
def test_an_amount_needs_a_rate_by_its_day(desk: Desk, rates: str, reason: str) -> None:
    mapping = (
        MAPPING
        + '[fx_rates]\nfile = "rates.csv"\n[fx_rates.columns]\n'
        + "".join(f'{name} = "{name}"\n' for name in ("currency", "into", "from_on", "rate"))
    )
    euro = ROW.replace("USD", "EUR")
    desk.write(f"{HEADER}\n{euro}", mapping=mapping, rates=f"currency,into,from_on,rate\n{rates}\n")
    accounting = desk.load()
    balances(accounting)
    assert [r["reason"] for r in quarantined(accounting) if r["file"] == "deals.csv"] == (
        [reason] if reason else []
    )
    if not reason:  # the rates stay known
        again = desk.write(f"{HEADER}\n{euro.replace('1,', '2,', 1)}", mapping=MAPPING).load()
        assert again.quarantined == 0
        assert set(desk.deals()) == {"1", "2"}


# Dates and instants


@pytest.mark.parametrize(
    ("text", "day", "origin"),
    [
        ("2026-10-09", date(2026, 10, 9), ""),
        ("2026/10/9", date(2026, 10, 9), ""),
        ("2026.10.9", date(2026, 10, 9), ""),
        ("2026年10月9日", date(2026, 10, 9), ""),
        ("2026年10月09日 23:30", date(2026, 10, 9), ""),
        ("2026-10-09T23:30:00", date(2026, 10, 9), ""),
        ("9.10.2026", date(2026, 10, 9), 'format = "%d.%m.%Y"'),
        ("10/9/2026 11:30 PM", date(2026, 10, 9), 'format = "%m/%d/%Y %I:%M %p"'),
        ("10/9/2026 11:30 PM", date(2026, 10, 9), 'format = "%m/%d/%Y", transform = "day"'),
        ("9.10.2026", None, ""),
        ("2026-02-30", None, ""),
        ("2026年13月1日", None, ""),
        ("20261009", None, ""),
    ],
)
def test_days_as_people_write_them(desk: Desk, text: str, day: date | None, origin: str) -> None:
    more = f", {origin}" if origin else ""
    mapping = MAPPING.replace('close_on = "closed"', f'close_on = {{ column = "closed"{more} }}')
    desk.write(f"{HEADER}\n1,r,Open,2021-01-02,{text},1,USD,\n", mapping=mapping).load()
    assert [deal[4] for deal in desk.deals().values()] == ([] if day is None else [day])


SHANGHAI = ZoneInfo("Asia/Shanghai")
NEW_YORK = ZoneInfo("America/New_York")


@pytest.mark.parametrize("own", ["", "UTC", "America/New_York"])
@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("2026-03-08 02:30:00", None), ("2026-10-09 23:30", None), ("2026-10-09T23:30:15.250", None),
        ("2026-10-09T23:30:00Z", UTC), ("2026-10-09T23:30:00.000+0000", UTC), ("2026-10-09 06:00:00 +08:00", timezone(timedelta(hours=8))),
        ("2026-10-09 20:00:00-05", timezone(timedelta(hours=-5))),
    ],
)  # fmt: skip
def test_instants_become_utc_and_days_the_workspaces(tmp_path: Path, text: str, zone: Any, own: str) -> None:
    desk = Desk(tmp_path, time_zone="Asia/Shanghai")
    stated = f'time_zone = "{own}"\n' if own else ""
    mapping = stated + MAPPING.replace('close_on = "closed"', 'close_on = "closed"\nmodified_at = "closed"')
    desk.write(f"{HEADER}\n1,r,Open,2021-01-02,{text},1,USD,\n", mapping=mapping).load()
    naive = datetime.fromisoformat(text[:19].replace("T", " "))
    naive += timedelta(milliseconds=250) if ".250" in text else timedelta()
    there = naive.replace(tzinfo=zone or ZoneInfo(own or "Asia/Shanghai"))
    if there.astimezone(UTC).astimezone(there.tzinfo) != there or (
        text.startswith("2026-03-08") and own == "America/New_York"
    ):
        there = there.astimezone(UTC).astimezone(there.tzinfo)  # an hour that the clocks left out
    assert only(desk, "modified_at").replace(tzinfo=UTC) == there.astimezone(UTC)
    assert only(desk, "close_on") == there.astimezone(SHANGHAI).date()


def test_a_day_alone_stays_that_day_and_starts_where_the_workspace_is(tmp_path: Path) -> None:
    desk = Desk(tmp_path, time_zone="Asia/Shanghai")
    mapping = 'time_zone = "America/New_York"\n' + MAPPING.replace(
        'close_on = "closed"', 'close_on = "closed"\nmodified_at = "closed"'
    )
    desk.write(f"{HEADER}\n1,r,Open,2021-01-02,2026-10-09,1,USD,\n", mapping=mapping).load()
    assert only(desk, "close_on") == date(2026, 10, 9)
    assert only(desk, "modified_at") == datetime(2026, 10, 8, 16)


# Other kinds of column

EVENTS = """
as_of = 2026-11-10
[deal_events]
file = "events.csv"
[deal_events.columns]
deal_id = "deal"
occurred_at = "at"
field = "what"
seq = "seq"
old = "old"
new = { column = "new", thousands = "," }
currency = "cur"
"""


def test_the_values_of_events_are_read_by_their_field(desk: Desk) -> None:
    rows = [
        ("1", "stage", "Propose", "Close", ""), ("1", "amount", "10.5", '"1,234.50"', ""), ("1", "amount", "", "12", "JPY"),
        ("1", "close_on", "2026-01-02", "2026年3月4日", ""), ("1", "status", "open", "deleted", ""), ("1", "owner", "a", "", ""),
        ("1", "amount", "x", "1", ""), ("1", "amount", "1", "1.5", "JPY"), ("1", "close_on", "", "soon", ""), ("1", "status", "", "gone", ""),
        ("1", "size", "1", "2", ""),
    ]  # fmt: skip
    text = "deal,at,what,seq,old,new,cur\n" + "".join(
        f"{deal},2026-10-0{1 + i % 9} 10:00,{what},{i},{old},{new},{cur}\n"
        for i, (deal, what, old, new, cur) in enumerate(rows)
    )
    accounting = desk.write(mapping=EVENTS, events=text).load()
    balances(accounting)
    assert desk.query('SELECT field, "old", "new" FROM snapshot.deal_events ORDER BY seq') == [
        ("stage", "Propose", "Close"), ("amount", "1050", "123450"), ("amount", None, "12"),
        ("close_on", "2026-01-02", "2026-03-04"), ("status", "open", "deleted"), ("owner", "a", None),
    ]  # fmt: skip
    assert [(row["column"], row["value"]) for row in quarantined(accounting)] == [
        ("old", "x"), ("new", "1.5"), ("new", "soon"), ("new", "gone"), ("what", "size"),
    ]  # fmt: skip


def test_shares_numbers_counts_flags_and_periods(desk: Desk) -> None:
    mapping = """
    as_of = 2026-11-10
    [splits]
    file = "splits.csv"
    columns = { deal_id = "d", rep_id = "r", kind = { constant = "revenue" }, share = "share" }
    [activities]
    file = "acts.csv"
    columns = { activity_id = "id", rep_id = { constant = "r" }, kind = { constant = "call" }, occurred_at = { constant = "2026-01-02" }, held = "held", minutes = { column = "s", transform = "minutes_from_seconds" } }
    [quotas]
    file = "quotas.csv"
    columns = { holder = { constant = "org" }, period = "period", amount = { constant = "1" }, currency = { constant = "USD" } }
    """
    shares = {
        "0.5": 0.5,
        "12%": 0.12,
        "12.5 %": 0.125,
        "100%": 1.0,
        "0.05%": 0.0005,
        "150%": 1.5,
        "-1%": None,
        "half": None,
        "$1": None,
    }
    periods = [
        "2026",
        "2026-10",
        "2026-Q3",
        "2026-W41",
        "FY2026",
        "FY2026-Q4",
        "FY2026-P07",
        "2026-13",
        "2026-Q5",
        "Q3 2026",
        "26",
    ]
    accounting = desk.write(
        mapping=mapping,
        splits="d,r,share\n" + "".join(f'{i},r,"{text}"\n' for i, text in enumerate(shares)),
        acts="id,held,s\n1,true,90\n2,FALSE,3600\n3,,\n4,maybe,1\n5,true,long\n",
        quotas="period\n" + "\n".join(periods),
    ).load()
    balances(accounting)
    assert dict(desk.query("SELECT deal_id, share FROM known_splits")) == pytest.approx(
        {str(i): share for i, share in enumerate(shares.values()) if share is not None}
    )
    assert desk.query("SELECT activity_id, held, minutes FROM known_activities ORDER BY 1") == [
        ("1", True, 2),
        ("2", False, 60),
        ("3", None, None),
    ]
    right = {period for period in periods if period.startswith("FY") or _is_period(period)}
    assert {period for (period,) in desk.query("SELECT period FROM known_quotas")} == right
    assert 0 < len(right) < len(periods)


def _is_period(text: str) -> bool:
    try:
        return bool(Period.parse(text))
    except CoachbookError:
        return False


@pytest.mark.parametrize(
    ("short", "long"),
    [("001D000000IqhSL", "001D000000IqhSLIAZ"), ("0065g00000Ab1Cd", "0065g00000Ab1CdAAJ"), ("001D000000IqhSLIAZ", "001D000000IqhSLIAZ"), ("Alexander Smith", "Alexander Smith"), ("QualificationXX", "QualificationXX")],
)  # fmt: skip
def test_salesforce_ids_get_their_check_sum(desk: Desk, short: str, long: str) -> None:
    """The first pair is Salesforce's own example; the second was worked out by hand from its rule."""
    mapping = MAPPING.replace('deal_id = "id"', 'deal_id = { column = "id", transform = "salesforce_id" }')
    desk.write(f"{HEADER}\n{ROW.replace('1,', f'{short},', 1)}", mapping=mapping).load()
    assert set(desk.deals()) == {long}


def test_rows_repeated_under_new_ids_are_counted_and_loaded(desk: Desk) -> None:
    accounting = desk.write(
        f"{HEADER}\n{ROW}{ROW.replace('1,', '2,', 1)}{ROW.replace('1,', '3,', 1)}{ROW.replace('1,', '4,', 1).replace('first', 'x')}"
    ).load()
    assert (accounting.files[0].loaded, accounting.files[0].repeated) == (4, 2)


# Sheets


def test_a_sheet_is_read_with_its_own_numbers_and_dates(desk: Desk) -> None:
    mapping = (
        MAPPING.replace('"deals.csv"', '"deals.xlsx"')
        .replace('amount = "sum"', 'amount = { column = "sum", thousands = ".", decimal = "," }')
        .replace('close_on = "closed"', 'close_on = { column = "closed", format = "%d.%m.%Y" }')
    )
    rows: list[list[Any]] = [
        HEADER.split(","),
        ["1", "王小明", "Won", date(2021, 1, 2), date(2021, 3, 4), 1234.5, "USD", "=cmd|' /C calc'!A0"],
        [],
        [2, "r", "Won", "2021-01-02", "04.03.2021", "1.234,50", "USD", None],
        ["3", "r", "Wrong", datetime(2021, 1, 2, 10, 30), None, 0.1 + 0.2, "USD"],
        ["4", None, "Open", datetime(2021, 1, 2, 10, 30), None, 0.1 + 0.2, "USD"],
        ["a footer"],
    ]
    write_sheets(desk.files / "deals.xlsx", Export=rows, Other=[["x"]])
    accounting = desk.write(mapping=mapping).load()
    balances(accounting)
    assert desk.deals() == {
        "1": ("=cmd|' /C calc'!A0", "王小明", "won", date(2021, 1, 2), date(2021, 3, 4), 123450, "USD"),
        "2": (None, "r", "won", date(2021, 1, 2), date(2021, 3, 4), 123450, "USD"),
        "4": (None, None, "open", date(2021, 1, 2), None, 30, "USD"),
    }
    assert [(row["line"], row["column"]) for row in quarantined(accounting)] == [("5", "state"), ("7", "")]
    desk.write(mapping=f'sheet = "Export"\n{mapping}').load()
    with pytest.raises(NotFound, match=r"no sheet “Exports”\. There is: Export"):
        desk.write(mapping=f'sheet = "Exports"\n{mapping}').load()


def test_a_far_cell_does_not_take_all_memory(desk: Desk) -> None:
    path = write_sheets(desk.files / "deals.xlsx", A=[HEADER.split(",")])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(
        b"</sheetData>", b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    with pytest.raises(Invalid, match="1048576 rows and 16384 columns"):
        desk.write(mapping=MAPPING.replace("deals.csv", "deals.xlsx")).load()


@pytest.mark.parametrize("raw", [b"", b"no sheet", b"PK\x03\x04 no zip either"])
@pytest.mark.parametrize("name", ["deals.xlsx", "deals.parquet"])
def test_what_is_not_what_its_name_says_is_refused(desk: Desk, raw: bytes, name: str) -> None:
    (desk.files / name).write_bytes(raw)
    with pytest.raises(CoachbookError, match="cannot be read"):
        desk.write(mapping=MAPPING.replace("deals.csv", name)).load()
    assert desk.current == ""


# Parquet


def test_parquet_keeps_its_types(desk: Desk) -> None:
    table = pa.table(
        {
            "id": ["1", "2", "3"],
            "who": ["王小明", "", None],
            "state": ["Won", "Lost", "Wrong"],
            "made": pa.array([date(2021, 1, 2)] * 3),
            "closed": pa.array([datetime(2021, 3, 4, 20, tzinfo=UTC), None, None], pa.timestamp("us", "UTC")),
            "sum": [1234.5, 0.25, 3.0],
            "cur": ["USD"] * 3,
            "note": pa.array([7, None, 9], pa.int64()),
        }
    )
    pq.write_table(table, desk.files / "deals.parquet")
    mapping = (
        MAPPING.replace('"deals.csv"', '"deals.parquet"')
        .replace('amount = "sum"', 'amount = { column = "sum", thousands = ".", decimal = "," }')
        .replace('close_on = "closed"', 'close_on = "closed"\nmodified_at = "closed"')
    )
    accounting = desk.write(mapping=mapping).load()
    balances(accounting)
    assert desk.deals() == {
        "1": ("7", "王小明", "won", date(2021, 1, 2), date(2021, 3, 4), 123450, "USD"),
        "2": (None, None, "lost", date(2021, 1, 2), None, 25, "USD"),
    }
    assert [(row["line"], row["column"], row["value"]) for row in quarantined(accounting)] == [
        ("4", "state", "Wrong")
    ]


def test_the_same_rows_in_three_kinds_of_file_are_the_same_data(tmp_path: Path) -> None:
    rows = [
        [
            str(i),
            f"r{i % 3}",
            ["Won", "Lost", "Open"][i % 3],
            "2021-01-02",
            "2021-03-04",
            f"{i}.50",
            "USD",
            f"n{i}",
        ]
        for i in range(200)
    ]
    found = []
    for name in ("csv", "xlsx", "parquet"):
        (tmp_path / name).mkdir()
        desk = Desk(tmp_path / name)
        text = "".join(",".join(row) + "\n" for row in rows)
        if name == "csv":
            desk.write(f"{HEADER}\n{text}")
        elif name == "xlsx":
            write_sheets(desk.files / "deals.xlsx", A=[HEADER.split(","), *rows])  # type: ignore[list-item]
        else:
            pq.write_table(
                pa.table(dict(zip(HEADER.split(","), map(list, zip(*rows, strict=True)), strict=True))),
                desk.files / "deals.parquet",
            )
        desk.write(mapping=MAPPING.replace("deals.csv", f"deals.{name}")).load()
        found.append((desk.current, desk.deals()))
    assert found[0] == found[1] == found[2]
    assert len(found[0][1]) == 200


# Several files, folders and archives


def zipped(path: Path, folder: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}{file.name}")
    return path


def test_a_folder_an_archive_and_a_file_together(desk: Desk, tmp_path: Path) -> None:
    desk.write(f"{HEADER}\n{ROW}")
    second = Path(shutil.copytree(desk.files, tmp_path / "second"))
    (second / "deals.csv").write_text(f"{HEADER}\n{ROW.replace('1,', '2,', 1)}")
    archive = zipped(tmp_path / "B.zip", second, inside="export/")
    third = Path(shutil.copytree(second, tmp_path / "third"))
    (third / "deals.csv").write_text(f"{HEADER}\n{ROW.replace('1,', '3,', 1)}x\n")
    accounting = sources.import_paths(desk.workspace, [desk.files, archive, third / "deals.csv"])
    balances(accounting)
    assert [account.file for account in accounting.files] == [
        "files/deals.csv",
        "B.zip/deals.csv",
        "deals.csv",
    ]
    assert set(desk.deals()) == {"1", "2", "3"}


def test_patterns_name_several_files(desk: Desk) -> None:
    mapping = MAPPING.replace('"deals.csv"', '["deals-*.csv", "more/*.csv"]')
    (desk.files / "more").mkdir()
    (desk.files / "more" / "late.csv").write_text(f"{HEADER}\n{ROW.replace('first', 'late')}")
    for number in (1, 2):
        (desk.files / f"Deals-{number}.CSV").write_text(f"{HEADER}\n{ROW.replace('1,', f'{number},', 1)}")
    accounting = desk.write(mapping=mapping).load()
    balances(accounting)
    assert [a.file for a in accounting.files] == ["Deals-1.CSV", "Deals-2.CSV", "more/late.csv"]
    assert {key: deal[0] for key, deal in desk.deals().items()} == {"1": "late", "2": "first"}
    with pytest.raises(NotFound, match=r"odd-\*\.csv"):
        desk.write(mapping=MAPPING.replace("deals.csv", "odd-*.csv")).load()


def test_only_the_files_that_are_named_are_read(desk: Desk) -> None:
    mapping = (
        MAPPING.replace('"deals.csv"', '"deals*.csv"')
        + '[reps]\nfile = "people.csv"\ncolumns = { rep_id = "id", name = "id", role = { constant = "rep" } }\n'
    )
    desk.write(
        f"{HEADER}\n{ROW}",
        mapping=mapping,
        deals2=f"{HEADER}\n{ROW.replace('1,', '2,', 1)}",
        people="id\nr\n",
        odd="a,b\n1,2\n",
    )
    sources.import_paths(desk.workspace, [desk.files / "deals2.csv"])
    assert set(desk.deals()) == {"2"}
    with pytest.raises(NotFound, match=r"odd\.csv.*a, b"):
        sources.import_paths(desk.workspace, [desk.files / "odd.csv"])


@pytest.mark.parametrize("name", ["../evil.csv", "/etc/passwd", "a/../../evil.csv", ""])
def test_a_mapping_reads_nothing_outside_its_folder(desk: Desk, name: str) -> None:
    with pytest.raises(Invalid, match="inside the folder"):
        desk.write(f"{HEADER}\n{ROW}", mapping=MAPPING.replace("deals.csv", name)).load()


def archive_of(path: Path, *entries: tuple[zipfile.ZipInfo | str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mapping.toml", MAPPING)
        archive.writestr("deals.csv", f"{HEADER}\n{ROW}")
        for name, content in entries:
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)
    return path


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (("../evil.csv", b"x"), "leads out"),
        (("/evil.csv", b"x"), "leads out"),
        (("..\\evil.csv", b"x"), "leads out"),
        (("C:/evil.csv", b"x"), "leads out"),
        ((link("evil.csv"), b"/etc/passwd"), "is a link"),
        (("inner.zip", b"PK"), "is an archive"),
        (("bomb.csv", b"0" * 20 * 2**20), "grow too much"),
    ],
    ids=["up", "absolute", "backslash", "drive", "link", "nested", "bomb"],
)
def test_an_archive_that_does_harm_is_refused(desk: Desk, tmp_path: Path, entry: Any, said: str) -> None:
    path = archive_of(tmp_path / "a.zip", entry)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(Invalid, match=said):
        sources.import_paths(desk.workspace, [path])
    assert [p for p in sorted(tmp_path.rglob("*")) if p not in before and ".coachbook" not in p.parts] == []
    assert desk.current == ""


def test_an_archive_with_too_many_files_is_refused(desk: Desk, tmp_path: Path) -> None:
    path = archive_of(tmp_path / "a.zip", *((f"{i}.csv", b"x") for i in range(1001)))
    with pytest.raises(Invalid, match="1003 files"):
        sources.import_paths(desk.workspace, [path])


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-30], lambda raw: raw[:40] + b"\xff\xff\xff" + raw[43:], lambda _raw: b""]
)
def test_a_damaged_archive_is_refused(desk: Desk, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = archive_of(tmp_path / "a.zip")
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CoachbookError, match=r"a\.zip"):
        sources.import_paths(desk.workspace, [path])


def test_names_from_a_chinese_system_are_read(desk: Desk, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mapping.toml", MAPPING.replace("deals.csv", "*.csv"))
        archive.writestr("XXXXXX.csv", f"{HEADER}\n{ROW}")
    path.write_bytes(path.read_bytes().replace(b"XXXXXX", "商机二".encode("gb18030")))
    accounting = sources.import_paths(desk.workspace, [path])
    assert [account.file for account in accounting.files] == ["商机二.csv"]


# Trying, and successive exports


def test_a_dry_run_shows_everything_and_changes_nothing(desk: Desk) -> None:
    desk.write(f"{HEADER}\n{ROW}").load()
    before = desk.current, sorted(desk.workspace.folder.rglob("*"))
    desk.write(f"{HEADER}\n{ROW}{ROW.replace('1,', '2,', 1).replace('first', '=1+1')}x\n")
    tried = desk.load(dry_run=True)
    balances_without_file = [(a.rows, a.loaded, a.quarantined, a.unchanged) for a in tried.files]
    assert balances_without_file == [(3, 2, 1, 1)]
    plain = tried.to_dict()
    assert (plain["snapshot"], plain["dry_run"], plain["quarantine"]) == (None, True, None)
    assert [row["name"] for row in plain["sample"]["deals"]] == ["first", "=1+1"]
    assert [(fault["line"], fault["column"]) for fault in plain["faults"]] == [(4, "")]
    assert (desk.current, sorted(desk.workspace.folder.rglob("*"))) == before
    real = desk.load()
    assert [(a.rows, a.loaded, a.quarantined, a.unchanged) for a in real.files] == balances_without_file


def test_folders_with_days_of_their_own_may_come_in_any_order(tmp_path: Path) -> None:
    stages = {"2026-09-01": "Qualify", "2026-09-03": "Propose", "2026-09-08": "Close"}
    mapping = MAPPING.replace('name = "note"', 'stage = "note"')
    folders = []
    for day, stage in stages.items():
        folder = tmp_path / day
        folder.mkdir()
        (folder / "mapping.toml").write_text(mapping.replace("2021-11-10", day), encoding="utf-8")
        (folder / "deals.csv").write_text(f"{HEADER}\n{ROW.replace('Won', 'Open').replace('first', stage)}")
        folders.append(folder)
    found = []
    for number, order in enumerate([[0, 1, 2], [2, 0, 1], [1, 2, 0]]):
        (tmp_path / f"desk{number}").mkdir()
        desk = Desk(tmp_path / f"desk{number}")
        if number == 0:
            accounting = sources.import_paths(desk.workspace, folders)
            assert [(a.file, a.loaded, a.dropped) for a in accounting.files] == [
                (f"{day}/deals.csv", 1, {}) for day in stages
            ]
        else:
            for i in order:
                sources.import_paths(desk.workspace, [folders[i]])
        assert Snapshots(desk.workspace.store).current().as_of == date(2026, 9, 8)
        found.append(sorted(desk.query("SELECT stage, _first, _last FROM snapshot.deals")))
    assert found[0] == found[1] == found[2]
    assert {stage for stage, *_days in found[0]} == set(stages.values())


# The command line


def test_the_command_takes_several_paths_and_tries(desk: Desk, tmp_path: Path, run_cli: RunCli) -> None:
    desk.write(CHINESE.encode("gb18030"))
    archive = zipped(tmp_path / "B.zip", desk.files)
    tried = run_cli("import", archive, "--dry-run", "--workspace", desk.workspace.folder)
    assert tried.returncode == 0
    assert "第一单" in tried.stdout
    assert "GB18030" in tried.stderr
    assert desk.current == ""
    done = run_cli("import", desk.files, archive, "--workspace", desk.workspace.folder)
    assert done.returncode == 0, done.stderr
    assert desk.current
    broken = run_cli("import", desk.files / "nothing.csv", "--workspace", desk.workspace.folder)
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr


def test_blank_templates_can_be_filled_and_imported(tmp_path: Path, run_cli: RunCli) -> None:
    assert run_cli("init", tmp_path / "team", "--templates").returncode == 0
    templates = tmp_path / "team" / "templates"
    with (templates / "deals.csv").open(encoding="utf-8-sig", newline="") as file:
        (header,) = csv.reader(file)
    row = {
        "deal_id": "D1",
        "status": "open",
        "created_on": "2026-01-02",
        "amount": "12.50",
        "currency": "USD",
    }
    with (templates / "deals.csv").open("a", encoding="utf-8", newline="") as file:
        csv.DictWriter(file, header).writerow(row)
    done = run_cli("import", templates, "--workspace", tmp_path / "team", "--as-of", "2026-02-01")
    assert done.returncode == 0, done.stderr
    with Snapshots(tmp_path / "team" / ".coachbook").current().connect() as connection:
        assert connection.execute("SELECT deal_id, amount_minor FROM deals").fetchall() == [("D1", 1250)]
