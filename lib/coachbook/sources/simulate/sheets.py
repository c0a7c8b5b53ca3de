"""Histories as tables: ids, texts and days in place of numbers. Keys are those of a mapping, amounts in major units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from coachbook.model.tables import FIELDS, STATUSES
from coachbook.sources.simulate.columns import days, keys, moments, money, numbered, picked
from coachbook.sources.simulate.history import (
    AMOUNT,
    DELETED,
    LOST,
    NOTHING,
    OPEN,
    OWNER,
    STAGE,
    STATUS,
    WON,
    Deals,
    Events,
    Story,
)
from coachbook.sources.simulate.office import Office
from coachbook.sources.simulate.people import People
from coachbook.sources.simulate.words import HOSTILE, company_names, people_names
from coachbook.sources.simulate.world import EPOCH, Flags, Floats, Ints, end_of_day

_DAY = 86_400
_PROBABILITY = np.array([0.1, 0.25, 0.5, 0.75, 1.0])
_CATEGORIES = ("Omitted", "Pipeline", "BestCase", "MostLikely", "Forecast", "Closed")
_CUSTOMERS = 0.35
"""New customers per deal."""
_CONTACTS = 1_000_000
"""Number from which on contacts' names are made."""
_KINDS = ("email", "call", "meeting", "visit", "demo", "document", "note")
_OFTEN = np.array([0.30, 0.62, 0.76, 0.85, 0.90, 0.95, 1.0])
_MINUTES = np.array([0, 12, 45, 70, 50, 0, 0])
_FACE_TO_FACE = np.array([False, False, True, True, True, False, False])


@dataclass(frozen=True)
class State:
    """What is known of each deal at an instant; `NOTHING` where nothing is."""

    values: tuple[Ints, ...]
    """By field: stage, status, amount, close date, owner."""
    modified: Ints

    @property
    def listed(self) -> Flags:
        """Which deals an export shows."""
        return np.asarray((self.values[STATUS] != NOTHING) & (self.values[STATUS] != DELETED))


