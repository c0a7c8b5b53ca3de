"""Slices of any scope: opened as files, they hold what belongs to the scope and no row of anybody else."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
import pytest

from coachbook.access import COMPANY, Reader, Scope
from coachbook.errors import NotFound
from coachbook.model.tables import TABLES
from coachbook.warehouse import Snapshots, slices
from coachbook.warehouse.slices import Slice

AUGUST, OCTOBER = date(2026, 8, 31), date(2026, 10, 31)
SETTINGS = json.dumps({"currency": "USD", "time_zone": "UTC"})
PEOPLE = {
    "dora": "Dora Deer", "max": "Max Marten", "mia": "Mia Mole", "ann": "Ann Anteater", "bob": "Bob Badger",
    "cai": "Cai Caiman", "zoe": "Zoe Zebra",
}  # fmt: skip
"""Dora leads Max and Mia. Ann went from Max's east to Mia's west on 1 October; Bob left the east in September."""
Row = dict[str, Any]
_names = count()


def _rep(rep: str, team: str | None, manager: str | None, role: str = "rep", **more: Any) -> Row:
    return {
        "rep_id": rep,
        "name": PEOPLE[rep],
        "team_id": team,
        "team": team,
        "manager": manager,
        "role": role,
        **more,
    }


ROSTER = [
    _rep("dora", None, None, "director"),
    _rep("max", "east", "dora", "manager"),
    _rep("mia", "west", "dora", "manager"),
    _rep("ann", "east", "max"),
    _rep("ann", "west", "mia", effective_on=date(2026, 10, 1)),
    _rep("bob", "east", "max", end_on=date(2026, 9, 15)),
    _rep("cai", "west", "mia"),
    _rep("zoe", "south", None),
]


def _deal(deal: str, rep: str | None, status: str, close: str | None = None) -> Row:
    close_on = date.fromisoformat(f"2026-{close}") if close else None
    return {
        "deal_id": deal, "name": f"{deal} of {PEOPLE.get(rep or '', 'nobody')}", "rep_id": rep, "status": status,
        "created_on": date(2026, 6, 1), "close_on": close_on, "stage": "talk", "amount_minor": 100, "currency": "USD",
    }  # fmt: skip


FIRST = [
    _deal("D1", "ann", "open"), _deal("D2", "ann", "open"), _deal("D3", "bob", "won", "08-05"), _deal("D4", "cai", "open"),
    _deal("D5", "cai", "open"), _deal("D6", "zoe", "won", "07-01"), _deal("D7", "ann", "open"), _deal("D8", None, "open"),
    _deal("D9", "cai", "won", "08-20"), _deal("DX", "ann", "open"),
]  # fmt: skip
LATER = [
    _deal("D5", "cai", "lost", "10-05"),
    _deal("D7", "cai", "open"),
    {**_deal("D9", "zoe", "won", "08-20"), "name": "D9"},
    {**_deal("DX", "ann", "won", "10-01"), "modified_at": "2026-10-01 12:00"},
]
SEPTEMBER = [_deal("D1", "ann", "won", "09-10")]
"""What exports of August, September and October showed anew: D7 went from Ann to Cai, D9, won by Cai, to Zoe, and
Ann won DX on her first day in the west."""


SPLITS: list[Row] = [
    {"deal_id": "D4", "rep_id": "ann", "kind": "revenue", "share": 0.25},
    {"deal_id": "D4", "rep_id": "zoe", "kind": "overlay", "share": 0.5},
]
"""A quarter of Cai's D4 is Ann's; Zoe's overlay does not count."""


@dataclass(frozen=True)
class Firm:
    """A store with a snapshot and facts in it."""

    store: Path

    def cut(
        self, scope: Scope, reader: Reader = "manager", *, as_of: date = OCTOBER, named: bool = False
    ) -> Path:
        return slices.cut(
            Snapshots(self.store).current(), self.store / "facts.duckdb", self.store / f"slice{next(_names)}.duckdb",
            scope=scope, as_of=as_of, reader=reader, named=named, about={"scope": scope.kind},
        )  # fmt: skip


