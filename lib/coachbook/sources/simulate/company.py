"""A made-up company, a hundred people at a time, so that memory does not grow with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import pyarrow as pa  # type: ignore[import-untyped]

from coachbook.model.tables import TABLES
from coachbook.sources.simulate.history import Story
from coachbook.sources.simulate.office import Office
from coachbook.sources.simulate.people import hired
from coachbook.sources.simulate.sheets import Sheets
from coachbook.sources.simulate.world import Clock, World, end_of_day

AT_ONCE = 100
"""Sellers whose deals are told together; deals are handed on among them only."""
_STORY = 4


@dataclass(frozen=True)
class Company:
    """A whole company in memory.

    Attributes
    ----------
    tables
        What is written: one table for each canonical one, under the keys of a mapping. `deal_events` holds
        what was entered by the end of the last day.
    """

    world: World
    parts: tuple[Sheets, ...]
    tables: dict[str, pa.Table]


def company(world: World) -> Company:
    """Make up a company and keep it in memory: for tests and for small ones."""
    office = opened(world)
    parts = tuple(told(office))
    return Company(world, parts, tables(office, [part.tables() for part in parts]))


def deal_list(made: Company, day: date) -> pa.Table:
    """The plain deal list as an export at the end of a day shows it: by what has been entered by then.

    Columns are the keys of `deals` in a mapping. The day ends as in UTC, which is the same day's end in the
    company's own time zone, as nobody works at night.
    """
    return pa.concat_tables([part.listing(end_of_day(day)) for part in made.parts])


def opened(world: World) -> Office:
    """The company before anything has happened."""
    clock = Clock(world)
    return Office(world, clock, hired(world, clock))


def told(office: Office) -> Iterator[Sheets]:
    """The company's deals, some people's at a time."""
    world, clock, numbers = office.world, office.clock, Counter[str]()
    for first in range(0, world.reps, AT_ONCE):
        people = office.people.take(slice(first, first + AT_ONCE))
        story = Story(world, clock, people, world.random(_STORY, first), since=0, until=clock.last)
        yield Sheets(office, people, story, story.told(), numbers)


def tables(office: Office, parts: list[dict[str, pa.Table]]) -> dict[str, pa.Table]:
    """The head office's tables and those of all parts, in the order of the declaration."""
    found = headquarters(office)
    for name in parts[0]:
        found[name] = pa.concat_tables([part[name] for part in parts])
    return {name: found[name] for name in TABLES}


def headquarters(office: Office) -> dict[str, pa.Table]:
    """The tables that do not follow from deals."""
    return {
        "reps": office.reps(), "products": office.products(), "quotas": office.quotas(), "fx_rates": office.fx_rates(),
    }  # fmt: skip
