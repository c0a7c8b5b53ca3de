"""What is to be run, settled and validated to the last parameter before anything starts."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from coachbook import __version__, catalogue, facts
from coachbook.access import Reader
from coachbook.batch.folder import Row, file_name
from coachbook.errors import Invalid, Refused
from coachbook.export.about import About
from coachbook.export.index import Told
from coachbook.settings import Workspace, locale_named
from coachbook.text import N_, Locale, speaking

FORMATS = ("ipynb", "html")
"""What a page can be written as."""
_READERS: tuple[Reader, ...] = ("rep", "manager")


@dataclass(frozen=True)
class Shard:
    """Part `number` of `count`, counted from 1; no page is in two of them, and each is in one."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """`2/3` is the second of three.

        Raises
        ------
        Invalid
            Says how it is written.
        """
        number, slash, count = text.partition("/")
        plain = slash and all(part.isascii() and part.isdigit() and len(part) < 6 for part in (number, count))
        if not plain or not 1 <= int(number) <= int(count):
            raise Invalid(
                N_("{value} is not a part of a run. The second of three parts is written {example}."),
                value=f"“{text}”", example="2/3",
            )  # fmt: skip
        return cls(int(number), int(count))

    def of(self, pages: tuple[facts.Page, ...]) -> tuple[facts.Page, ...]:
        """Its pages: every `count`-th, so that no part has all of a large team."""
        return pages[self.number - 1 :: self.count]


@dataclass(frozen=True)
class Order:
    """One batch, as a user asks for it; "" is the default.

    `reps`: `all`, ids or names with commas between, or `team:ID`. `team`: one page of that team instead.
    `reader`: whom the pages are for, `rep` or `manager`; by default the rep, for a team's page the manager.
    `formats`: the executed notebook is the record and always kept; `html` adds a page without script.
    `resume`: says aloud what holds anyhow, that finished work of the same run in `out` is kept.
    `cluster`: the address of a Dask scheduler whose workers make the pages, instead of `workers` here.
    `shard`: one part of the pages only, `2/3` is the second of three; all shards of a run can share `out`.
    `timeout_seconds`: a page that takes longer is interrupted, then its kernel is killed.
    """

    workbook: str
    reps: str = "all"
    team: str = ""
    period: str = ""
    as_of: str = ""
    locale: str = ""
    reader: str = ""
    workers: int = 2
    out: Path | None = None
    formats: tuple[str, ...] = FORMATS
    resume: bool = False
    cluster: str = ""
    shard: str = ""
    timeout_seconds: float = 600.0


@dataclass(frozen=True)
class Plan:
    """An order whose every parameter holds: the pages to make, and what they are made from."""

    workspace: Workspace
    workbook: catalogue.Workbook
    pages: tuple[facts.Page, ...]
    notebook: str
    """The notebook in the readers' language, as JSON."""
    reader: Reader
    locale: Locale
    formats: tuple[str, ...]
    workers: int
    out: Path | None
    run_id: str
    cluster: str
    shard: Shard | None
    timeout_seconds: float

    @property
    def mine(self) -> tuple[facts.Page, ...]:
        """The pages of this part of the run; all where it is not in parts."""
        return self.shard.of(self.pages) if self.shard else self.pages

    @property
    def part(self) -> str:
        """What this part of the run is called; "" where it is not in parts."""
        return f"part-{self.shard.number}-of-{self.shard.count}" if self.shard else ""

    def task(self, page: facts.Page, folder: Path) -> Task:
        """What a worker needs to know of one page."""
        return Task(
            self.workspace.folder, page, self.about(page), self.notebook, self.parameters(page),
            folder / file_name(page.scope), self.reader, self.formats, self.locale, self.timeout_seconds,
        )  # fmt: skip

    def about(self, page: facts.Page) -> About:
        """What stands around one page."""
        with speaking(self.locale):
            heading = self.workbook.heading
        return About(
            brand=self.workspace.settings.name, workbook=self.workbook.name, heading=heading,
            kind=page.scope.kind, id=page.scope.id, name=page.name, team=page.team, period=page.period.id,
            as_of=page.as_of.isoformat(), snapshot=page.snapshot, reader=self.reader, locale=self.locale.value,
        )  # fmt: skip

    def files(self, page: facts.Page) -> list[str]:
        """What a finished page consists of, relative to the run's folder."""
        kinds = dict.fromkeys(("ipynb", *self.formats))
        return [f"{file_name(page.scope)}/{self.workbook.name}.{kind}" for kind in kinds]

    @property
    def name(self) -> str:
        """Of the folder by default: what was made, and of when."""
        return f"{self.workbook.name}-{self.pages[0].period.id}"

    def parameters(self, page: facts.Page) -> dict[str, str]:
        """What is injected into the notebook for one page."""
        return {
            page.scope.kind: page.scope.id,
            "period": page.period.id,
            "as_of": page.as_of.isoformat(),
            "locale": self.locale.value,
        }


