"""Damaged files of every kind: an account that adds up, recounted by another reader, or one clear refusal."""

from __future__ import annotations

import io
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from coachbook import sources
from coachbook.catalogue import shipped
from coachbook.errors import CoachbookError
from coachbook.settings import Settings, Workspace
from coachbook.sources import Accounting
from coachbook.sources.mapping import FILE
from coachbook.warehouse import Snapshots
from tests.oracles.accounts import recounted
from tests.sheets import write_sheets

DATA = Path(__file__).parent / "data"
PRESETS = ("salesforce", "salesforce_report", "hubspot", "fxiaoke", "xiaoshouyi", "regional_sales")
KEPT_LINES = 40
"""Of each file, so that a mutation takes little time."""
PUBLISHED = 5
"""One in so many is published, the others are tried, which is quicker and must change nothing."""
SPLICES = [
    b'"', b"\n", b"\r", b"\r\n\r\n", b",", b";", b"\t", b"\0", b"\x1b[31m", b"\x07", b"\xff", b"\xef\xbb\xbf", b"\xe7\x8e", "王".encode("gb18030"),
    b"=cmd|' /C calc'!A0", b"@SUM(1)", b"'; DROP TABLE deals; --", b"<script>", b"99999999999999999999", b"1e999", b"-0", b"NaN",
    b"9999-12-31", b"0000-00-00", b"2026-13-45T99:99", "¥1,234万亿".encode(), b"%", b"((1))", "\u202e\u200b".encode(), b"x" * 300_000,
]  # fmt: skip


def cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def splice(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + rng.choice(SPLICES) + raw[at:]


def flip(raw: bytes, rng: random.Random) -> bytes:
    flipped = bytearray(raw)
    for _time in range(rng.randrange(1, 6)):
        if flipped:
            flipped[rng.randrange(len(flipped))] ^= 1 << rng.randrange(8)
    return bytes(flipped)


def shuffle(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    rng.shuffle(lines)
    return b"".join(lines)


def repeat(raw: bytes, rng: random.Random) -> bytes:
    lines = raw.splitlines(keepends=True)
    return raw + b"".join(rng.choices(lines, k=5)) if lines else raw


def drop_column(raw: bytes, rng: random.Random) -> bytes:
    rows = [line.split(b",") for line in raw.split(b"\n")]
    at = rng.randrange(max(map(len, rows)))
    return b"\n".join(b",".join(row[:at] + row[at + 1 :]) for row in rows)


def swap_columns(raw: bytes, rng: random.Random) -> bytes:
    rows = [line.split(b",") for line in raw.split(b"\n")]
    a, b = (rng.randrange(max(map(len, rows))) for _end in range(2))
    for row in rows[1:]:
        if max(a, b) < len(row):
            row[a], row[b] = row[b], row[a]
    return b"\n".join(map(b",".join, rows))


def recode(raw: bytes, rng: random.Random) -> bytes:
    text = raw.decode("utf-8-sig", "replace")
    return text.encode(rng.choice(["utf-8-sig", "utf-16", "utf-16-le", "gb18030", "utf-32"]), "replace")


def redelimit(raw: bytes, rng: random.Random) -> bytes:
    return raw.replace(b",", rng.choice([b";", b"\t", b"|", b",,", b":"]))


def strip(raw: bytes, rng: random.Random) -> bytes:
    return raw.split(b"\n")[0] + b"\n" if rng.random() < 0.7 else b""


Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: list[Damage] = [
    cut,
    splice,
    splice,
    flip,
    flip,
    shuffle,
    repeat,
    drop_column,
    swap_columns,
    recode,
    redelimit,
    strip,
]


class Bench:
    """A workspace with something in it, and a preset's files, cut short, to be damaged one at a time."""

    def __init__(self, folder: Path, name: str) -> None:
        self.preset = "" if name == "regional_sales" else name.removesuffix("_report")
        self.workspace = Workspace.init(
            folder / "workspace",
            settings=Settings(currency="CNY" if name in ("fxiaoke", "xiaoshouyi") else "USD"),
        )
        self.whole = folder / "whole"
        self.whole.mkdir()
        for path in (shipped("sample_data") if name == "regional_sales" else DATA).joinpath(name).iterdir():
            if path.suffix in (".csv", ".toml"):
                lines = path.read_bytes().splitlines(keepends=True)
                (self.whole / path.name).write_bytes(
                    b"".join(lines if path.name == FILE else lines[:KEPT_LINES])
                )
        self.damaged = folder / "damaged"
        self.names = sorted({account.file for account in self.load(self.whole).files})

    def load(self, path: Path, *, dry_run: bool = False) -> Accounting:
        return sources.import_paths(
            self.workspace, [path], preset=self.preset, as_of="2026-10-09", dry_run=dry_run
        )

    @property
    def current(self) -> str:
        return (self.workspace.store / "snapshots" / "current").read_text()

    def damage(self, rng: random.Random) -> Path:
        """One of the files damaged, beside the others in the folder `damaged`."""
        shutil.rmtree(self.damaged, ignore_errors=True)
        shutil.copytree(self.whole, self.damaged)
        path = self.damaged / rng.choice(self.names)
        raw = path.read_bytes()
        for damage in rng.sample(DAMAGES, rng.choice([1, 1, 2])):
            raw = damage(raw, rng) if raw else raw
        path.write_bytes(raw)
        return path


def survives(bench: Bench, path: Path, *, publish: bool) -> bool:
    """Import; what comes back adds up, or was refused in one sentence. Without publishing nothing changes."""
    before, refused, accounting = bench.current, "", None
    try:
        accounting = bench.load(path, dry_run=not publish)
    except CoachbookError as error:
        refused = str(error)
    if accounting is None or not publish:
        assert bench.current == before
    if accounting is None:
        assert 0 < len(refused) < 1000
        return False
    accounts = [vars(account) for account in accounting.files]
    assert recounted(accounts, texts(path), accounting.quarantine, written=publish) == []
    if publish:
        with Snapshots(bench.workspace.store).current().connect() as connection:
            assert connection.execute("SELECT count(*) FROM deals").fetchone()
    return True


def texts(path: Path) -> dict[str, bytes]:
    """The CSV files in what was imported, by name."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {name: archive.read(name) for name in archive.namelist() if name.endswith(".csv")}
    return {path.name: path.read_bytes()} if path.suffix == ".csv" else {}


def hammer(folder: Path, name: str, times: int, seed: int) -> tuple[int, int]:
    """How many damaged files were taken in, and how many refused; one in `PUBLISHED` is published."""
    rng, bench, taken = random.Random(f"{name} {seed}"), Bench(folder, name), 0
    for number in range(times):
        path = bench.damage(rng)
        try:
            taken += survives(bench, path, publish=number % PUBLISHED == 0)
        except BaseException:
            kept = Path(shutil.copytree(bench.damaged, folder / f"failed-{number}", dirs_exist_ok=True))
            print(f"{name}, seed {seed}, number {number}: {kept / path.name}")  # noqa: T201 - where to look
            raise
    return taken, times - taken


@pytest.mark.parametrize(
    "name",
    [
        name if name in ("salesforce", "xiaoshouyi") else pytest.param(name, marks=pytest.mark.verify)
        for name in PRESETS
    ],
)
def test_damaged_files_are_accounted_for_or_refused(tmp_path: Path, name: str) -> None:
    taken, refused = hammer(tmp_path, name, 25, seed=1)
    assert taken > 5
    assert refused > 0


@pytest.mark.verify
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("name", PRESETS)
def test_many_damaged_files_are_accounted_for_or_refused(tmp_path: Path, name: str, seed: int) -> None:
    taken, refused = hammer(tmp_path, name, 180, seed=100 + seed)
    assert taken > 40
    assert refused > 10


# Sheets, Parquet and archives


def binaries(folder: Path) -> dict[str, Path]:
    """The same deals as a sheet, as Parquet, and as an archive with its mapping."""
    header, *rows = [line.split(",") for line in SMALL.splitlines()]
    for name in ("sheet", "parquet"):
        (folder / name).mkdir(parents=True)
        ending = "xlsx" if name == "sheet" else name
        (folder / name / FILE).write_text(SMALL_MAPPING.replace("deals.csv", f"deals.{ending}"))
    write_sheets(folder / "sheet" / "deals.xlsx", A=[header, *rows])  # type: ignore[list-item]
    table = pa.table(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)))
    pq.write_table(table, folder / "parquet" / "deals.parquet")
    with zipfile.ZipFile(folder / "deals.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(FILE, SMALL_MAPPING)
        archive.writestr("deals.csv", SMALL)
    return {
        "sheet": folder / "sheet" / "deals.xlsx",
        "parquet": folder / "parquet" / "deals.parquet",
        "zip": folder / "deals.zip",
    }


SMALL = "id,state,made,sum\n" + "".join(
    f"{i},{'WLO'[i % 3]},2026-01-{1 + i % 28:02},{i}.50\n" for i in range(60)
)
SMALL_MAPPING = """
as_of = 2026-10-09
[deals]
file = "deals.csv"
[deals.columns]
deal_id = "id"
status = { column = "state", map = { W = "won", L = "lost", O = "open" } }
created_on = "made"
amount = "sum"
currency = { constant = "USD" }
"""


def hammer_binary(folder: Path, kind: str, times: int, seed: int) -> tuple[int, int]:
    rng = random.Random(f"{kind} {seed}")
    path = binaries(folder)[kind]
    whole = path.read_bytes()
    (folder / "bench").mkdir()
    bench = Bench(folder / "bench", "regional_sales")
    taken = 0
    for number in range(times):
        raw = whole
        if kind != "parquet" and rng.random() < 0.6:
            raw = within(whole, rng)
        else:
            for damage in rng.sample([cut, splice, flip, flip], rng.choice([1, 1, 2])):
                raw = damage(raw, rng)
        path.write_bytes(raw)
        taken += survives(bench, path, publish=number % PUBLISHED == 0)
    return taken, times - taken


def within(whole: bytes, rng: random.Random) -> bytes:
    """An archive, or a workbook, that is right itself and holds a damaged part."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    name = rng.choice(list(parts))
    parts[name] = rng.choice([cut, splice, flip])(parts[name], rng)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return made.getvalue()


@pytest.mark.parametrize("kind", ["sheet", "parquet", "zip"])
def test_damaged_binaries_are_accounted_for_or_refused(tmp_path: Path, kind: str) -> None:
    taken, refused = hammer_binary(tmp_path, kind, 40, seed=1)
    assert refused > 5
    assert taken > 0


@pytest.mark.verify
@pytest.mark.parametrize("kind", ["sheet", "parquet", "zip"])
def test_many_damaged_binaries_are_accounted_for_or_refused(tmp_path: Path, kind: str) -> None:
    taken, refused = hammer_binary(tmp_path, kind, 400, seed=100)
    assert refused > 50
    assert taken > 5


def test_the_recount_sees_a_wrong_account(tmp_path: Path) -> None:
    """The tests above would be empty if the oracle took everything for right."""
    right = {
        "file": "a.csv",
        "rows": 2,
        "loaded": 1,
        "quarantined": 0,
        "unchanged": 0,
        "repeated": 0,
        "dropped": {"x": 1},
    }
    assert recounted([right], {"a.csv": b"a\n1\n2\n"}, None) == []
    for wrong in (
        {"rows": 3},
        {"loaded": 2},
        {"quarantined": 1, "loaded": 0},
        {"unchanged": 2},
        {"dropped": {}},
    ):
        assert recounted([right | wrong], {"a.csv": b"a\n1\n2\n"}, None) != []
    assert recounted([right], {"a.csv": b"a\n1\n2\n\n3\n"}, None) != []
