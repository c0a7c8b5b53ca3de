"""Stages of the sales funnel: order, names, criteria, what is expected of each. See docs/stages.md."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    RootModel,
    field_validator,
    model_validator,
)

from coachbook.errors import nearest
from coachbook.model.tables import ACTIVITIES
from coachbook.text import N_, _, active, listed, shown

NUMBERS = ("amount", "probability")
"""Fields with a number: an amount in major units of the deal's own currency, a probability from 0 to 1."""
TEXTS = (
    "kind",
    "forecast_category",
    "next_step",
    "origin",
    "account_id",
    "product_id",
    "rep_id",
)
"""Fields with a text, as `mapping.toml` calls them."""
FIELDS = (*NUMBERS, "close_on", *TEXTS)
"""What a criterion may ask of a deal."""

ComesFrom = Literal["leads", "deals", "decision"]
"""What tells that somebody is in a stage: a lead, the stage of an open deal, a deal's being won."""
Topic = Literal[
    "product_knowledge", "negotiation", "customer_analysis", "prospecting", "qualification", "discipline"
]
TOPICS: dict[Topic, str] = {
    "product_knowledge": N_("Product knowledge"),
    "negotiation": N_("Negotiating"),
    "customer_analysis": N_("Customer analysis"),
    "prospecting": N_("Prospecting"),
    "qualification": N_("Qualification"),
    "discipline": N_("Discipline"),
}
"""Skills that coaching may be about, in words."""


def _some(text: str) -> str:
    if not text.strip():
        raise ValueError(_("write a text in quotation marks"))
    return text


def _many(value: object) -> object:
    """One alone stands for a list of one."""
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _tables(value: object) -> object:
    if isinstance(value, list | tuple) and value:
        return tuple(value)
    raise ValueError(_("write {example} once for each stage", example="[[stages]]"))


def _said(value: object) -> object:
    if isinstance(value, str):
        return {"en": value, "zh_CN": value}
    if isinstance(value, Words) or (isinstance(value, dict) and {"en", "zh_CN"} == set(value)):
        return value
    raise ValueError(
        _("write a text, or one for each language: {example}", example='{ en = "Visit", zh_CN = "拜访" }')
    )


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    needed: ClassVar[dict[str, str]] = {}
    """Keys that have to be written, each with an example."""

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, said: Any) -> Any:
        if isinstance(said, dict) and set(said) <= set(cls.model_fields):  # else a wrong key is told
            for key, example in cls.needed.items():
                if key not in said:
                    raise ValueError(_("write {key} as well, like {example}", key=key, example=example))
        return said


Text = Annotated[str, AfterValidator(_some)]


class Words(_Part):
    """A text in both languages; as a string it is the active one."""

    en: Text
    zh_CN: Text  # noqa: N815 - as everywhere the languages are called

    def __str__(self) -> str:
        return str(getattr(self, active().value))


Said = Annotated[Words, BeforeValidator(_said)]
"""`"Visit"` alone serves both languages."""


class Criterion(_Part):
    """What has to hold when a deal enters or leaves a stage: of one field of the deal, or of its activities.

    Of a field: that it is filled; `at_least` that number; or `one_of` those texts. Of activities: that `at_least`
    that many (one, unless it says otherwise) of these kinds took place before, within the last `within_days`
    calendar days where that is given. One that is said not to have been held does not count.
    """

    needed = {"text": 'text = "The amount is known"'}

    text: Said
    """The criterion as people read it."""
    field: str = ""
    activity: Annotated[tuple[str, ...], BeforeValidator(_many)] = ()
    """Kinds, any of which counts."""
    at_least: float | None = Field(None, gt=0)
    one_of: Annotated[tuple[Text, ...], BeforeValidator(_many)] = ()
    within_days: int | None = Field(None, gt=0)

    @field_validator("field")
    @classmethod
    def _known_field(cls, name: str) -> str:
        return _among(name, FIELDS) if name else name

    @field_validator("activity")
    @classmethod
    def _known_kinds(cls, kinds: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_among(kind, ACTIVITIES) for kind in kinds)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if bool(self.field) == bool(self.activity):
            raise ValueError(
                _("write either {one} or {other}", one='field = "amount"', other='activity = "meeting"')
            )
        if self.within_days and self.field:
            raise ValueError(_("{key} goes with {known}", key="within_days", known="activity"))
        if self.at_least and self.field and self.field not in NUMBERS:
            raise ValueError(
                _("{key} goes with {known}", key="at_least", known=listed(["activity", *NUMBERS]))
            )
        if self.one_of and self.field not in TEXTS:
            raise ValueError(_("{key} goes with {known}", key="one_of", known=listed(list(TEXTS[:4]))))
        if self.activity and self.at_least and not self.at_least.is_integer():
            raise ValueError(_("write a whole number"))
        return self


class Stage(_Part):
    """One stage.

    Its `id` and its names are what deals carry as their stage. `expected_conversion` is the share of those who
    enter it that reach the next stage or a later one; None: nothing is expected.
    """

    needed = {"id": 'id = "proposal"', "name": 'name = "Proposal submitted"'}

    id: Text
    name: Said
    comes_from: ComesFrom = "deals"
    expected_working_days: float | None = Field(None, gt=0)
    """How long a deal stays: the median, in working days."""
    expected_conversion: float | None = Field(None, gt=0, le=1)
    topics: Annotated[tuple[Topic, ...], BeforeValidator(_many)] = ()
    """What coaching may be about where deals stick here."""
    entry: Annotated[tuple[Criterion, ...], BeforeValidator(_many)] = ()
    exit: Annotated[tuple[Criterion, ...], BeforeValidator(_many)] = ()

    @model_validator(mode="after")
    def _measurable(self) -> Self:
        for key in _WITHOUT[self.comes_from]:
            if getattr(self, key):
                raise ValueError(
                    _("leave {key} out, or write {example}", key=key, example='comes_from = "deals"')
                )
        return self

    @property
    def spellings(self) -> tuple[str, ...]:
        """The texts under which deals carry it."""
        return tuple(dict.fromkeys((self.id, self.name.en, self.name.zh_CN)))


