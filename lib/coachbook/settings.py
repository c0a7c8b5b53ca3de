"""The workspace: a folder with `coachbook.toml`, and where things lie in it."""

from __future__ import annotations

import json
import re
import secrets
import tomllib
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin
from zoneinfo import ZoneInfo

from babel.core import Locale as BabelLocale
from babel.numbers import list_currencies
from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from coachbook.errors import Invalid, NotFound, Refused, nearest
from coachbook.model.calendar import Override, WorkingCalendar, countries, read_overrides
from coachbook.model.periods import FiscalYear
from coachbook.model.stages import DEFAULT, Stage, Stages
from coachbook.text import N_, Locale, _, listed

FILE = "coachbook.toml"
OVERRIDES = "calendar.csv"
_MONTH_AND_DAY = re.compile(r"(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class WorthActing(_Section):
    """The smallest difference that anybody would act on."""

    share: float = Field(0.05, gt=0, lt=1)
    """For shares, in [0, 1]: 0.05 is five percentage points."""
    relative: float = Field(0.10, gt=0, lt=10)
    """For money, counts and times: relative to the reference."""


class Peers(_Section):
    """What a rep may see of others."""

    naming: Literal["anonymous", "named"] = "anonymous"


class Calendar(_Section):
    """Which days are worked, and how the company's year runs."""

    country: str = ""
    """ISO 3166 code; empty: Monday to Friday."""
    subdivision: str = ""
    """ISO 3166-2 code without the country."""
    fiscal_year_starts: str = ""
    """Month and day; empty: there is no fiscal year."""
    fiscal: Literal["months", "4-4-5", "4-5-4", "5-4-4"] = "months"
    fiscal_week_starts: Literal[
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
    ] = "sunday"
    fiscal_rule: Literal["nearest", "last"] = "nearest"
    overrides: tuple[Override, ...] = ()
    """What `calendar.csv` says; kept with every publish, never written in `coachbook.toml`."""

    @property
    def working(self) -> WorkingCalendar:
        """Which days are worked."""
        return WorkingCalendar(self.country, self.subdivision, self.overrides)

    @property
    def fiscal_year(self) -> FiscalYear | None:
        """How the company's year runs, if it is not the calendar's."""
        if not self.fiscal_year_starts:
            return None
        return FiscalYear(self.fiscal_year_starts, self.fiscal, self.fiscal_week_starts, self.fiscal_rule)

    @field_validator("country")
    @classmethod
    def _known_country(cls, code: str) -> str:
        if code and code not in countries():
            raise ValueError(_("write the ISO 3166 code of a country, like {code}", code=_country_like(code)))
        return code

    @field_validator("subdivision")
    @classmethod
    def _known_subdivision(cls, code: str, info: ValidationInfo) -> str:
        known = countries().get(info.data.get("country", ""), []) if code else []
        if code and not known:
            raise ValueError(_('leave it empty ("") without a country that has subdivisions'))
        if code and code not in known:
            raise ValueError(_("write one of: {known}", known=listed(nearest(code, known))))
        return code

    @field_validator("fiscal_year_starts")
    @classmethod
    def _month_and_day(cls, start: str) -> str:
        if start and not _MONTH_AND_DAY.fullmatch(start):
            raise ValueError(_("write a month and a day up to the 28th, like {example}", example="04-01"))
        return start

    @field_validator("fiscal")
    @classmethod
    def _starts_somewhere(cls, pattern: str, info: ValidationInfo) -> str:
        if pattern != "months" and info.data.get("fiscal_year_starts") == "":
            raise ValueError(_("write fiscal_year_starts as well, like {example}", example="02-01"))
        return pattern


class Settings(_Section):
    """All of `coachbook.toml`."""

    name: str = Field("coachbook", min_length=1, max_length=200)
    locale: Literal["en", "zh_CN"] = "en"
    currency: str = "USD"
    time_zone: str = "UTC"
    worth_acting: WorthActing = WorthActing()
    peers: Peers = Peers()
    calendar: Calendar = Calendar()
    stages: Stages = DEFAULT
    """Of the sales funnel, in order."""

    @field_validator("currency")
    @classmethod
    def _known_currency(cls, code: str) -> str:
        if code not in list_currencies():
            raise ValueError(_("write an ISO 4217 code like USD or CNY"))
        return code

    @field_validator("time_zone")
    @classmethod
    def _known_time_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (OSError, ValueError):
            raise ValueError(_("write a time zone like Asia/Shanghai")) from None
        return zone

    @property
    def reporting(self) -> str:
        """Everything that can change a figure (language cannot), as JSON; kept with each snapshot."""
        return self.model_dump_json(exclude={"locale", "name"})

    @property
    def digest(self) -> str:
        """A short hash of `reporting`."""
        return sha256(self.reporting.encode()).hexdigest()[:12]

    @classmethod
    def read(cls, text: str, *, origin: str = FILE) -> Settings:
        """Read and validate the text of a `coachbook.toml`.

        Raises
        ------
        Invalid
            Names the key or value, and the nearest right key.
        """
        try:
            return cls.model_validate(tomllib.loads(text))
        except tomllib.TOMLDecodeError as error:
            raise Invalid(N_("{file} is not valid TOML: {problem}."), file=origin, problem=error) from None
        except ValidationError as error:
            raise explained(cls, error, origin) from None


_PROBLEMS = {
    "string_type": N_("write a text in quotation marks"),
    "float_type": N_("write a number"),
    "bool_type": N_("write true or false"),
    "date_type": N_("write a day like 2021-11-10"),
    "model_type": N_("write a section with keys"),
    "dict_type": N_("write a section with keys"),
    "tuple_type": N_("write such days into calendar.csv"),
    "int_type": N_("write a whole number"),
    "greater_than": N_("write a number above {gt:g}"),
    "less_than": N_("write a number below {lt:g}"),
    "less_than_equal": N_("write a number up to {le:g}"),
}


def locale_named(name: str) -> Locale:
    """The language of that name.

    Raises
    ------
    Invalid
        Names the two that there are.
    """
    known = [locale.value for locale in Locale]
    if name not in known:
        raise Invalid(
            N_("{value} is not a language of coachbook. There are: {known}."), value=f"“{name}”", known=known
        )
    return Locale(name)


def explained(model: type[BaseModel], error: ValidationError, origin: str) -> Invalid:
    """The worst of pydantic's complaints about a file in our words; a wrong key comes with the nearest right one."""
    problem = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    path = [part for part in problem["loc"] if isinstance(part, str)]
    if problem["type"] == "extra_forbidden":
        known = nearest(path[-1], _keys(model, path[:-1]), most=1)
        return Invalid(
            N_("{file} has no key {key}. The nearest is {known}."),
            file=origin, key=".".join(path), known=".".join([*path[:-1], *known]),
        )  # fmt: skip
    if problem["type"] == "missing":
        return Invalid(N_("{file} lacks the key {key}."), file=origin, key=".".join(path))
    return Invalid(
        N_("In {file}, {key} = {value} cannot be used: {problem}."),
        file=origin, key=".".join(path), value=_brief(problem["input"]), problem=_problem(problem),
    )  # fmt: skip


def _brief(value: Any) -> Any:
    """Of a list of sections, what each begins with."""
    if isinstance(value, list):
        return [next(iter(each.values()), "") if isinstance(each, dict) else each for each in value]
    return value


def _problem(problem: ErrorDetails) -> str:
    if problem["type"] == "literal_error":
        known = re.findall("'([^']+)'", problem["ctx"]["expected"])
        return _(
            "write one of: {known}", known=listed(nearest(str(problem["input"]), known, most=len(known)))
        )
    ours, context = _PROBLEMS.get(problem["type"]), problem.get("ctx", {})
    return _(ours, **context) if ours else str(context.get("error", problem["msg"]))


def _country_like(wrong: str) -> str:
    """The code of the country whose code or name, in a language of coachbook, is nearest."""
    known = {code: code for code in countries()}
    for locale in Locale:
        names = BabelLocale.parse(locale).territories
        known |= {names[code]: code for code in countries() if code in names}
    return known[nearest(wrong, list(known), most=1)[0]]


def _keys(model: type[BaseModel], path: list[str]) -> list[str]:
    """The keys of the section at `path`, through lists and tables of sections."""
    section: Any = model
    for part in path:
        if part in section.model_fields:
            section = _section(section.model_fields[part].annotation)
    return list(section.model_fields)


def _section(kind: Any) -> Any:
    """What an optional, a list or a table holds."""
    if isinstance(kind, type) and issubclass(kind, RootModel):
        return _section(kind.model_fields["root"].annotation)
    inner = [argument for argument in get_args(kind) if argument is not NoneType]
    return _section(inner[get_origin(kind) is dict]) if inner else kind


@dataclass(frozen=True)
class Workspace:
    """A workspace on disk. Making one with `init` is the only thing here that writes, but for `secret`."""

    folder: Path

    @classmethod
    def find(cls, start: Path) -> Workspace:
        """The workspace that `start` lies in: the folder itself, or the nearest one above.

        Raises
        ------
        NotFound
            Says how to make one.
        """
        folder = start.absolute()
        for candidate in (folder, *folder.parents):
            if (candidate / FILE).is_file():
                return cls(candidate)
        raise NotFound(
            N_("There is no workspace in {folder} or above it. Make one with: coachbook init {example}"),
            folder=start, example="my-team",
        )  # fmt: skip

    @classmethod
    def init(cls, folder: Path, *, settings: Settings | None = None) -> Workspace:
        """Make a workspace in a new or an existing empty folder.

        Raises
        ------
        Refused
            The folder is not empty, or cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise Refused(
                    N_("{folder} is not empty. Name a new or an empty folder, for instance {example}."),
                    folder=folder, example=f"{folder.name}-new",
                )  # fmt: skip
            Workspace(folder).store.mkdir(mode=0o700)
            (folder / FILE).write_text(_template(settings or Settings()), encoding="utf-8")
        except OSError as error:
            raise Refused(
                N_("The folder {folder} cannot be written: {problem}. Name one that can, for instance {example}."),
                folder=folder, problem=error.strerror or error, example="my-team",
            ) from None  # fmt: skip
        return cls(folder.absolute())

    @cached_property
    def settings(self) -> Settings:
        """What `coachbook.toml` says now, and the days in `calendar.csv` if there is one."""
        settings = Settings.read(self._text(FILE))
        if not (self.folder / OVERRIDES).is_file():
            return settings
        days = read_overrides(self._text(OVERRIDES), origin=OVERRIDES)
        calendar = settings.calendar.model_copy(update={"overrides": days})
        return settings.model_copy(update={"calendar": calendar})

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise Invalid(N_("{file} is not UTF-8. Save it as UTF-8."), file=name) from None

    @property
    def locale(self) -> Locale:
        """The workspace's language."""
        return Locale(self.settings.locale)

    @property
    def store(self) -> Path:
        """What coachbook makes and can make again: snapshots, facts, slices, caches."""
        return self.folder / ".coachbook"

    @property
    def quarantine(self) -> Path:
        """Rows that an import could not use, one file an import."""
        return self.folder / "quarantine"

    @property
    def cleanup(self) -> Path:
        """What was decided about deals in reviews, and lists of changes for the CRM."""
        return self.folder / "cleanup"

    @property
    def notebooks(self) -> Path:
        """Ejected notebooks; they take precedence over those shipped."""
        return self.folder / "notebooks"

    @cached_property
    def secret(self) -> str:
        """What grants and sessions are signed with; made on first use, readable by the owner only."""
        path = self.store / "secret"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            aside = path.with_name(f"secret.{secrets.token_hex(4)}")
            aside.touch(mode=0o600)
            aside.write_text(secrets.token_urlsafe(32), encoding="ascii")
            try:
                path.hardlink_to(aside)
            except FileExistsError:
                pass
            finally:
                aside.unlink()
        return path.read_text(encoding="ascii")


def _template(settings: Settings) -> str:
    """A `coachbook.toml` with every key and what it means."""
    worth = settings.worth_acting
    lines = [
        (
            "# "
            + _(
                "Settings of this coachbook workspace. A changed value counts from the next import or `coachbook facts`."
            ),
            "",
        ),
        (f"name = {_toml(settings.name)}", ""),
        (f'locale = "{settings.locale}"', "en, zh_CN"),
        (f'currency = "{settings.currency}"', _("reporting currency, ISO 4217")),
        (f'time_zone = "{settings.time_zone}"', _("a day ends here")),
        ("\n[worth_acting]", _("the smallest difference that anybody would act on")),
        (f"share = {worth.share}", _("for shares: 0.05 is five percentage points")),
        (f"relative = {worth.relative}", _("for money, counts and times, relative to the reference")),
        ("\n[peers]", ""),
        (f'naming = "{settings.peers.naming}"', _("what a rep sees of others: anonymous or named")),
        *_calendar_template(settings.calendar),
        *_stages_template(settings.stages),
    ]
    return "".join(f"{key}  # {said}\n" if said else f"{key}\n" for key, said in lines)


def _calendar_template(calendar: Calendar) -> list[tuple[str, str]]:
    return [
        ("\n[calendar]", _("single days that differ: calendar.csv, with the columns day, kind, name")),
        (f'country = "{calendar.country}"', _("working days, ISO 3166 like CN; empty: Monday to Friday")),
        (f'subdivision = "{calendar.subdivision}"', _("a part of it with holidays of its own, ISO 3166-2 like CA")),
        (f'fiscal_year_starts = "{calendar.fiscal_year_starts}"', _("month and day like 04-01; FY2026 ends in 2026; empty: no fiscal year")),
        (f'fiscal = "{calendar.fiscal}"', _("months, or weeks of them in each quarter: 4-4-5, 4-5-4, 5-4-4")),
        (f'fiscal_week_starts = "{calendar.fiscal_week_starts}"', _("for years of whole weeks: the weekday on which they start")),
        (f'fiscal_rule = "{calendar.fiscal_rule}"', _("that weekday nearest to fiscal_year_starts, or the last up to it")),
    ]  # fmt: skip


def _stages_template(stages: Stages) -> list[tuple[str, str]]:
    """The stages, unless they are those that hold anyway: then one of them, as an example."""
    if stages != DEFAULT:
        return [(line, "") for stage in stages.root for line in _stage_lines(stage)]
    told = (
        _("The stages, until all of yours stand here in their order: {stages}.", stages=listed([str(s.name) for s in DEFAULT.root])),
        _("Each is written like this; all keys and criteria: {file}", file="docs/stages.md"),
    )  # fmt: skip
    return [("", ""), *((f"# {line.strip()}", "") for line in (*told, *_stage_lines(DEFAULT.root[2])))]


def _stage_lines(stage: Stage) -> list[str]:
    keys = stage.model_dump(exclude_defaults=True)
    return ["\n[[stages]]", *(f"{key} = {_toml(value)}" for key, value in keys.items())]


def _toml(value: Any) -> str:
    """A value on one line; a text in JSON is one in TOML."""
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {_toml(each)}' for key, each in value.items())} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, ensure_ascii=False)
