"""What to clean up, and what became of earlier decisions."""

from __future__ import annotations

from coachbook.charts import Download, Prose, Sheet
from coachbook.cleanup import worksheet as sheet
from coachbook.text import UNKNOWN, _, day, money, number, told
from coachbook.workbooks.funnel_review import words
from coachbook.workbooks.funnel_review.reading import Reading

MOST_CANDIDATES = 20


def clean_up(review: Reading) -> Sheet:
    """Deals to decide about: dead, a new date, a new amount, a next step."""
    rows = tuple(
        (
            c.name or c.deal_id, review.label(c.stage), words.why(c.why),
            c.close_on.isoformat() if c.close_on else UNKNOWN,
            money(c.amount_minor, c.currency or review.currency), c.next_step or UNKNOWN,
        )
        for c in review.candidates[:MOST_CANDIDATES]
    )  # fmt: skip
    columns = (_("Deal"), _("Stage"), _("Why"), _("Closes"), _("Amount"), _("Next step"))
    return Sheet(
        "clean-up", columns, rows or ((_("no such deal"), *[UNKNOWN] * 5),),
        _("Deals to decide about as of {day}: {n}", day=day(review.as_of), n=number(len(review.candidates))),
        told(_left_out(review)),
        right=(4,), whole=(3,),
    )  # fmt: skip


def _left_out(review: Reading) -> list[str]:
    """What the list does not hold."""
    said = []
    if len(review.candidates) > MOST_CANDIDATES:
        said.append(_("The first {most} are listed; all are in the worksheet.", most=MOST_CANDIDATES))
    if not review.is_detailed:
        said.append(
            _("The team is too large to tell here which deals have gone quiet; each rep's page does.")
        )
    elif not review.company.terms.tells_quiet:
        said.append(
            _("Neither activities nor changes of deals are captured: which have gone quiet cannot be told.")
        )
    return said


def worksheet(review: Reading) -> Download:
    """The worksheet of these deals, to be filled in and kept with `coachbook cleanup add`."""
    return Download(
        f"clean-up-{review.slice.about['scope']['id']}-{review.period.id}.csv", _("Download the worksheet"),
        sheet(review.candidates),
        _("Fill in decision (dead, close_on, amount, next_step or keep), value and by, then keep the decisions with: coachbook cleanup add FILE. coachbook cleanup export makes the changes for the CRM, and the next import says what was done."),
    )  # fmt: skip


def decided(review: Reading) -> Sheet | Prose:
    """What became of what was decided in earlier reviews."""
    order = ("not_done", "overtaken", "done")
    found = sorted(
        (d for d in review.page.decided if d.state in order),
        key=lambda d: (order.index(d.state), d.deal_id),
    )
    if not found:
        return Prose((_("Nothing was decided about these deals in an earlier review."),))
    columns = (_("State"), _("Deal"), _("Decision"), _("Now"), _("Decided on"))
    rows = tuple(
        (
            _(words.STATES[d.state]), review.called(d.deal_id), words.decision(d.kind, d.value, d.currency),
            words.holds(d.kind, d.now, d.currency), d.decided_on.isoformat(),
        )
        for d in found
    )  # fmt: skip
    count = {state: number(sum(d.state == state for d in found)) for state in order}
    return Sheet(
        "decided", columns, rows, _("Decisions of earlier reviews: {done} done, {not_done} not done, {overtaken} overtaken", **count),
        whole=(4,),
    )  # fmt: skip
