"""The retrospective: what everybody did, then what this rep or team did, and what can be told from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from babel.numbers import get_currency_precision

from coachbook.charts import Picture, Prose, Sheet, theme
from coachbook.charts.movement import Part, movement
from coachbook.charts.strip import Bar, strip
from coachbook.charts.tiles import Tile, Tiles, Tone
from coachbook.charts.trend import TrendPoint, amount_trend, rate_trend
from coachbook.metrics.judging import NOT_ENOUGH
from coachbook.metrics.metric import Metric
from coachbook.metrics.registry import MAIN, METRICS
from coachbook.model.findings import K_ANONYMOUS, Comparison, Finding, Named, Split, With
from coachbook.model.periods import Period, parse_day
from coachbook.text import UNKNOWN, _, day, money, number, percent, points, told
from coachbook.warehouse.slices import Deal, Slice
from coachbook.workbooks import emitted, wording

TILES = (
    "won_amount",
    "win_rate_count",
    "average_deal_size",
    "value_per_customer",
    "cycle_days",
    "open_pipeline",
)
MOVED = ("won_amount", "win_rate_count", "win_rate_value", "average_deal_size", "cycle_days")
EARLIER: tuple[With, ...] = ("previous", "year_ago")
MOST_DEALS = 5
MOST_ROWS = 25


@dataclass(frozen=True)
class Retrospective:
    """The frozen review of one scope and period. Its parts are methods that show; `to_dict` is all of it as data."""

    slice: Slice
    period: Period
    findings: tuple[Finding, ...]
    named: tuple[Named, ...]

    @classmethod
    def of(cls, seen: Slice, period: Period) -> Retrospective:
        """Build the review from a slice."""
        return cls(
            slice=seen,
            period=period,
            findings=tuple(Finding.from_dict(f) for f in seen.page["findings"]),
            named=tuple(Named(**n) for n in seen.page["named"]),
        )

    @property
    def name(self) -> str:
        """Whose review it is."""
        return str(self.slice.about["scope"]["name"])

    @property
    def looked_at(self) -> int:
        """How many comparisons were tested for something to single out."""
        return int(self.slice.page["looked_at"])

    def finding(self, metric: str) -> Finding:
        """The main variant of a metric."""
        return next(f for f in self.findings if f.metric == metric)

    # What everybody did

    def everybody(self) -> Prose:
        """The first thing a page says: the company's plain figures, everybody in them."""
        figures, moved = (self.slice.everyone[part] for part in ("figures", "moved"))
        rate, won = figures["win_rate_count"], figures["won_amount"]
        shown = [f[span] for f in (rate, won) for span in ("now", "previous")]
        if any(figure and figure["n"] is None for figure in shown):
            return Prose(
                (_("Too few people for a figure of the whole company that would not show a colleague's."),),
                lead=True,
            )
        if not (rate["previous"] and rate["previous"]["n"] and rate["now"]["n"]):
            return Prose((_("The data hold no earlier period to compare the company with."),), lead=True)
        currency = self.slice.about["currency"]
        first = _(
            "In {period} the whole company's win rate was {rate}, after {rate_before} in {before}; won amount {won}, after {won_before}.",
            period=self.period.label, before=self.period.previous.label,
            rate=percent(rate["now"]["value"], 1), rate_before=percent(rate["previous"]["value"], 1),
            won=money(won["now"]["value"], currency, compact=True),
            won_before=money(won["previous"]["value"], currency, compact=True),
        )  # fmt: skip
        then = moved["previous"]
        return Prose((first, self._who_moved(then)) if then else (first,), lead=True)

    def _who_moved(self, moved: Mapping[str, int]) -> str:
        values = {"fell": moved["fell"], "rose": moved["rose"], "of": moved["of"]}
        if moved["fell"] > moved["of"] * 0.75:
            return _(
                "It fell for {fell} of {of} reps: what everybody lost is not one person's doing. Look at what the company changed first.",
                **values,
            )
        if moved["rose"] > moved["of"] * 0.75:
            return _(
                "It rose for {rose} of {of} reps: what everybody gained is not one person's doing either.",
                **values,
            )
        return _(
            "It fell for {fell} and rose for {rose} of {of} reps: there is no common movement to explain a single page by.",
            **values,
        )

    # Then the rep

    def sentences(self) -> Prose:
        """Three plain sentences, made from figures, verdicts and `named` alone."""
        return Prose((self._what_happened(), self._whose_matter(), self._beside_peers()), kind="list")

    def _what_happened(self) -> str:
        rate, won = self.finding("win_rate_count"), self.finding("won_amount")
        wins = self.finding("deals_won").n
        if rate.value is None:
            return _(
                "{name} has no decided deal in {period}: there is no rate to speak of.",
                name=self.name,
                period=self.period.label,
            )
        said = _(
            "{name} won {wins} of {decided} decided deals in {period}, {amount} in all: a win rate of {rate}, and by chance alone anything from {interval} would not surprise.",
            name=self.name, period=self.period.label, wins=wins, decided=rate.n,
            amount=wording.figure(won.value, won.unit), rate=percent(rate.value),
            interval=wording.spread(rate.interval, rate.unit),
        ) if rate.interval else _(
            "{name} won {wins} of {decided} decided deals in {period}, {amount} in all: not enough for a rate (n = {decided}, needs {needs}).",
            name=self.name, period=self.period.label, wins=wins, decided=rate.n,
            amount=wording.figure(won.value, won.unit), needs=rate.reason_values["needs"],
        )  # fmt: skip
        shared = _("Of shared deals, the amount counts the parts credited to {name}.", name=self.name)
        return told([said, shared]) if self._shares_deals else said

    def _whose_matter(self) -> str:
        """Coach the rep, fix the process, or wait."""
        rate = self.finding("win_rate_count")
        then = rate.against("previous")
        if then is None or then.split is None or then.difference is None:
            return _(
                "The win rate cannot be compared with the period before, so nothing is said about where it moved."
            )
        if then.split.interval is None:
            return _(
                "There are too few decided deals in one of the two periods (n = {n} and {n_before}) to say where the win rate moved.",
                n=rate.n, n_before=then.n,
            )  # fmt: skip
        values = {
            "before": percent(then.value), "now": percent(rate.value), "own": points(then.split.own),
            "shared": points(then.difference - then.split.own), "interval": wording.change_spread(then.split.interval, "share"),
        }  # fmt: skip
        own = next((n for n in self.named if (n.metric, n.against) == ("win_rate_count", "previous")), None)
        if own and own.direction == "worse":
            return _(
                "Since the period before the win rate went from {before} to {now}; {shared} of that is shared with everybody, {own} is the own part ({interval}) and more than chance: worth a conversation, coach the rep.",
                **values,
            )
        if own:
            return _(
                "Since the period before the win rate went from {before} to {now}; {shared} of that is shared with everybody, {own} is the own part ({interval}) and more than chance: ask what worked, and pass it on.",
                **values,
            )
        if self._shared_fall(then):
            return _(
                "Since the period before the win rate went from {before} to {now}; {shared} of that is shared with everybody, the own part is {own} ({interval}), which chance alone could explain: fix process, price or resources before coaching anybody.",
                **values,
            )
        return _(
            "Since the period before the win rate went from {before} to {now}; {shared} of that is shared with everybody, the own part is {own} ({interval}), which chance alone could explain: wait.",
            **values,
        )

    def _shared_fall(self, then: Comparison) -> bool:
        """Whether what the company lost is more than chance, and itself worth acting on."""
        assert then.split is not None
        return then.split.company_verdict is True and then.split.company < 0

    def _beside_peers(self) -> str:
        said = [
            wording.named(self.finding(n.metric), "peers", n.direction)
            for n in self.named
            if n.against == "peers"
        ]
        if said:
            return told(said)
        peers = self.finding("win_rate_count").against("peers")
        if not self.finding("win_rate_count").comparisons:
            return _("{name} has no deal, so there is nothing to compare.", name=self.name)
        if peers is None or peers.difference is None or not self.looked_at:
            return _("There is nobody to compare with, or too little to compare.")
        if peers.n_needed:
            return _(
                "Beside peers nothing stands out among {looks} comparisons; for the win rate ({own} against {theirs}) about {needed} decided deals would be needed to tell.",
                looks=self.looked_at, own=percent(self.finding("win_rate_count").value), theirs=percent(peers.value),
                needed=number(peers.n_needed),
            )  # fmt: skip
        return _("Beside peers nothing stands out among {looks} comparisons.", looks=self.looked_at)

    def tiles(self) -> Tiles:
        """Key figures, each with n, interval and what it is compared with."""
        return Tiles(tuple(self._tile(self.finding(m)) for m in TILES))

    def _tile(self, finding: Finding) -> Tile:
        title = _(wording.metric_of(finding).title)
        if finding.value is None:
            return Tile(title, UNKNOWN, (_(finding.reason, **finding.reason_values),))
        lines = [
            _(
                "n = {n} · 95%: {interval}",
                n=finding.n,
                interval=wording.spread(finding.interval, finding.unit),
            )
            if finding.interval
            else _(finding.reason, **finding.reason_values)
        ]
        shown: tuple[With, ...] = ("previous", "peers")
        for against in shown:
            other = finding.against(against)
            if other is not None and other.value is not None:
                value = wording.figure(other.value, finding.unit)
                lines.append(
                    _("peers: {value}", value=value)
                    if against == "peers"
                    else _("before: {value}", value=value)
                )
        return Tile(title, wording.figure(finding.value, finding.unit), tuple(lines), self._tone(finding))

    def _tone(self, finding: Finding) -> Tone:
        directions = {n.direction for n in self.named if n.metric == finding.metric}
        return directions.pop() if len(directions) == 1 else "unclear" if directions else ""

    def figures(self) -> Sheet:
        """Every figure of the page: formula, n, interval, beside peers."""
        rows = [self._figure_row(f) for f in self.findings]
        columns = (
            _("Figure"),
            _("Value"),
            _("n"),
            _("95% interval"),
            _("Peers"),
            _("Beside peers"),
            _("Formula"),
        )
        return Sheet(
            "figures",
            columns,
            tuple(rows),
            _("All figures of {period}", period=self.period.label),
            right=(1, 2, 3, 4),
        )

    def _figure_row(self, finding: Finding) -> tuple[str, ...]:
        metric = next(m for m in METRICS if (m.id, m.variant) == (finding.metric, finding.variant))
        peers = finding.against("peers")
        few = _(NOT_ENOUGH, **finding.reason_values) if finding.interval is None else ""
        return (
            _(metric.title),
            wording.figure(finding.value, finding.unit),
            number(finding.n),
            few or wording.spread(finding.interval, finding.unit),
            wording.figure(peers.value, finding.unit) if peers else UNKNOWN,
            wording.verdict(finding, peers, called=self._called(finding.metric, "peers"))
            if peers
            else _("compared with nobody"),
            _(metric.formula),
        )

    # Where it moved

    def movement(self) -> Picture | Prose:
        """The win rate's movement since the period before, taken apart: company + team + own."""
        finding = self.finding("win_rate_count")
        then = finding.against("previous")
        if then is None or then.split is None or then.split.interval is None:
            return Prose((_("Too few deals, or too few other people, to take the movement apart."),))
        split, interval, unit = then.split, then.split.interval, finding.unit
        parts = [
            Part(_("company"), split.company, None, None, theme.MUTED, wording.change(split.company, unit))
        ]
        if split.team is not None:
            parts.append(
                Part(_("team"), split.team, None, None, theme.MUTED, wording.change(split.team, unit))
            )
        parts.append(
            Part(
                _("own"),
                split.own,
                interval.low,
                interval.high,
                self._own_colour(),
                wording.change(split.own, unit),
            )
        )
        text = _(
            "Movement of the win rate since the period before, {total} in all: {parts}; 95% interval of own {interval}.",
            total=wording.change(then.difference, unit), parts="; ".join(f"{p.label} {p.figure}" for p in parts),
            interval=wording.change_spread(interval, unit),
        )  # fmt: skip
        return movement(parts, title=_("percentage points"), text=text)

    def _own_colour(self) -> str:
        own = next((n for n in self.named if (n.metric, n.against) == ("win_rate_count", "previous")), None)
        return theme.MUTED if own is None else theme.BETTER if own.direction == "better" else theme.WORSE

    def movements(self) -> Sheet | Prose:
        """Against the period before and the year before, each split into company, team and own."""
        rows = [
            self._movement_row(self.finding(metric), against)
            for metric in MOVED
            for against in EARLIER
            if self.finding(metric).against(against) is not None
        ]
        if not rows:
            return Prose((_("{name} has no deal, so there is nothing to compare.", name=self.name),))
        columns = (
            _("Figure"), _("Compared with"), _("Then"), _("Change"), _("company"), _("team"), _("own"),
            _("95% interval of own"), _("Is it the own part?"),
        )  # fmt: skip
        note = _(
            "company + team + own = change. A dash under team: fewer than {k} other people to stand on.",
            k=K_ANONYMOUS,
        )
        return Sheet(
            "movements", columns, tuple(rows), _("Each movement, taken apart"), note, right=(2, 3, 4, 5, 6, 7)
        )

    def _movement_row(self, finding: Finding, against: With) -> tuple[str, ...]:
        then = finding.against(against)
        assert then is not None
        split, unit = then.split, finding.unit
        return (
            _(wording.metric_of(finding).title),
            _(wording.COMPARED[against]),
            wording.figure(then.value, unit),
            wording.change(then.difference, unit),
            wording.change(split.company, unit) if split else UNKNOWN,
            wording.change(split.team, unit) if split else UNKNOWN,
            wording.change(split.own, unit) if split else UNKNOWN,
            wording.change_spread(split.interval, unit) if split else UNKNOWN,
            self._own_verdict(split, finding, against),
        )

    def _called(self, metric: str, against: With) -> bool:
        """Whether the page calls it out."""
        return any((n.metric, n.against) == (metric, against) for n in self.named)

    def _own_verdict(self, split: Split | None, finding: Finding, against: With) -> str:
        if split is None or split.verdict is None:
            return _("cannot tell")
        if split.verdict is False:
            return _("nothing worth acting on")
        return wording.clear(finding, called=self._called(finding.metric, against))

    # Over time

    def win_rate_trend(self) -> Picture:
        """The win rate over the last periods, beside everybody's."""
        points_ = self._trend("win_rate_count", lambda v: percent(v), 1.0)
        text = _("Win rate per period: {points}.", points="; ".join(f"{p.period} {p.tip}" for p in points_))
        return rate_trend(points_, own=self.name, everybody=_("everybody"), title=_("win rate"), text=text)

    def won_amount_trend(self) -> Picture | Prose:
        """Won amount over the last periods."""
        if not any(p["value"] for p in self.slice.page["trend"]["won_amount"]):
            return Prose((_("{name} has won nothing in these periods.", name=self.name),))
        currency = self.slice.about["currency"]
        scale = 10 ** get_currency_precision(currency)
        points_ = self._trend("won_amount", lambda v: money(v, currency, compact=True), scale)
        text = _("Won amount per period: {points}.", points="; ".join(f"{p.period} {p.tip}" for p in points_))
        return amount_trend(points_, title=_("won amount, {currency}", currency=currency), text=text)

    def _trend(self, metric: str, say: Any, scale: float) -> list[TrendPoint]:
        def scaled(value: float | None) -> float | None:
            return None if value is None else value / scale

        return [
            TrendPoint(
                p["period"], scaled(p["value"]), scaled(p["low"]), scaled(p["high"]), scaled(p["everybody"]),
                _("{value} (n = {n})", value=say(p["value"]), n=p["n"]),
            )
            for p in self.slice.page["trend"][metric]
        ]  # fmt: skip

    # What was won and lost

    def _open(self) -> list[Deal]:
        """Deals open at the as-of instant, the largest first."""
        return sorted((d for d in self.slice.deals if d.status == "open"), key=_largest_first)

    def _decided(self, *statuses: str) -> list[Deal]:
        """Deals of those statuses with a close date in the period, the largest first."""
        span = self.period.span
        inside = [
            d
            for d in self.slice.deals
            if d.status in statuses and d.close_on and span.first <= d.close_on < span.after
        ]
        return sorted(inside, key=_largest_first)

    def wins_and_losses(self) -> Sheet:
        """Decided deals by product."""
        by_product: dict[str, list[Deal]] = {}
        for deal in self._decided("won", "lost"):
            by_product.setdefault(deal.product or _("no product"), []).append(deal)
        ordered = sorted(by_product.items(), key=lambda item: (-len(item[1]), item[0]))
        rows = tuple(self._product_row(product, deals) for product, deals in ordered)
        nothing = ((_("no decided deal"), "0", "0", *[UNKNOWN] * 3),)
        return Sheet(
            "wins-and-losses",
            (_("Product"), _("Won"), _("Lost"), _("Win rate"), _("Won amount"), _("Lost amount")),
            rows or nothing,
            _("Wins and losses by product"),
            _(
                "These rows describe; with few deals each, they are not tested and nothing is named from them."
            ),
            right=(1, 2, 3, 4, 5),
        )

    def _product_row(self, product: str, deals: list[Deal]) -> tuple[str, ...]:
        currency = self.slice.about["currency"]
        won = [d for d in deals if d.status == "won"]
        lost = [d for d in deals if d.status == "lost"]
        enough = len(deals) >= MAIN["win_rate_count"].smallest_n
        return (
            product,
            number(len(won)),
            number(len(lost)),
            percent(len(won) / len(deals)) if enough else UNKNOWN,
            money(sum(d.amount_minor or 0 for d in won), currency, compact=True),
            money(sum(d.amount_minor or 0 for d in lost), currency, compact=True),
        )

    def largest_deals(self) -> Sheet:
        """The largest wins and losses: names to talk about."""
        said = {"won": _("won"), "lost": _("lost")}
        top = [d for status in said for d in self._decided(status)[:MOST_DEALS]]
        rows = tuple(
            (
                said[d.status], d.name or d.deal_id, d.product or UNKNOWN,
                self._money(d.amount_minor),
                number((d.close_on - d.created_on).days) if d.close_on and d.created_on else UNKNOWN,
            )
            for d in top
        )  # fmt: skip
        columns = (_("Result"), _("Deal"), _("Product"), _("Amount"), _("Days"))
        nothing = ((_("no decided deal"), *[UNKNOWN] * 4),)
        return Sheet(
            "largest-deals", columns, rows or nothing, _("The largest wins and losses"), right=(3, 4)
        )

    # Beside others

    def peers(self) -> Picture | Prose:
        """The win rate beside others, each with its interval: by name where the reader may, else in bands."""
        bars = self._people() if self.slice.peers else self._bands()
        bars.sort(key=lambda bar: bar.value is None)
        if len(bars) < 2:
            return Prose((_("There is nobody to compare with, or too little to compare."),))
        text = _("Win rates side by side: {bars}.", bars="; ".join(f"{b.label} {b.tip}" for b in bars))
        return strip(bars, title=_("win rate, 95% interval"), text=text)

    def _people(self) -> list[Bar]:
        own = self.slice.about["scope"]
        return [
            _bar(
                p.name,
                p.value,
                p.low,
                p.high,
                p.n,
                own=(p.rep_id if own["kind"] == "rep" else p.team_id) == own["id"],
            )
            for p in self.slice.peers
        ]

    def _bands(self) -> list[Bar]:
        labels = {
            1: [_("other reps")],
            2: [_("lower half"), _("upper half")],
            3: [_("lower third"), _("middle third"), _("upper third")],
        }
        bands = self.slice.page["bands"]
        rate = self.finding("win_rate_count")
        bars = [
            _bar(_("{label} ({people})", label=label, people=b["people"]), b["value"], b["low"], b["high"], b["n"], own=False)
            for label, b in zip(labels.get(len(bands), []), bands, strict=True)
        ]  # fmt: skip
        if rate.value is not None:
            low, high = (rate.interval.low, rate.interval.high) if rate.interval else (None, None)
            bars.append(_bar(self.name, rate.value, low, high, rate.n, own=True))
        return sorted(bars, key=lambda b: -(b.value or 0))

    # The rows behind the figures

    def rows(self) -> Sheet:
        """The deals that the figures count: won, lost, open, of each the largest first; parts in others' deals below."""
        won, lost, still_open = self._decided("won"), self._decided("lost"), self._open()
        columns = [
            _("Deal"),
            _("Id"),
            _("Result"),
            _("Amount"),
            _("Closed or due"),
            _("Created"),
            _("Product"),
        ]
        rows = [self._deal_row(deal) for deals in (won, lost, still_open) for deal in deals[:MOST_ROWS]]
        if self._shares_deals:
            parts = {deal.deal_id: deal.amount_minor for deal in self._behind(MAIN["won_amount"])}
            columns.append(_("Credited"))
            rows = [(*row, self._money(parts.pop(row[1], None))) for row in rows]
            others = _("a share in somebody else's deal")
            rows += [(others, key, *[UNKNOWN] * 5, self._money(part)) for key, part in parts.items()]
        nothing = (_("no such deal"), *[UNKNOWN] * (len(columns) - 1))
        caption = _(
            "Deals behind the figures: {won} won, {lost} lost, {open} open",
            won=number(len(won)), lost=number(len(lost)), open=number(len(still_open)),
        )  # fmt: skip
        note = _("Of each result, the largest {most} are listed.", most=MOST_ROWS)
        long = max(map(len, (won, lost, still_open))) > MOST_ROWS
        return Sheet(
            "rows", tuple(columns), tuple(rows) or (nothing,), caption, note if long else "",
            right=(3, 4, 5, 7)[: len(columns) - 4], whole=(1, 2),
        )  # fmt: skip

    def _behind(self, metric: Metric) -> list[Deal]:
        """The deals that a metric counts, the largest first; one that counts credit, with the part credited."""
        if metric.counts == ("open",):
            return self._open()
        if not metric.credited:
            return self._decided(*metric.counts)
        known = {deal.deal_id: deal for deal in self.slice.deals}
        parts = [_part(known.get(id), id, credit) for id, credit in self._credited().items()]  # noqa: A001
        return sorted(parts, key=_largest_first)

    @property
    def _shares_deals(self) -> bool:
        """Whether what is credited is not what was won: somebody has a part in a deal of somebody else."""
        return self._behind(MAIN["won_amount"]) != self._decided("won")

    def _credited(self) -> dict[str, int]:
        """What of each deal won in the period is credited to the scope."""
        span, parts = self.period.span, dict[str, int]()
        for c in self.slice.credits:
            if c.status == "won" and c.close_on and span.first <= c.close_on < span.after:
                parts[c.deal_id] = parts.get(c.deal_id, 0) + (c.credited_minor or 0)
        return parts

    def _deal_row(self, deal: Deal) -> tuple[str, ...]:
        said = {"won": _("won"), "lost": _("lost"), "open": _("open")}
        return (
            deal.name or UNKNOWN, deal.deal_id, said[deal.status], self._money(deal.amount_minor),
            *(day.isoformat() if day else UNKNOWN for day in (deal.close_on, deal.created_on)),
            deal.product or UNKNOWN,
        )  # fmt: skip

    def _money(self, minor: int | None) -> str:
        return money(minor, self.slice.about["currency"])

    # What the data cannot tell

    def limits(self) -> Prose:
        """What these data cannot tell."""
        still_open = len(self._open())
        said = [
            _("The data are as of {as_of}; nothing known later is used.", as_of=day(parse_day(self.slice.about["as_of"]))),
            _("Win rates count deals by the day they were closed. {open} deals are still open, and slow losses come last: recent periods can look better than they will."
              , open=number(still_open)),
            _("Amounts are those last known by that day, and a decided deal counts for whoever owned it when it was closed, as far as the data show. The open pipeline is that of the as-of day and is compared with no earlier one."),
            _("{looks} comparisons were tested and the false discovery rate is held at 5% over all of them; where nothing is called out, the data cannot tell.", looks=self.looked_at),
            _("Peers are all other reps on the roster in the period, whatever their territory or products: a difference goes with the person's portfolio as much as with the person."),
            _("The same period a year ago is taken as it is, without adjusting for working days."),
        ]  # fmt: skip
        if self.slice.everyone["without_outsiders"]:
            said.append(
                _("The company's figures leave out deals whose owners are not on the roster: they are too few to be shown without showing one of them.")
            )  # fmt: skip
        if self.slice.page["partial"]:
            said.insert(
                1, _("The period is still running: it is compared with as many days of the earlier ones.")
            )
        return Prose(tuple(said), kind="list")

    # As data

    def to_dict(self) -> dict[str, Any]:
        """The whole review as plain data, schema `coachbook.review/1`."""
        return {
            **emitted.head("retrospective", self.slice),
            "findings": [self._finding_dict(f) for f in self.findings],
            "named": [
                {
                    "metric": n.metric,
                    "with": n.against,
                    "direction": n.direction,
                    "text": wording.named(self.finding(n.metric), n.against, n.direction),
                }
                for n in self.named
            ],
            "looked_at": self.looked_at,
            "everybody": self.slice.everyone,
            "sentences": list(self.sentences().sentences),
            "trend": self.slice.page["trend"],
            "partial": self.slice.page["partial"],
        }

    def _finding_dict(self, finding: Finding) -> dict[str, Any]:
        plain = finding.to_dict()
        values = plain.pop("reason_values")
        plain["reason"] = _(finding.reason, **values) if finding.reason else ""
        for comparison, known in zip(plain["comparisons"], finding.comparisons, strict=True):
            comparison["reason"] = wording.reason(finding, known)
        return {**plain, "text": wording.text(finding), "evidence": self._evidence(finding)}

    def _evidence(self, finding: Finding) -> dict[str, Any]:
        """The deals behind a figure: how many, and the ids of the largest."""
        behind = self._behind(wording.metric_of(finding))
        return {"deals": len(behind), "largest": [d.deal_id for d in behind[:MOST_DEALS]]}

    def _repr_mimebundle_(self, **_kwargs: object) -> dict[str, Any]:
        return {emitted.MIME: self.to_dict(), "text/plain": str(self)}

    def __str__(self) -> str:
        named = [n["text"] for n in self.to_dict()["named"]]
        return "\n".join(named) or _("Nothing stands out.")


def _part(deal: Deal | None, deal_id: str, credited_minor: int) -> Deal:
    """A deal with the part credited as its amount; of somebody else's deal no more is told."""
    if deal:
        return replace(deal, amount_minor=credited_minor)
    return Deal(deal_id, None, None, "won", None, None, credited_minor)


def _largest_first(deal: Deal) -> tuple[int, str]:
    return -(deal.amount_minor or 0), deal.deal_id


def _bar(label: str, value: float, low: float | None, high: float | None, n: int, *, own: bool) -> Bar:
    """A row of the strip; a figure without an interval has no place on it."""
    if low is None:
        few = _(NOT_ENOUGH, n=n, needs=MAIN["win_rate_count"].smallest_n)
        return Bar(_("{value} (n = {n})", value=label, n=n), None, None, None, own, few)
    tip = _(
        "{value} ({low} to {high}, n = {n})",
        value=percent(value), low=percent(low), high=percent(high), n=n,
    )  # fmt: skip
    return Bar(label, value, low, high, own, tip)
