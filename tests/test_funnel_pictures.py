"""Pictures of the funnel review: what they show, what they leave open, in both languages, inert."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest

from coachbook.charts import Picture, svg, theme
from coachbook.charts.dwell import Expected, Stay, StayPoint, dwell
from coachbook.charts.funnel import StageBar, funnel
from coachbook.charts.heat import Cell, HeatRow, heat
from coachbook.charts.journey import Lane, Mark, Visit, journey
from coachbook.charts.picture import embedded
from coachbook.charts.waterfall import Flow, waterfall
from coachbook.text import Locale, speaking

HOSTILE = "</script><script>alert(1)</script>"
WIDE, NARROW = 900, 350
WORDS = {
    Locale.EN: {"expected": "expected", "unknown": "cannot tell", "none": "Nothing by:", "ends": "data end here"},
    Locale.ZH_CN: {"expected": "预期", "unknown": "数据不足以判断", "none": "没有变动：", "ends": "数据到此为止"},
}  # fmt: skip


# What the pictures are made of


def bar(label: str, value: float | None, low: float | None = None, high: float | None = None, expected: float | None = None) -> StageBar:  # fmt: skip
    figure = "n = 3" if value is None else f"{value:.0%} of 40"
    ends = "" if low is None or high is None else f" ({low:.0%} to {high:.0%})"
    aim = "" if expected is None else f", expected {expected:.0%}"
    return StageBar(label, value, low, high, expected, figure, f"{label}: {figure}{ends}{aim}.")


def staying(*shares: tuple[float, float], interval: bool = True) -> tuple[StayPoint, ...]:
    return tuple(
        StayPoint(day, share, share - 0.02 if interval else None, share + 0.02 if interval else None, f"Day {day:g}: {share:.0%}.")
        for day, share in shares
    )  # fmt: skip


def flow(label: str, deals: int, amount: float) -> Flow:
    figure = f"{amount:+,.0f} · {deals}"
    return Flow(label, deals, amount, figure, theme.ACCENT, f"{label}: {figure}.")


def cell(value: float | None, behind: str = "12 of 30") -> Cell:
    return Cell(value, "?" if value is None else f"{value * 100:+.0f}", behind)


START, END = flow("Start", 9, 1000), flow("End", 7, 900)
FLOWS = (flow("Created", 2, 300), flow("Reopened", 0, 0), flow("Dated in", 3, 0), flow("Won", 2, -400))
LANES = (Lane("Contact", "9 days"), Lane("Offer", "20 days"), Lane("Close date", "2 × later"))
VISITS = (
    Visit("Contact", date(2026, 3, 1), date(2026, 3, 10), True, "Contact from March 1."),
    Visit("Offer", date(2026, 3, 10), date(2026, 3, 30), True, "Offer from March 10."),
)
MARKS = (
    Mark("Close date", date(2026, 3, 20), "later", "March 20: 14 days later."),
    Mark("Close date", date(2026, 3, 5), "earlier", "March 5: 3 days earlier."),
)


def _funnel(name: str, words: dict[str, str]) -> Picture:
    stages = [bar(name, 0.77, 0.65, 0.86, 0.6), bar("需求", None, expected=0.7), bar("Offer", 0.4, 0.2, 0.6)]
    return funnel(stages, title="95%", expected=words["expected"], unknown=words["unknown"], text="Stages.")


def _dwell(name: str, words: dict[str, str]) -> Picture:
    own = Stay(name, staying((0, 1), (4, 0.5), (7, 0.3)), f"{name}: 9 deals.")
    everybody = Stay("全体", staying((0, 1), (5, 0.4), (9, 0), interval=False), "Everybody: 400 deals.")
    aim = Expected(6, f"{words['expected']} 6")
    return dwell(own, everybody, expected=aim, ends=words["ends"], days="days", title="there", text="Dwell.")


def _waterfall(name: str, words: dict[str, str]) -> Picture:
    return waterfall(START, [flow(name, 1, 5), *FLOWS], END, none=words["none"], text="Bridge.")


def _heat(name: str, words: dict[str, str]) -> Picture:
    rows = [HeatRow(name, (cell(0.1), cell(None, "3 deals"))), HeatRow("董芳", (cell(-0.2), cell(0.04)))]
    return heat(rows, ["First", "方案"], title="pp", unknown=words["unknown"], text="Heat.")


def _journey(name: str, words: dict[str, str]) -> Picture:
    lanes = [*LANES, Lane(name, words["unknown"])]
    return journey(VISITS, [*MARKS, Mark(name, date(2026, 3, 9), "dot", f"{name} on March 9.")], lanes, text="Life.")  # fmt: skip


Make = Callable[[str, dict[str, str]], Picture]
PICTURES: dict[str, Make] = {
    "funnel": _funnel, "dwell": _dwell, "waterfall": _waterfall, "heat": _heat, "journey": _journey,
}  # fmt: skip
every = pytest.mark.parametrize("make", PICTURES.values(), ids=PICTURES)


def made(make: Make, name: str = "Ada", locale: Locale = Locale.EN) -> Picture:
    with speaking(locale):
        return make(name, WORDS[locale])


def drawn(picture: Picture, width: int = WIDE) -> Element:
    return ElementTree.fromstring(svg(picture.spec, width))


def said(root: Element) -> list[str]:
    """Every piece of text that a reader sees."""
    return [element.text or "" for element in root.iter() if element.tag.endswith(("}text", "}tspan"))]


def shapes(root: Element, role: str) -> list[Element]:
    return [e for e in root.iter() if e.attrib.get("aria-roledescription") == role]


def marks(root: Element, kind: str) -> list[Element]:
    """What layers of one kind of mark have drawn: not axes, not legends."""
    return [
        child
        for group in root.iter()
        if re.match(rf"mark-{kind} role-mark layer_\d+_", group.attrib.get("class", ""))
        for child in group
    ]


# What all have in common


@every
@pytest.mark.parametrize("locale", Locale)
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_it_is_drawn_without_script_in_the_width_it_gets(make: Make, locale: Locale, width: int) -> None:
    root = drawn(made(make, HOSTILE, locale), width)
    assert float(root.attrib["width"]) == width
    assert not [e for e in root.iter() if e.tag.endswith(("script", "foreignObject", "image", "}a"))]
    assert any(text.startswith("</script>"[:5]) for text in said(root))


@every
def test_a_hostile_name_stays_data(make: Make) -> None:
    picture = made(make, HOSTILE)
    html = embedded(picture.spec, picture.text)
    assert html.count("<script") == html.count("</script") == 1
    inside = html[html.index(">", html.index("<script")) + 1 : html.index("</script")]
    assert json.loads(inside) == json.loads(json.dumps(picture.spec))
    assert HOSTILE in picture.text


@every
@pytest.mark.parametrize("locale", Locale)
def test_the_alternative_text_tells_every_figure_of_the_rows(make: Make, locale: Locale) -> None:
    picture = made(make, locale=locale)
    rows = [row for table in picture.data.values() for row in table]
    told = [row[key] for row in rows for key in ("tip", "figure", "label") if row.get(key)]
    assert len(told) >= 4
    assert [text for text in told if text not in picture.text] == []
    assert [
        row for row in rows if row.get("value") and f"{abs(row['value']) * 100:.0f}" not in picture.text
    ] == []


@every
def test_colours_are_those_of_the_theme(make: Make) -> None:
    known = {theme.ACCENT, theme.BETTER, theme.WORSE, theme.MUTED, theme.INK, theme.RULE}
    spec = json.dumps(made(make).spec)
    assert set(re.findall(r'"(#[0-9a-fA-F]+)"', spec)) <= known
    assert not re.search(r'"(white|black|red|green|blue|gray|grey)"', spec)


@every
def test_words_are_those_it_was_given(make: Make) -> None:
    """Nothing of its own that would need a translation."""
    for locale in Locale:
        picture = made(make, "名", locale)
        own = {text for text in said(drawn(picture)) if re.search("[A-Za-z]{2}", text)}
        given = json.dumps(
            [picture.text, picture.spec["datasets"], WORDS[locale], "days there pp First"], ensure_ascii=False
        )
        assert {text for text in own if text not in given} == set()


@pytest.mark.parametrize(("locale", "stop"), [(Locale.EN, "."), (Locale.ZH_CN, "。")])
def test_the_alternative_text_is_read_as_sentences_of_its_language(locale: Locale, stop: str) -> None:
    assert [made(make, locale=locale).text[-1] for make in (_heat, _dwell)] == [stop, stop]


# Funnel


def bars_of(stages: Sequence[StageBar]) -> Element:
    return drawn(funnel(stages, title="t", expected="expected", unknown="cannot tell", text=""))


def test_a_stage_that_cannot_be_told_is_not_a_bar_of_0() -> None:
    root = bars_of([bar("A", 0.5, 0.4, 0.6), bar("B", None), bar("C", 0.0, 0.0, 0.2)])
    assert len(shapes(root, "bar")) == 2
    assert said(root).count("cannot tell") == 1
    assert len(marks(root, "text")) == 1
    assert len(shapes(root, "tick")) == 4  # the ends of two intervals
    assert len([e for e in marks(root, "rule") if e.attrib.get("stroke-dasharray")]) == 1


def test_what_is_expected_is_a_tick_that_the_legend_explains() -> None:
    told, untold = bar("A", 0.5, 0.4, 0.6, expected=0.7), bar("A", 0.5, 0.4, 0.6)
    with_, without = bars_of([told, bar("B", None, expected=0.2)]), bars_of([untold])
    assert len(shapes(with_, "tick")) == 2 + 2
    assert len(shapes(without, "tick")) == 2
    assert ("expected" in said(with_), "expected" in said(without)) == (True, False)


@pytest.mark.parametrize(("expected", "anchor"), [(None, None), (0.7, None), (0.2, "end")])
def test_words_keep_clear_of_the_tick(expected: float | None, anchor: str | None) -> None:
    (words,) = marks(bars_of([bar("B", None, expected=expected)]), "text")
    assert words.attrib.get("text-anchor", "start") == (anchor or "start")


def test_stages_stand_in_the_order_given_with_their_figures_below() -> None:
    words = said(bars_of([bar("Z", 0.5, 0.4, 0.6), bar("A", 0.9, 0.8, 1), bar("M", 0.1, 0, 0.3)]))
    names = [text for text in words if text in {"Z", "A", "M"} or " of " in text]
    assert names == ["Z", "50% of 40", "A", "90% of 40", "M", "10% of 40"]


# Dwell


def stays(own: Sequence[StayPoint], everybody: Sequence[StayPoint] = (), expected: Expected | None = None) -> Picture:  # fmt: skip
    return dwell(
        Stay("Ada", tuple(own), "Ada."), Stay("all", tuple(everybody), "All."), expected=expected, ends="data end",
        days="d", title="t", text="",
    )  # fmt: skip


def test_a_curve_ends_in_a_ring_only_where_somebody_is_still_there() -> None:
    unfinished = stays(staying((0, 1), (3, 0.5)), staying((0, 1), (4, 0)))
    assert [(m["what"], m["day"], m["staying"]) for m in unfinished.data["marks"]] == [("data end", 3, 0.5)]
    assert "data end" in said(drawn(unfinished))
    finished = stays(staying((0, 1), (3, 0)), staying((0, 1), (4, 0)))
    assert finished.data["marks"] == []
    assert "data end" not in said(drawn(finished))


def test_a_curve_is_a_staircase() -> None:
    """It holds until the next point: two days on one level, then down."""
    (path,) = [e.attrib["d"] for e in shapes(drawn(stays(staying((0, 1), (5, 0.5), (10, 0)))), "line mark")]
    assert len(re.findall("[LHV]", path)) == 4


def test_a_few_who_stay_for_years_do_not_stretch_the_picture() -> None:
    picture = stays(staying((0, 1), (10, 0.05)), staying((0, 1), (20, 0.05), (40, 0.03), (400, 0.01)))
    assert [row["day"] for row in picture.data["lines"] if row["who"] == "all"] == [0, 20, 40]
    assert picture.spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 20]
    assert "400" not in picture.text
    assert [mark["day"] for mark in picture.data["marks"]] == [10]
    late = stays(staying((0, 1), (3, 0.5)), expected=Expected(30, "half by 30"))
    assert late.spec["layer"][0]["encoding"]["x"]["scale"]["domain"] == [0, 30]


def test_a_side_without_data_has_no_curve_and_a_point_without_interval_no_band() -> None:
    assert len(shapes(drawn(stays((), staying((0, 1), (4, 0.5)))), "line mark")) == 1
    assert not stays(staying((0, 1), (4, 0.5), interval=False)).data["band"]
    assert not shapes(drawn(stays(())), "line mark")


def test_what_is_expected_is_a_rule_with_a_diamond_at_the_half() -> None:
    root = drawn(stays(staying((0, 1), (9, 0)), expected=Expected(4, "half by day 4")))
    assert len(marks(root, "rule")) == 1
    assert said(root)[-1] == "half by day 4"  # the legend explains no ring, as there is none
    assert "half by day 4" in stays((), expected=Expected(4, "half by day 4")).text
    assert not marks(drawn(stays(staying((0, 1), (9, 0)))), "rule")


def test_the_ring_and_the_diamond_differ_in_shape() -> None:
    root = drawn(stays(staying((0, 1), (3, 0.5)), expected=Expected(4, "half by day 4")))
    path = {e.attrib.get("stroke"): e.attrib["d"] for e in marks(root, "symbol") if "stroke" in e.attrib}
    assert path[theme.INK] != path[theme.ACCENT]


# Waterfall


def test_flows_lead_in_their_order_from_start_to_end() -> None:
    rows = waterfall(START, FLOWS, END, none="None:", text="").data["flows"]
    assert [(row["row"].split("\n")[0], row["before"], row["after"], row["out"]) for row in rows] == [
        ("Start", 0, 1000, False),
        ("Created", 1000, 1300, False),
        ("Dated in", 1300, 1300, False),
        ("Won", 1300, 900, True),
        ("End", 0, 900, False),
    ]
    assert [row["next"].split("\n")[0] for row in rows] == ["Created", "Dated in", "Won", "End", "End"]


def test_what_goes_out_is_hollow_and_has_a_minus() -> None:
    root = drawn(waterfall(START, FLOWS, END, none="None:", text=""))
    hollow = [e.attrib.get("fill-opacity") == "0" for e in shapes(root, "bar")]
    assert hollow == [False, False, False, True, False]
    assert "-400 · 2" in said(root)


def test_a_flow_of_nothing_has_no_bar_and_is_named() -> None:
    picture = waterfall(START, FLOWS, END, none="None:", text="")
    root = drawn(picture)
    assert len(shapes(root, "bar")) == 5
    assert said(root)[-2:] == ["None:", "Reopened"]
    assert "Reopened: +0 · 0." in picture.text
    assert "None:" not in said(drawn(waterfall(START, FLOWS[:1], END, none="None:", text="")))


@pytest.mark.parametrize(("locale", "comma"), [(Locale.EN, ","), (Locale.ZH_CN, "、")])
def test_the_names_of_such_flows_fit_on_a_phone(locale: Locale, comma: str) -> None:
    name = {Locale.EN: "Transferred in", Locale.ZH_CN: "提前进入的商机"}[locale]
    with speaking(locale):
        picture = waterfall(START, [flow(f"{name} {i}", 0, 0) for i in range(6)], END, none="None:", text="")
    lines = picture.spec["title"]["text"]
    assert len(lines) > 3
    assert max(map(len, lines)) <= 40
    assert [line[-1] == comma for line in lines[1:]] == [True] * (len(lines) - 2) + [False]


@pytest.mark.parametrize("figure", ["−US$1,457,838 · 116 deals", "+US$551,545 · 119 条商机"])
@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_amount_and_number_of_a_flow_are_whole(figure: str, width: int) -> None:
    flow = Flow("won", 119, 1.0, figure, theme.ACCENT, "tip")
    assert figure in said(drawn(waterfall(flow, [flow], flow, none="none", text=""), width))


# Heat


def field(people: int, value: float | None = 0.1) -> Picture:
    names = ["Maximiliana Featherstonehaugh-Cholmondeley", "Ada", "Ada"]
    rows = [HeatRow(names[i] if i < 3 else f"Rep {i}", (cell(value),) * 6) for i in range(people)]
    return heat(rows, [f"Stage {i}" for i in range(6)], title="pp", unknown="cannot tell", text="")


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_a_row_is_as_high_for_200_people_as_for_10(width: int) -> None:
    few, many = (float(drawn(field(people), width).attrib["height"]) for people in (10, 200))
    assert many - few == pytest.approx(190 * 26, abs=2)


def test_200_people_fit_in_a_page() -> None:
    assert len(json.dumps(field(200).spec, ensure_ascii=False).encode()) < 250_000
    assert len(svg(field(200).spec)) < 500_000


def test_a_cell_that_cannot_be_told_is_struck_out_and_never_coloured() -> None:
    rows = [HeatRow("Ada", (cell(0.2), cell(None), cell(0.0), cell(-0.2)))]
    root = drawn(heat(rows, ["A", "B", "C", "D"], title="pp", unknown="cannot tell", text=""))
    assert [float(e.attrib.get("opacity", 1)) for e in marks(root, "rect")] == [0.65, 0, 0, 0.65]
    fills = [e.attrib["fill"] for e in marks(root, "rect")]
    assert (fills[0], fills[3]) == (theme.BETTER, theme.WORSE)
    assert len(marks(root, "rule")) == 1
    assert [e.text for e in marks(root, "text")] == ["+20", "?", "+0", "-20"]
    assert "cannot tell" in said(root)
    assert "cannot tell" not in said(drawn(field(1)))
    assert len(marks(drawn(field(1, None)), "rule")) == 6


def test_a_long_name_is_cut_and_whole_where_the_mouse_is() -> None:
    picture = field(3)
    shown = [text for text in said(drawn(picture)) if text.startswith("Maxi")]
    assert len(shown) == 1
    assert shown[0].endswith("…")
    assert picture.data["cells"][0]["row"] == "Maximiliana Featherstonehaugh-Cholmondeley"
    base = picture.spec["layer"][1]
    assert base["encoding"]["tooltip"]["field"] == "told"
    assert "datum.row" in json.dumps(base["transform"])


def test_people_stand_in_the_order_given_and_namesakes_apart() -> None:
    names = ["Zoe", "Ada", "Ada", "Mia"]
    root = drawn(heat([HeatRow(n, (cell(0.1),)) for n in names], ["S"], title="", unknown="", text=""))
    assert [text.strip("\u200b") for text in said(root) if text.strip("\u200b") in names] == names
    assert len({e.attrib["transform"] for e in marks(root, "text")}) == 4


def test_names_of_stages_lean_only_where_they_have_no_room() -> None:
    def leaning(width: int) -> int:
        return len(
            [e for e in drawn(field(2), width).iter() if "rotate(-50)" in e.attrib.get("transform", "")]
        )

    assert (leaning(NARROW), leaning(WIDE)) == (6, 0)


def test_names_that_lean_have_the_height_they_take() -> None:
    """Whether they lean is known only once the names of people have taken their part of the width."""
    stages = ["First contact", "Needs confirmed", "Proposal submitted", "Negotiation"]
    rows = [HeatRow("Maximiliana Featherstonehaugh", (cell(0.1),) * 4), HeatRow("Ada", (cell(0.1),) * 4)]
    picture = heat(rows, stages, title="pp", unknown="cannot tell", text="")
    heights: dict[bool, set[float]] = {True: set(), False: set()}
    for width in range(340, 800, 20):
        text = svg(picture.spec, width)
        heights["rotate(-50)" in text].add(float(ElementTree.fromstring(text).attrib["height"]))
    (leaning,), (upright,) = heights[True], heights[False]
    assert leaning > upright + 60


# Journey


def test_stages_are_steps_and_what_happened_has_a_shape() -> None:
    picture = journey(VISITS, MARKS, LANES, text="")
    assert [(row["row"], row["next"]) for row in picture.data["visits"]] == [
        ("Contact\n9 days", "Offer\n20 days"),
        ("Offer\n20 days", "Offer\n20 days"),
    ]
    later, earlier = picture.data["marks"]
    assert (later["shape"], earlier["shape"]) == ("triangle-right", "triangle-left")
    paths = {e.attrib["d"] for e in marks(drawn(picture), "symbol")}
    assert len(paths) == 3  # the start of a visit, and the two marks


def test_the_story_is_told_in_order_of_time() -> None:
    tips = [x.tip for x in (VISITS[0], MARKS[1], VISITS[1], MARKS[0])]
    text = journey(VISITS, MARKS, LANES, text="Life.").text
    assert text == "Life. Contact 9 days, Offer 20 days, Close date 2 × later. " + " ".join(tips)


def test_where_the_stage_is_not_recorded_the_line_is_dotted() -> None:
    unknown = Visit("Contact", date(2026, 3, 1), date(2026, 3, 10), False, "")
    dashes = [
        [e.attrib.get("stroke-dasharray") for e in marks(drawn(journey([visit], (), LANES, text="")), "rule")]
        for visit in (VISITS[0], unknown)
    ]
    assert ["2,4" in each for each in dashes] == [False, True]


def test_a_stage_that_a_deal_only_passed_is_seen() -> None:
    passed = Visit("Offer", date(2026, 3, 10), date(2026, 3, 10), True, "")
    assert len(marks(drawn(journey([VISITS[0], passed], (), LANES, text="")), "symbol")) == 2


def test_a_mark_is_read_out_as_its_tip() -> None:
    root = drawn(journey(VISITS, MARKS, LANES, text=""))
    read = {e.attrib["aria-label"] for role in ("point", "rule mark") for e in shapes(root, role)}
    assert read == {x.tip for x in (*VISITS, *MARKS)}


def test_a_day_is_the_same_day_in_every_time_zone() -> None:
    code = "import json, sys; from coachbook.charts import svg; print(svg(json.load(sys.stdin)))"
    spec = json.dumps(journey(VISITS, MARKS, LANES, text="").spec)
    zones = {
        subprocess.run(
            [sys.executable, "-c", code], input=spec, env={**os.environ, "TZ": zone}, capture_output=True, text=True,
            timeout=60, check=True,
        ).stdout
        for zone in ("America/Los_Angeles", "Pacific/Auckland")
    }  # fmt: skip
    assert len(zones) == 1
    assert "2026-03-" in zones.pop()


@pytest.mark.parametrize(("last", "format_"), [(date(2026, 4, 1), "%Y-%m-%d"), (date(2027, 4, 1), "%Y-%m")])
def test_a_long_life_has_months_on_its_axis(last: date, format_: str) -> None:
    visit: Any = Visit("Contact", date(2026, 3, 1), last, True, "")
    picture = journey([visit], (), LANES, text="")
    assert picture.spec["layer"][0]["encoding"]["x"]["axis"]["format"] == format_


def test_a_deal_of_which_nothing_is_known_is_drawn_empty() -> None:
    assert len(marks(drawn(journey((), (), LANES, text="Nothing.")), "symbol")) == 0