class Sheets:
    """The tables that follow from the deals of some people, as known at the end of the files' last day."""

    def __init__(
        self, office: Office, people: People, story: Story, told: Events, numbers: Counter[str]
    ) -> None:
        self.office, self.world, self.clock, self.words = office, office.world, office.clock, office.words
        self.people, self.rng = people, story.rng
        self.deals, self.events = _within(story, told, self.world.start, self.world.end)
        self._numbers = numbers
        self.ids = self._take("deals", len(self.deals))
        self.id_texts = self._deal_ids(self.ids)
        self.final = self.known(end_of_day(self.world.end))
        self._customers()
        self._facts()

    def _take(self, what: str, count: int) -> Ints:
        """The next so many numbers of that kind, from 1 on."""
        first = self._numbers[what] + 1
        self._numbers[what] += count
        return np.arange(first, first + count)

    def known(self, until: int) -> State:
        """What has been entered before an instant (seconds since 1970, UTC)."""
        entered = self.events.recorded < until
        values = tuple(np.full(len(self.deals), NOTHING) for _ in FIELDS)
        for what, value in enumerate(values):
            these = entered & (self.events.field == what)
            value[self.events.deal[these]] = self.events.new[these]
        modified = np.full(len(self.deals), NOTHING)
        modified[self.events.deal[entered]] = self.events.recorded[entered]
        return State(values, modified)

    # Deals

    def _customers(self) -> None:
        """Every rep has customers in each segment and currency; some buy more often than others."""
        deals, rng = self.deals, self.rng
        pool = deals.creator * 6 + deals.segment * 2 + deals.other_currency
        pools = 6 * len(self.people)
        size = np.ceil(np.bincount(pool, minlength=pools) * _CUSTOMERS).astype(np.int64)
        first = np.cumsum(size) - size
        skew = np.where(deals.renewal, 3, 1.4)
        self._customer = first[pool] + (rng.random(len(deals)) ** skew * size[pool]).astype(np.int64)
        self._pool = np.repeat(np.arange(pools), size)
        self._accounts = self._take("accounts", len(self._pool))
        abroad = self._pool % 2 == 1
        chinese = abroad == (self.world.currencies[0] == "USD")
        self._names = company_names(self._accounts, chinese)

    def _facts(self) -> None:
        """What of a deal never changes."""
        deals, rng, words, n = self.deals, self.rng, self.words, len(self.deals)
        self._product = rng.integers(9, size=n)
        self._extra = rng.random(n)
        products = pa.array([name for name, _category in words.products])
        names = pc.binary_join_element_wise(
            self._names.take(self._customer), products.take(self._product), " – "
        )
        if self.ids.size and self.ids[0] == 1:
            marked = np.zeros(n, bool)
            marked[np.argmax(self.final.values[STATUS] == WON)] = True
            names = pc.if_else(pa.array(marked), HOSTILE, names)
        self._static = {
            "deal_id": self.id_texts, "name": names, "account_id": self._account_ids(self._customer),
            "product_id": numbered("P", self._product + 1, 2),
            "created_on": days(self.clock.day(deals.created)),
            "currency": picked(self.world.currencies, deals.other_currency.astype(np.int64)),
            "kind": picked(words.kinds, deals.renewal.astype(np.int64)),
            "origin": picked(words.origins, rng.integers(len(words.origins), size=n)),
        }  # fmt: skip

    def listing(self, until: int) -> pa.Table:
        """The plain deal list as an export at that instant shows it."""
        state = self.known(until)
        stage, status, amount, close, owner = state.values
        today = until // _DAY - 1
        is_open = status == OPEN
        reason = (self._extra * 997).astype(np.int64) % len(self.words.loss_reasons)
        step = (self._extra * 991 + stage).astype(np.int64) % len(self.words.next_steps)
        columns = self._static | {
            "rep_id": self._seller(owner), "stage": picked(self.words.stages, stage),
            "status": picked((*STATUSES, "deleted"), status), "close_on": days(close), "amount": money(amount),
            "loss_reason": picked(self.words.loss_reasons, np.where(status == LOST, reason, NOTHING)),
            "next_step": picked(self.words.next_steps, np.where(is_open & (self._extra < 0.7), step, NOTHING)),
            "probability": pa.array(np.where(is_open, _PROBABILITY[stage], status == WON)),
            "forecast_category": picked(_CATEGORIES, _category(stage, status, close, today)),
            "days_to_close": pa.array(close - today, mask=~is_open | (close == NOTHING)),
            "modified_at": moments(state.modified),
        }  # fmt: skip
        return _table("deals", columns).filter(pa.array(state.listed))

    def deal_events(self) -> pa.Table:
        """The history, as far as it has been entered."""
        e = self.events.take(self.events.recorded < end_of_day(self.world.end))
        deals = self.deals
        moved = self.clock.seconds(np.minimum(self.people.moved, self.clock.last))
        boss = np.where(e.field == OWNER, e.old, deals.creator[e.deal])
        team = np.where(e.when >= moved[boss], self.people.next_team[boss], self.people.team[boss])
        manager = self.office.manager_ids.take(pa.array(team))
        currency = picked(
            self.world.currencies, np.where(e.field == AMOUNT, deals.other_currency[e.deal], NOTHING)
        )
        return _table("deal_events", {
            "deal_id": self.id_texts.take(pa.array(e.deal)), "occurred_at": moments(e.when), "field": picked(FIELDS, e.field),
            "seq": pa.array(e.count), "old": self._values(e.field, e.old), "new": self._values(e.field, e.new),
            "currency": currency, "recorded_at": moments(e.recorded),
            "actor": pc.if_else(pa.array(e.actor == NOTHING), manager, self._seller(np.maximum(e.actor, 0))),
        })  # fmt: skip

    def _values(self, what: Ints, value: Ints) -> pa.Array:
        """Values of all fields as text, in the order of the events."""
        texts: tuple[Callable[[Ints], pa.Array], ...] = (
            lambda v: picked(self.words.stages, v), lambda v: picked((*STATUSES, "deleted"), v), money,
            lambda v: days(v).cast(pa.string()), self._seller,
        )  # fmt: skip
        places = [np.flatnonzero(what == field) for field in range(len(FIELDS))]
        together = pa.concat_arrays([text(value[place]) for text, place in zip(texts, places, strict=True)])
        return together.take(pa.array(np.argsort(np.concatenate(places))))

    # What belongs to deals

    def tables(self) -> dict[str, pa.Table]:
        """All that is written for these people."""
        return {
            "accounts": self._account_table(), "contacts": self._contacts(), "leads": self._leads(),
            "deals": self.listing(end_of_day(self.world.end)), "deal_events": self.deal_events(),
            "deal_lines": self._lines(), "splits": self._splits(), "activities": self._activities(),
            "collections": self._collections(), "costs": self._costs(),
        }  # fmt: skip

    def _account_table(self) -> pa.Table:
        words, n = self.words, len(self._pool)
        home = (self._pool // 6 + self.rng.integers(3, size=n)) % len(words.territories)
        territories = [*words.territories, words.abroad]
        alike = np.append(self._pool[1:] == self._pool[:-1], False) & (np.arange(n) % 2 == 0)
        merged = np.where(alike & (self.rng.random(n) < 0.008), np.arange(n) + 1, NOTHING)
        return _table("accounts", {
            "account_id": self._account_ids(np.arange(n)), "name": self._names,
            "industry": picked(words.industries, self.rng.integers(len(words.industries), size=n)),
            "territory": picked(territories, np.where(self._pool % 2 == 1, len(territories) - 1, home)),
            "segment": picked(words.segments, self._pool % 6 // 2), "merged_into": self._account_ids(merged),
        })  # fmt: skip

    def _contacts(self) -> pa.Table:
        """One or two people at each customer; `_first_contact` is the first of each."""
        counts = self.rng.integers(1, 3, len(self._pool))
        self._first_contact = np.cumsum(counts) - counts
        customer = np.repeat(np.arange(len(counts)), counts)
        self._contact_numbers = self._take("contacts", len(customer))
        n, words = len(customer), self.words
        return _table("contacts", {
            "contact_id": self._contact_ids(np.arange(n)), "account_id": self._account_ids(customer),
            "name": people_names(_CONTACTS + self._contact_numbers, words.latin),
            "title": picked(words.titles, self.rng.integers(len(words.titles), size=n)),
            "part": picked(words.parts, self.rng.integers(len(words.parts), size=n)),
        })  # fmt: skip

    def _leads(self) -> pa.Table:
        """Half of new business was a lead; as many leads again came to nothing, or are still open."""
        deals, rng, n = self.deals, self.rng, len(self.deals)
        fresh = self.final.listed & ~deals.renewal & (deals.created >= self.clock.first)
        became, others = (np.flatnonzero(fresh & (rng.random(n) < share)) for share in (0.5, 0.6))
        like = np.concatenate([became, others])
        converted = np.arange(len(like)) < len(became)
        born = deals.created[like] - converted * rng.exponential(8, len(like))
        decided = np.where(converted, deals.created[like], born + rng.gamma(1.5, 10, len(like)))
        order = np.argsort(born, kind="stable")
        return self._lead_table(like[order], converted[order], born[order], decided[order])

    def _lead_table(self, like: Ints, converted: Flags, born: Floats, decided: Floats) -> pa.Table:
        """The leads; each has the owner of a deal like it, and a converted one has that deal."""
        deal = np.where(converted, like, NOTHING)
        status = np.where(decided >= self.clock.last, 0, np.where(converted, 1, 2))
        creator, m, rng = self.deals.creator[like], len(like), self.rng
        words = self.words
        customer = np.where(deal == NOTHING, NOTHING, self._customer[deal])
        self._lead_numbers, self._lead_owner, self._lead_born = self._take("leads", m), creator, born
        return _table("leads", {
            "lead_id": numbered("L", self._lead_numbers),
            "name": people_names(2 * _CONTACTS + self._lead_numbers, words.latin), "rep_id": self._seller(creator),
            "origin": picked(words.origins, rng.integers(len(words.origins), size=m)),
            "status": picked(("open", "converted", "dropped"), status), "created_on": days(self.clock.day(born)),
            "decided_on": days(np.where(status == 0, NOTHING, self.clock.day(decided))),
            "deal_id": self._deal_texts(deal), "account_id": self._account_ids(customer),
        })  # fmt: skip

    def _lines(self) -> pa.Table:
        """One or two lines; together they are the deal's amount."""
        amount, rng = self.final.values[AMOUNT], self.rng
        deal = np.flatnonzero(self.final.listed & (amount > 0) & (self.final.values[STAGE] >= 2))
        second = rng.random(len(deal)) < 0.25
        share = np.where(second, rng.choice([0.1, 0.15, 0.2, 0.25], len(deal)), 0)
        rest = (amount[deal] * share).astype(np.int64) // 100 * 100
        owner = np.concatenate([deal, deal[second]])
        order = np.argsort(owner, kind="stable")
        parts = np.concatenate([amount[deal] - rest, rest[second]])[order]
        product = np.concatenate([self._product[deal], rng.integers(9, 12, int(second.sum()))])[order]
        n = len(order)
        discount = np.where(rng.random(n) < 0.4, rng.choice([0.05, 0.1, 0.15, 0.2], n), 0)
        return _table("deal_lines", {
            "line_id": numbered("I", self._take("deal_lines", n)), "deal_id": self._deal_texts(owner[order]),
            "product_id": numbered("P", product + 1, 2), "quantity": pa.array(rng.geometric(0.3, n)),
            "discount": pa.array(discount), "amount": money(parts),
            "currency": self._currencies(owner[order]),
        })  # fmt: skip

    def _splits(self) -> pa.Table:
        """Some deals are shared with a colleague; a few have a specialist on top."""
        rng, owner = self.rng, self.final.values[OWNER]
        deal = np.flatnonzero(self.final.listed & (self.final.values[STAGE] >= 2))
        mates = rng.permutation(len(self.people))[rng.integers(len(self.people), size=len(deal))]
        other = (
            (self.people.activity[mates] > 0)
            & (mates != owner[deal])
            & self.people.present(float(self.clock.last - 1))[mates]
        )
        shared = other & (rng.random(len(deal)) < 0.06)
        overlaid = other & ~shared & (rng.random(len(deal)) < 0.03)
        share = rng.choice([0.5, 0.6, 0.7, 0.8], int(shared.sum()))
        deals = np.concatenate([deal[shared], deal[shared], deal[overlaid]])
        people = np.concatenate([owner[deal[shared]], mates[shared], mates[overlaid]])
        top = rng.choice([0.1, 0.2, 0.25], int(overlaid.sum()))
        order = np.argsort(deals, kind="stable")
        return _table("splits", {
            "deal_id": self._deal_texts(deals[order]), "rep_id": self._seller(people[order]),
            "kind": picked(("revenue", "overlay"), np.repeat([0, 1], (2 * len(share), len(top)))[order]),
            "share": pa.array(np.round(np.concatenate([share, 1 - share, top]), 2)[order]),
        })  # fmt: skip

    def _activities(self) -> pa.Table:
        """Touches while a deal is open, more of them where it is a good one; and first calls to leads."""
        deals, rng, clock = self.deals, self.rng, self.clock
        decided = self.final.values[STATUS] != OPEN
        until = np.where(decided, np.minimum(deals.when, clock.last), clock.last)
        rate = 0.13 * np.exp(0.25 * deals.quality) * self.final.listed
        counts = rng.poisson(np.minimum(until - deals.created, 60) * rate)
        deal = np.repeat(np.arange(len(deals)), counts)
        when = deals.created[deal] + rng.random(len(deal)) * (until - deals.created)[deal]
        owner = self._owners(deal, when)
        leads = len(self._lead_born)
        when = np.concatenate([when, self._lead_born + rng.exponential(1.0, leads)])
        owner = np.concatenate([owner, self._lead_owner])
        deal = np.concatenate([deal, np.full(leads, NOTHING)])
        lead = np.concatenate([np.full(len(when) - leads, NOTHING), self._lead_numbers])
        there = (when >= clock.first) & (when < clock.last) & self.people.take(owner).present(when)
        order = np.flatnonzero(there)[np.argsort(when[there], kind="stable")]
        return self._activity_table(when[order], owner[order], deal[order], lead[order])

    def _activity_table(self, when: Floats, owner: Ints, deal: Ints, lead: Ints) -> pa.Table:
        rng, n = self.rng, len(when)
        kind = np.where(deal == NOTHING, rng.integers(2, size=n), np.searchsorted(_OFTEN, rng.random(n)))
        minutes = (_MINUTES[kind] * np.exp(rng.normal(0, 0.4, n))).astype(np.int64)
        face, held = _FACE_TO_FACE[kind], rng.random(n) < 0.88
        named = (deal != NOTHING) & (rng.random(n) < 0.7)
        contact = np.where(named, self._first_contact[self._customer[deal]], NOTHING)
        told = (minutes > 0) & held & (rng.random(n) < 0.75)
        return _table("activities", {
            "activity_id": numbered("V", self._take("activities", n)), "rep_id": self._seller(owner),
            "kind": picked(_KINDS, kind), "occurred_at": moments(self.clock.seconds(when)),
            "deal_id": self._deal_texts(deal), "account_id": pa.nulls(n, pa.string()),
            "contact_id": self._contact_ids(contact), "lead_id": numbered("L", lead),
            "held": pa.array(held, mask=~face), "outcome": picked(self.words.outcomes, np.where(told, rng.integers(6, size=n), NOTHING)),
            "minutes": pa.array(minutes, mask=(minutes == 0) | (face & ~held)),
            "checked_in": pa.array(rng.random(n) < 0.6, mask=(kind != _KINDS.index("visit")) | ~held),
        })  # fmt: skip

    def _owners(self, deal: Ints, when: Floats) -> Ints:
        """Who owned each deal at a time."""
        e = self.events.take(self.events.field == OWNER)
        known = (e.deal << 36) + e.when
        return e.new[np.searchsorted(known, (deal << 36) + self.clock.seconds(when), side="right") - 1]

    def _collections(self) -> pa.Table:
        """Won deals are delivered, invoiced and paid for, some in parts, some late, some not yet."""
        rng = self.rng
        _stage, status, amount, close, _owner = self.final.values
        deal = np.flatnonzero((status == WON) & (amount > 0))
        n = len(deal)
        invoiced = close[deal] + rng.integers(2, 11, n)
        delivered = close[deal] + rng.integers(5, 40, n)
        part, paid, each = self._payments(amount[deal], invoiced)
        some = np.flatnonzero(rng.random(n) < 0.3)
        deals = np.concatenate([deal[some], deal, deal[part]])
        when = np.concatenate([delivered[some], invoiced, paid])
        sums = np.concatenate([amount[deal[some]], amount[deal], each])
        basis = np.repeat([0, 1, 2], (len(some), n, len(part)))
        order = np.lexsort((basis, when, deals))
        order = order[when[order] <= (self.world.end - EPOCH).days]
        return _table("collections", {
            "collection_id": numbered("B", self._take("collections", len(order))), "deal_id": self._deal_texts(deals[order]),
            "basis": picked(("delivered", "invoiced", "collected"), basis[order]), "collected_on": days(when[order]),
            "amount": money(sums[order]), "currency": self._currencies(deals[order]),
        })  # fmt: skip

    def _payments(self, amount: Ints, invoiced: Ints) -> tuple[Ints, Ints, Ints]:
        """For each payment: which invoice it is for, its day, its amount; together they make the invoice."""
        rng, n = self.rng, len(amount)
        parts = rng.choice([1, 2, 3], n, p=[0.7, 0.22, 0.08])
        part = np.repeat(np.arange(n), parts)
        nth = np.arange(len(part)) - (np.cumsum(parts) - parts)[part]
        paid = invoiced[part] + 30 * nth + (10 + rng.gamma(1.5, 18, len(part))).astype(np.int64)
        each = amount[part] // parts[part] // 100 * 100
        return part, paid, np.where(nth == 0, amount[part] - each * (parts[part] - 1), each)

    def _costs(self) -> pa.Table:
        """What was sold cost something; so do the sellers."""
        _stage, status, amount, close, _owner = self.final.values
        deal = np.flatnonzero((status == WON) & (amount > 0))
        goods = (amount[deal] * self.rng.uniform(0.42, 0.62, len(deal))).astype(np.int64) // 1000 * 1000
        monthly = self.office.costs(self.people, company=bool(self.people.number[0] == 0))
        n, m = len(deal), len(monthly["amount"])
        currency = pa.concat_arrays([self._currencies(deal), pa.repeat(self.world.currencies[0], m)])
        return _table("costs", {
            "cost_id": numbered("K", self._take("costs", n + m)),
            "kind": pa.concat_arrays([pa.repeat("goods", n), monthly["kind"]]),
            "incurred_on": days(np.concatenate([close[deal], monthly["incurred_on"]])),
            "rep_id": self.office.seller(np.concatenate([np.full(n, NOTHING), monthly["rep"]])),
            "deal_id": self._deal_texts(np.concatenate([deal, np.full(m, NOTHING)])),
            "amount": money(np.concatenate([goods, monthly["amount"]])), "currency": currency,
        })  # fmt: skip

    # Ids

    def _seller(self, index: Ints) -> pa.Array:
        return self.office.seller(np.where(index < 0, NOTHING, self.people.number[index]))

    def _deal_ids(self, numbers: Ints) -> pa.Array:
        return numbered("D", numbers, 5)

    def _deal_texts(self, index: Ints) -> pa.Array:
        return self.id_texts.take(pa.array(index, mask=index < 0))

    def _account_ids(self, index: Ints) -> pa.Array:
        return numbered("A", _number(self._accounts, index), 4)

    def _contact_ids(self, index: Ints) -> pa.Array:
        return numbered("C", _number(self._contact_numbers, index), 4)

    def _currencies(self, deal: Ints) -> pa.Array:
        return picked(self.world.currencies, self.deals.other_currency[deal].astype(np.int64))


def _within(story: Story, told: Events, start: date, end: date) -> tuple[Deals, Events]:
    """The deals that are still going on when the files begin, or come later, and what happens to them."""
    deals = story.deals
    latest = np.zeros(len(deals), np.int64)
    np.maximum.at(latest, told.deal, told.when)
    known = np.zeros(len(deals), bool)
    known[told.deal[told.recorded < end_of_day(end)]] = True
    kept = known & ((latest >= (start - EPOCH).days * _DAY) | (deals.status == OPEN))
    events = told.take(kept[told.deal])
    renumbered = np.cumsum(kept) - 1
    return deals.take(kept), Events(renumbered[events.deal], *events.columns[1:])


def _category(stage: Ints, status: Ints, close: Ints, today: int) -> Ints:
    month = np.datetime64(int(today), "D").astype("datetime64[M]")
    now = close.astype("datetime64[D]").astype("datetime64[M]") == month
    likely = np.where(now, _CATEGORIES.index("Forecast"), _CATEGORIES.index("MostLikely"))
    by_stage = np.where(stage < 2, _CATEGORIES.index("Pipeline"), _CATEGORIES.index("BestCase"))
    going = np.where(stage == 3, likely, by_stage)
    return np.where(status == OPEN, going, np.where(status == WON, _CATEGORIES.index("Closed"), 0))


def _number(numbers: Ints, index: Ints) -> Ints:
    return np.where(index < 0, NOTHING, numbers[index])


def _table(name: str, columns: dict[str, Any]) -> pa.Table:
    """The columns in the order of the declaration."""
    return pa.table({key: columns[key] for key in keys(name)})