def firm(store: Path, exports: dict[date, dict[str, list[Row]]]) -> Firm:
    with Snapshots(store).drafting() as draft:
        for day, tables in exports.items():
            for table, rows in tables.items():
                name = f"{table}_{day:%Y%m%d}"
                columns = ", ".join(f'"{c.name}" {c.kind.duckdb}' for c in TABLES[table].columns)
                draft.connection.execute(f"CREATE TEMP TABLE {name} ({columns})")
                for row in rows:
                    marks = ", ".join(f"${key}" for key in row)
                    draft.connection.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({marks})", row)
                draft.take(table, name, source="crm", as_of=day)
        draft.publish(as_of=max(exports), settings=SETTINGS)
    _facts(store / "facts.duckdb", [rep for rep in PEOPLE if rep not in ("dora", "max", "mia")])
    return Firm(store)


def _facts(path: Path, reps: list[str]) -> None:
    """Facts that name whose they are."""
    with closing(duckdb.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE scopes (kind VARCHAR, id VARCHAR, name VARCHAR, team_id VARCHAR, body VARCHAR)"
        )
        for kind, id_ in [
            *(("rep", rep) for rep in reps),
            ("team", "east"),
            ("team", "west"),
            ("tree", "mia"),
            ("org", ""),
        ]:
            told = json.dumps({"page": PEOPLE.get(id_, id_)})
            connection.execute(
                "INSERT INTO scopes VALUES (?, ?, ?, ?, ?)", [kind, id_, id_, f"team of {id_}", told]
            )
        connection.execute("CREATE VIEW pages AS SELECT kind, id, body FROM scopes")
        connection.execute(
            "CREATE TABLE everyone AS SELECT '{\"all\": true}' AS body, true AS open UNION ALL SELECT '{\"all\": false}', false"
        )
        connection.execute(
            "CREATE TABLE touches AS SELECT 'D' || unnest(string_split('1 2 3 4 5 6 7 8 9 X', ' ')) AS deal_id, DATE '2026-09-30' AS day"
        )
        connection.execute(
            "CREATE TABLE peers AS SELECT unnest($ids) AS rep_id, unnest($names) AS name, 'team of ' || rep_id AS team_id, "
            "0.5 AS value, 0.4 AS low, 0.6 AS high, 9 AS n",
            {"ids": reps, "names": [PEOPLE.get(rep, rep) for rep in reps]},
        )


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Firm:
    exports = {
        AUGUST: {"reps": ROSTER, "deals": FIRST, "splits": SPLITS},
        date(2026, 9, 30): {"deals": SEPTEMBER},
        OCTOBER: {"deals": LATER},
    }
    return firm(tmp_path_factory.mktemp("zoo"), exports)