@dataclass(frozen=True)
class Task:
    """One page to make, as a worker anywhere gets it."""

    workspace: Path
    page: facts.Page
    about: About
    notebook: str
    parameters: dict[str, str]
    folder: Path
    reader: Reader
    formats: tuple[str, ...]
    locale: Locale
    timeout_seconds: float


@dataclass(frozen=True)
class Made:
    """What became of one page: its row, what the index tells of it, and whether to try it again.

    `again`: the cause lies in a process that died, not in the page.
    """

    row: Row
    told: Told | None = None
    again: bool = False


def settle(workspace: Workspace, order: Order) -> Plan:
    """Validate the whole order; nothing is written.

    Raises
    ------
    NotFound, Invalid, Refused
        Names the value that cannot be used, and one that can.
    """
    workbook = catalogue.workbook(order.workbook, workspace.notebooks)
    locale = locale_named(order.locale) if order.locale else workspace.locale
    reader = _reader(order)
    formats = _formats(order.formats)
    if order.workers < 1:
        raise Invalid(N_("{value} workers cannot run anything. Give at least {least}."), value=order.workers, least=1)  # fmt: skip
    shard = Shard.parse(order.shard) if order.shard else None
    pages = _pages(workspace, order)
    source = _source(workbook, {pages[0].scope.kind, "period", "as_of", "locale"})
    run_id = _run_id(pages[0], source, reader, locale, formats)
    notebook = json.dumps(catalogue.translated(source, locale), ensure_ascii=False)
    return Plan(
        workspace, workbook, pages, notebook, reader, locale, formats, order.workers, order.out, run_id,
        order.cluster, shard, order.timeout_seconds,
    )  # fmt: skip


def _formats(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names or ("",):
        if name not in FORMATS:
            raise Invalid(
                N_("{value} is not a format that pages are written in. There is: {known}."),
                value=f"“{name}”", known=list(FORMATS),
            )  # fmt: skip
    return tuple(name for name in FORMATS if name in names)


def _reader(order: Order) -> Reader:
    reader = order.reader or ("manager" if order.team else "rep")
    if reader not in _READERS:
        raise Invalid(
            N_("{value} is not a reader that pages are made for. There is: {known}."),
            value=f"“{reader}”", known=list(_READERS),
        )  # fmt: skip
    if order.team and reader == "rep":
        raise Refused(
            N_("A team's page shows each rep's figures and is not made for the reader {reader}. Make it for {other}."),
            reader=reader, other="manager",
        )  # fmt: skip
    return "rep" if reader == "rep" else "manager"


def _pages(workspace: Workspace, order: Order) -> tuple[facts.Page, ...]:
    if order.team and order.reps != "all":
        raise Invalid(
            N_("Both reps {reps} and team {team} were named. Name reps for their pages, or a team for its page; team:{team} stands for the reps of a team."),
            reps=order.reps, team=order.team,
        )  # fmt: skip
    asked = facts.Asked(order.workbook, team=order.team, period=order.period, as_of=order.as_of)
    if order.team:
        return (facts.settle(workspace, asked),)
    return tuple(facts.settle_all(workspace, asked, reps=order.reps))


def _source(workbook: catalogue.Workbook, needed: set[str]) -> dict[str, Any]:
    """The notebook as plain data, its parameters compared with what will be injected."""
    try:
        notebook: dict[str, Any] = json.loads(workbook.path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        missing = sorted(needed - _assigned(cells))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        raise Invalid(
            N_("{file} cannot be read as a notebook: {problem}. A fresh copy: coachbook eject {name}"),
            file=workbook.path, problem=error, name=workbook.name,
        ) from None  # fmt: skip
    if missing:
        raise Invalid(
            N_("{file} does not take the parameter {missing}. Its cell tagged “parameters” must set: {needed}."),
            file=workbook.path, missing=missing, needed=sorted(needed),
        )  # fmt: skip
    for number, cell in enumerate(cells):
        cell.setdefault("id", f"cell-{number}")  # else each run would give another
    return {**notebook, "nbformat_minor": max(5, notebook.get("nbformat_minor", 0))}


def _assigned(cells: list[dict[str, Any]]) -> set[str]:
    """Names that the notebook's own cell tagged `parameters` sets."""
    tagged = [c for c in cells if "parameters" in c["metadata"].get("tags", [])]
    statements = ast.parse("".join(tagged[0]["source"])).body if tagged else []
    plain = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
    typed = [s.target for s in statements if isinstance(s, ast.AnnAssign)]
    return {target.id for target in [*plain, *typed] if isinstance(target, ast.Name)}


def _run_id(
    page: facts.Page, source: dict[str, Any], reader: str, locale: Locale, formats: tuple[str, ...]
) -> str:
    """A hash of all that decides what a page says; who gets one is not in it, so a run can be widened."""
    content = [
        __version__, page.snapshot, page.settings, page.scope.kind, page.period.id, page.as_of.isoformat(),
        reader, locale.value, list(formats), source,
    ]  # fmt: skip
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