_WITHOUT: dict[ComesFrom, tuple[str, ...]] = {
    "leads": ("entry", "exit"),
    "deals": (),
    "decision": ("entry", "exit", "expected_working_days", "expected_conversion"),
}


class Stages(RootModel[Annotated[tuple[Stage, ...], BeforeValidator(_tables)]]):
    """All stages in their order; each passes over to the one after it, the last deals' stage to winning.

    A stage that a deal carries and that is not among them is a bucket of its own, under the text that the deal
    carries: it has no place in the order, and is counted.
    """

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        self._go_on()
        for place, stage in enumerate(self.root, start=1):
            if stage.comes_from == "leads" and place > 1:
                raise ValueError(
                    _("only the first stage comes from leads, and {stage} is number {place}",
                      stage=_quoted(stage.id), place=place)
                )  # fmt: skip
            if stage.comes_from == "decision" and place < len(self.root):
                raise ValueError(
                    _("only the last stage is the decision, and {stage} is number {place} of {count}",
                      stage=_quoted(stage.id), place=place, count=len(self.root))
                )  # fmt: skip
        if not self.from_deals:
            raise ValueError(_("write at least one stage with {example}", example='comes_from = "deals"'))
        return self

    def _go_on(self) -> None:
        """No stage comes twice, under whatever name: the order would lead round in a circle."""
        count = Counter(text for stage in self.root for text in stage.spellings)
        twice = [text for text, times in count.items() if times > 1]
        if twice:
            places = [str(i) for i, stage in enumerate(self.root, start=1) if twice[0] in stage.spellings]
            raise ValueError(
                _("{stage} is number {places}: the order leads round in a circle; write it once",
                  stage=_quoted(twice[0]), places=listed(places))
            )  # fmt: skip

    @property
    def ids(self) -> list[str]:
        """Ids of all stages, in order."""
        return [stage.id for stage in self.root]

    @property
    def from_deals(self) -> list[str]:
        """Ids of the stages that open deals are in, in order."""
        return [stage.id for stage in self.root if stage.comes_from == "deals"]

    @property
    def spellings(self) -> dict[str, str]:
        """The id behind every text that a deal may carry for a stage."""
        return {text: stage.id for stage in self.root for text in stage.spellings}

    def find(self, text: str) -> Stage | None:
        """The stage that a deal's text means; None: it is not among them."""
        return next((stage for stage in self.root if text in stage.spellings), None)

    def place(self, text: str) -> int | None:
        """Where it stands in the order, from 0; None: it is not among them."""
        stage = self.find(text)
        return None if stage is None else self.root.index(stage)

    def title(self, text: str) -> str:
        """What the reader calls it; one that is not among them by the deals' own text, and that is said."""
        stage = self.find(text)
        return str(stage.name) if stage else _("{stage} (not among the configured stages)", stage=shown(text))


def _among(name: str, known: tuple[str, ...]) -> str:
    if name not in known:
        raise ValueError(
            _("write one of: {known}", known=listed(nearest(name, list(known), most=len(known))))
        )
    return name


def _quoted(text: str) -> str:
    return f"“{shown(text)}”"


DEFAULT = Stages(
    (
        Stage(
            id="lead", name=Words(en="Lead acquisition", zh_CN="线索获取"), comes_from="leads",
            expected_working_days=10, expected_conversion=0.25, topics=("prospecting",),
        ),
        Stage(
            id="contact", name=Words(en="First contact", zh_CN="初步接洽"),
            expected_working_days=7, expected_conversion=0.6, topics=("prospecting", "qualification"),
            entry=(Criterion(text=Words(en="Somebody owns the deal", zh_CN="商机已有负责人"), field="rep_id"),),
        ),
        Stage(
            id="needs", name=Words(en="Needs confirmed", zh_CN="需求确认"),
            expected_working_days=10, expected_conversion=0.7, topics=("qualification", "customer_analysis"),
            entry=(
                Criterion(
                    text=Words(en="We have talked to the customer", zh_CN="已与客户沟通过"),
                    activity=("call", "meeting", "visit", "demo"),
                ),
            ),
        ),
        Stage(
            id="proposal", name=Words(en="Proposal submitted", zh_CN="方案提交"),
            expected_working_days=10, expected_conversion=0.65, topics=("product_knowledge", "customer_analysis"),
            entry=(
                Criterion(text=Words(en="The amount is known", zh_CN="金额已填写"), field="amount"),
                Criterion(text=Words(en="The expected close date is known", zh_CN="预计成交日期已填写"), field="close_on"),
            ),
        ),
        Stage(
            id="negotiation", name=Words(en="Negotiation", zh_CN="商务谈判"),
            expected_working_days=10, expected_conversion=0.75, topics=("negotiation", "discipline"),
            entry=(
                Criterion(
                    text=Words(en="We have met the customer within the last 30 days", zh_CN="近 30 天内与客户面谈过"),
                    activity=("meeting", "visit", "demo"), within_days=30,
                ),
            ),
        ),
        Stage(id="closed", name=Words(en="Closed", zh_CN="成交签约"), comes_from="decision"),
    )
)  # fmt: skip
"""What holds until a workspace says otherwise: the six stages of the source on which the ten methods rest.

Its criteria and expectations are ours to begin with, taken from nowhere: they multiply to one deal won in five.
"""