def tables(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(duckdb.connect(path, read_only=True)) as connection:
        names = connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()
        return {name: connection.execute(f'FROM "{name}"').fetchall() for (name,) in names}


def column(path: Path, table: str, name: str) -> list[Any]:
    with closing(duckdb.connect(path, read_only=True)) as connection:
        return [
            value
            for (value,) in connection.execute(f'SELECT DISTINCT {name} FROM "{table}" ORDER BY 1').fetchall()
        ]


def whose(path: Path, *left_out: str) -> set[str]:
    """Everybody whose name or id stands anywhere in the file."""
    leaves = [
        str(cell)
        for table, rows in tables(path).items()
        if table not in left_out
        for row in rows
        for cell in row
    ]
    return {rep for rep, name in PEOPLE.items() if any(leaf == rep or name in leaf for leaf in leaves)}


SCOPES = [
    (Scope("rep", "ann"), "D1 D2 DX", "D1 D2 D7 DX", {"ann", "max", "mia"}),
    (Scope("rep", "bob"), "D3", "D3", {"bob", "max"}),
    (Scope("rep", "cai"), "D4 D5 D7 D9", "D4 D5 D7 D9", {"cai", "mia"}),
    (Scope("rep", "max"), "", "", {"max", "dora"}),
    (Scope("team", "east"), "D1 D3", "D1 D2 D3 D7 DX", {"ann", "bob", "max", "dora"}),
    (Scope("team", "west"), "D2 D4 D5 D7 D9 DX", "D2 D4 D5 D7 D9 DX", {"ann", "cai", "mia", "dora"}),
    (Scope("tree", "max"), "D3", "D3", {"bob", "max", "dora"}),
    (Scope("tree", "mia"), "D1 D2 D4 D5 D7 D9 DX", "D1 D2 D4 D5 D7 D9 DX", {"ann", "cai", "mia", "dora", "max"}),
    (Scope("tree", "dora"), "D1 D2 D3 D4 D5 D7 D9 DX", "D1 D2 D3 D4 D5 D7 D9 DX", {"ann", "bob", "cai", "max", "mia", "dora"}),
    (Scope("tree", "cai"), "D4 D5 D7 D9", "D4 D5 D7 D9", {"cai", "mia"}),
    (COMPANY, "D1 D2 D3 D4 D5 D6 D7 D8 D9 DX", "D1 D2 D3 D4 D5 D6 D7 D8 D9 DX", set(PEOPLE)),
    (Scope("rep", "nobody"), "", "", set()),
    (Scope("team", "it's"), "", "", set()),
]  # fmt: skip


@pytest.mark.parametrize(
    ("scope", "deals", "past", "people"),
    SCOPES,
    ids=lambda v: f"{v.kind}-{v.id}" if isinstance(v, Scope) else "",
)
def test_a_slice_holds_the_rows_of_its_scope_and_nobody_elses(
    scope: Scope, deals: str, past: str, people: set[str], zoo: Firm
) -> None:
    path = zoo.cut(scope)
    assert column(path, "deals", "deal_id") == deals.split()
    assert column(path, "touches", "deal_id") == deals.split()
    assert column(path, "history", "deal_id") == past.split()
    assert set(column(path, "visits", "deal_id")) <= set(past.split())
    assert whose(path, "peers") == people


def test_a_reps_file_for_the_rep_names_nobody_but_who_leads(zoo: Firm) -> None:
    for rep, leaders in {"ann": {"max", "mia"}, "cai": {"mia"}, "zoe": set[str]()}.items():
        path = zoo.cut(Scope("rep", rep), "rep")
        assert whose(path) == {rep, *leaders}
        raw = path.read_bytes()
        assert not [name for other, name in PEOPLE.items() if other != rep and name.encode() in raw]
        assert column(path, "everyone", "body") == ['{"all": false}']
    assert whose(zoo.cut(Scope("rep", "ann"), "rep", named=True)) == {
        "ann",
        "bob",
        "cai",
        "zoe",
        "max",
        "mia",
    }


def test_a_deal_handed_over_is_told_by_each_for_the_days_it_was_theirs(zoo: Firm) -> None:
    def states(rep: str) -> list[tuple[Any, ...]]:
        with closing(duckdb.connect(zoo.cut(Scope("rep", rep)), read_only=True)) as connection:
            return connection.execute(
                "SELECT rep_id, owner_id, from_on, until_on FROM history WHERE deal_id = 'D7' ORDER BY from_on"
            ).fetchall()

    assert states("ann") == [("ann", "ann", date(2026, 6, 1), OCTOBER)]
    assert states("cai") == [("cai", "cai", OCTOBER, None)]


def test_a_part_in_anothers_deal_is_told_and_the_deal_is_not(zoo: Firm) -> None:
    parts = {rep: tables(zoo.cut(Scope("rep", rep)))["credits"] for rep in ("ann", "cai", "zoe")}
    told = {rep: {row[0]: (row[1], row[3]) for row in rows} for rep, rows in parts.items()}
    assert told["ann"] == dict.fromkeys(("D1", "D2", "DX"), ("ann", 100)) | {"D4": ("ann", 25)}
    assert told["cai"] == dict.fromkeys(("D5", "D7", "D9"), ("cai", 100)) | {"D4": ("cai", 75)}
    assert told["zoe"] == {"D6": ("zoe", 100)}


def test_whose_a_deal_is_by_now_is_not_told(zoo: Firm) -> None:
    """Cai won D9, Zoe has it: the credit is Cai's, and the page does not say whose it is."""
    assert column(zoo.cut(Scope("rep", "cai")), "deals", "owner_id") == ["cai", None]
    assert "D9" not in column(zoo.cut(Scope("rep", "zoe")), "deals", "deal_id")
    assert "zoe" in column(zoo.cut(COMPANY), "deals", "owner_id")


def test_the_scope_is_that_of_the_as_of_day(zoo: Firm) -> None:
    september = date(2026, 9, 30)
    assert column(zoo.cut(Scope("tree", "max"), as_of=september), "deals", "deal_id") == [
        "D1",
        "D2",
        "D3",
        "D7",
        "DX",
    ]
    assert column(zoo.cut(Scope("tree", "mia"), as_of=september), "deals", "deal_id") == ["D4", "D5", "D9"]
    assert column(zoo.cut(Scope("team", "west"), as_of=september), "deals", "deal_id") == ["D4", "D5", "D9"]
    assert column(zoo.cut(Scope("team", "east"), as_of=september), "roster", "rep_id") == [
        "ann",
        "bob",
        "max",
    ]


def test_a_win_on_the_first_day_in_a_team_is_that_teams(zoo: Firm) -> None:
    with closing(duckdb.connect(zoo.cut(Scope("team", "west")), read_only=True)) as connection:
        states = connection.execute(
            "SELECT status, from_on FROM history WHERE deal_id = 'DX' ORDER BY nr"
        ).fetchall()
    assert states[-1] == ("won", date(2026, 10, 1))


def test_a_page_is_the_scopes_own(zoo: Firm) -> None:
    pages = {
        scope: Slice.read(zoo.cut(scope)).page
        for scope in (Scope("rep", "ann"), Scope("tree", "mia"), COMPANY, Scope("tree", "max"))
    }
    assert list(pages.values()) == [{"page": "Ann Anteater"}, {"page": "Mia Mole"}, {"page": ""}, {}]


def test_a_slice_says_whether_it_is_whole(zoo: Firm) -> None:
    assert Slice.read(zoo.cut(COMPANY)).about == {"scope": "org", "detailed": True}


def test_what_is_there_is_not_cut_again(zoo: Firm, tmp_path: Path) -> None:
    target = tmp_path / "kept.duckdb"
    target.write_bytes(b"kept")
    snapshot, facts = Snapshots(zoo.store).current(), zoo.store / "facts.duckdb"
    about: dict[str, Any] = {}
    slices.cut(
        snapshot, facts, target, scope=COMPANY, as_of=OCTOBER, reader="manager", named=False, about=about
    )
    assert target.read_bytes() == b"kept"


def test_of_more_than_five_hundred_people_there_are_open_deals_and_no_past(tmp_path: Path) -> None:
    reps = [
        {"rep_id": f"r{n:03}", "name": f"Name {n}", "team_id": "t" if n < 500 else "u", "role": "rep"}
        for n in range(501)
    ]
    deals = [
        _deal(f"D{n}", f"r{n:03}", "open" if n % 2 else "won", None if n % 2 else "08-05")
        for n in range(0, 501, 5)
    ]
    big = firm(tmp_path, {AUGUST: {"reps": reps, "deals": deals}})
    whole, team = (big.cut(scope, as_of=AUGUST) for scope in (COMPANY, Scope("team", "t")))
    assert [Slice.read(path).about["detailed"] for path in (whole, team)] == [False, True]
    assert (column(whole, "deals", "status"), column(team, "deals", "status")) == (["open"], ["open", "won"])
    assert len(column(whole, "deals", "deal_id")) == 50
    assert len(column(team, "deals", "deal_id")) == 100
    assert [len(tables(path)["roster"]) for path in (whole, team)] == [501, 500]
    assert [len(tables(path)["history"]) > 0 for path in (whole, team)] == [False, True]
    assert tables(whole)["visits"] == []
    assert column(whole, "credits", "status") == ["open"]


# One connection stays open for slices of the same snapshot


def test_slices_cut_at_once_are_those_cut_one_by_one(zoo: Firm) -> None:
    scopes = [scope for scope, *_ in SCOPES] * 3
    with ThreadPoolExecutor(8) as threads:
        at_once = list(threads.map(zoo.cut, scopes))
    one_by_one = {scope: in_order(zoo.cut(scope)) for scope in set(scopes)}
    assert [in_order(path) for path in at_once] == [one_by_one[scope] for scope in scopes]


def in_order(path: Path) -> dict[str, list[str]]:
    return {name: sorted(map(repr, rows)) for name, rows in tables(path).items()}


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_slice_that_cannot_be_written_leaves_nothing_behind_and_spoils_no_other(tmp_path: Path) -> None:
    own = firm(tmp_path, {OCTOBER: {"reps": ROSTER, "deals": FIRST}})
    before = in_order(own.cut(COMPANY))
    there = set(tmp_path.iterdir())
    for size in (0, 20_000, 60_000):
        with files_no_longer_than(size), pytest.raises(duckdb.Error):
            own.cut(COMPANY)
        assert set(tmp_path.iterdir()) == there
    assert in_order(own.cut(COMPANY)) == before


def test_of_a_pruned_snapshot_nothing_more_is_cut(zoo: Firm, tmp_path: Path) -> None:
    shutil.copytree(zoo.store, tmp_path / "store")
    gone = Firm(tmp_path / "store")
    gone.cut(COMPANY)
    snapshot = Snapshots(gone.store).current()
    snapshot.path.unlink()
    for as_of in (OCTOBER, AUGUST):
        with pytest.raises(NotFound, match=snapshot.id):
            slices.cut(
                snapshot, gone.store / "facts.duckdb", tmp_path / "late.duckdb",
                scope=COMPANY, as_of=as_of, reader="manager", named=False, about={},
            )  # fmt: skip


# Where rows lie


def test_whoever_is_not_on_the_roster_gets_own_deals_alone(tmp_path: Path) -> None:
    deals = [_deal("D1", "ghost", "open"), _deal("D2", "phantom", "open"), _deal("D3", None, "open"), _deal("D4", "cai", "open")]  # fmt: skip
    haunted = firm(tmp_path, {OCTOBER: {"reps": ROSTER, "deals": deals}})
    for rep, own in {"ghost": ["D1"], "phantom": ["D2"], "nobody": [], "cai": ["D4"]}.items():
        path = haunted.cut(Scope("rep", rep))
        assert [column(path, table, "deal_id") for table in ("deals", "history", "credits")] == [own] * 3


def test_the_rows_of_a_managers_people_lie_together(zoo: Firm) -> None:
    with closing(Snapshots(zoo.store).current().connect()) as connection:
        seats = dict(connection.execute("SELECT rep_id, seat FROM seats").fetchall())
        for table in ("deal_state", "deal_history", "stage_visits", "credits"):
            rows = connection.execute(f"SELECT rep_id, seat FROM {table}").fetchall()
            assert rows == sorted(rows, key=lambda row: row[1])
            assert all(seat == seats.get(rep, 0) for rep, seat in rows)
    assert seats.keys() == PEOPLE.keys()
    for people in ("ann cai", "bob", "ann bob cai max mia"):
        taken = sorted(seats[rep] for rep in people.split())
        assert taken == list(range(taken[0], taken[0] + len(taken)))
