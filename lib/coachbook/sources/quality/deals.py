"""Deals that lack what figures need."""

from __future__ import annotations

from coachbook.model.quality import Mender, Severity
from coachbook.sources.quality.question import Question
from coachbook.text import N_

_LARGEST = "amount_minor DESC NULLS LAST, id"


def _lacks(column: str, *, among: str, showing: str) -> tuple[str, str]:
    """Deals of the list without a value, and how many there are; a column that nobody fills is another question."""
    some = f"(SELECT count({column}) > 0 FROM listed)"
    rows = f"SELECT deal_id AS id, name, rep_id, {showing} FROM listed WHERE {among} AND {column} IS NULL AND {some}"
    return rows, f"SELECT count(*) FROM listed WHERE {among} AND {some}"


_AMOUNT = "created_on, amount_minor, currency"
_WON_UNDATED = _lacks("close_on", among="status = 'won'", showing=_AMOUNT)
_LOST_UNDATED = _lacks("close_on", among="status = 'lost'", showing=_AMOUNT)
_WON_AMOUNTLESS = _lacks("amount_minor", among="status = 'won'", showing="close_on, stage")
_OPEN_AMOUNTLESS = _lacks("amount_minor", among="status = 'open'", showing="close_on, stage")
_OPEN_UNDATED = _lacks("close_on", among="status = 'open'", showing=_AMOUNT)
_OPEN_STAGELESS = _lacks("stage", among="status = 'open'", showing=_AMOUNT)
_OWNERLESS = _lacks("rep_id", among="true", showing=f"status, {_AMOUNT}")
_ACCOUNTLESS = _lacks("account_id", among="true", showing=f"status, {_AMOUNT}")
_REASONLESS = _lacks("loss_reason", among="status = 'lost'", showing="close_on, amount_minor, currency")

QUESTIONS = (
    Question(
        "won_without_close_date", Severity.ERROR, Mender.REP,
        N_("Won deals without a close date"),
        N_("Enter the day of signing. Without it the deal counts in no period."),
        *_WON_UNDATED, _LARGEST,
    ),
    Question(
        "lost_without_close_date", Severity.ERROR, Mender.REP,
        N_("Lost deals without a close date"),
        N_("Enter the day on which it was lost. Without it the deal counts in no win rate."),
        *_LOST_UNDATED, _LARGEST,
    ),
    Question(
        "won_without_amount", Severity.ERROR, Mender.REP,
        N_("Won deals without an amount"),
        N_("Enter the amount of the contract. Until then the deal counts as won, with nothing."),
        *_WON_AMOUNTLESS, "close_on DESC NULLS LAST, id",
    ),
    Question(
        "without_owner", Severity.ERROR, Mender.MANAGER,
        N_("Deals without an owner"),
        N_("Give each deal to somebody. Until then it is on nobody's page."),
        *_OWNERLESS, _LARGEST,
    ),
    Question(
        "open_without_amount", Severity.WARNING, Mender.REP,
        N_("Open deals without an amount"),
        N_("Enter an estimate. Without one the deal weighs nothing in pipeline and forecast."),
        *_OPEN_AMOUNTLESS, "close_on NULLS LAST, id",
    ),
    Question(
        "open_without_close_date", Severity.WARNING, Mender.REP,
        N_("Open deals without a close date"),
        N_("Enter the day on which a decision is expected. Without it the deal is in no period's pipeline."),
        *_OPEN_UNDATED, _LARGEST,
    ),
    Question(
        "open_without_stage", Severity.WARNING, Mender.REP,
        N_("Open deals without a stage"),
        N_("Choose the stage that the deal is in."),
        *_OPEN_STAGELESS, _LARGEST,
    ),
    Question(
        "without_account", Severity.WARNING, Mender.REP,
        N_("Deals without a customer"),
        N_("Link the deal to its customer. Until then it counts in no figure by customer."),
        *_ACCOUNTLESS, _LARGEST,
    ),
    Question(
        "lost_without_reason", Severity.NOTE, Mender.REP,
        N_("Lost deals without a reason"),
        N_("Enter why it was lost; what lost deals share is read from this."),
        *_REASONLESS, "close_on DESC NULLS LAST, id",
    ),
    Question(
        "amount_not_positive", Severity.NOTE, Mender.REP,
        N_("Open and won deals with an amount of zero or less"),
        N_("Check the amount. If it is a credit or a free deal, leave it: it counts as it stands."),
        "SELECT deal_id AS id, name, rep_id, status, close_on, amount_minor, currency FROM listed WHERE status <> 'lost' AND amount_minor <= 0",
        "SELECT count(amount_minor) FROM listed WHERE status <> 'lost'", "amount_minor, id",
    ),
)  # fmt: skip
