"""Faults of the regional sample's data, by hand: plain pandas on the raw CSVs. Nothing of coachbook is imported."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

EXPORTED = pd.Timestamp("2021-11-10")


class Health:
    """The sample's deals, as raw as they are."""

    def __init__(self, folder: Path) -> None:
        self.deals = pd.read_csv(folder / "Opportunities.csv")
        self.accounts = pd.read_csv(folder / "Accounts.csv")
        self.owners = pd.read_csv(folder / "Owners.csv").set_index("SystemUserSeq")["Owner"]
        self.deals["created"] = pd.to_datetime(self.deals["Opportunity Created On"])
        self.deals["closes"] = pd.to_datetime(self.deals["CloseDate"])
        self.open = self.deals[self.deals["Status"] == "Open"]

    def overdue(self, as_of: str) -> pd.DataFrame:
        """Open deals whose close date lies before the day."""
        return self.open[self.open["closes"] < pd.Timestamp(as_of)]

    def overdue_by_owner(self, as_of: str) -> dict[str, int]:
        """How many of them are whose."""
        counts = self.overdue(as_of)["SystemUserSeq"].map(self.owners).value_counts()
        return {str(owner): int(count) for owner, count in counts.items()}

    def days_off(self) -> pd.Series:
        """By how many days the derived column differs from close date − day of the export; open deals only."""
        return self.open["Days Remaining In Pipeline"] - (self.open["closes"] - EXPORTED).dt.days

    def computed_on(self) -> set[str]:
        """As of which days the source must have computed the column."""
        days = self.open["closes"] - pd.to_timedelta(self.open["Days Remaining In Pipeline"], unit="D")
        return set(days.dt.date.astype(str))

    def alike_within(self, days: int) -> int:
        """Deals that follow one of the same account, product and value within so many days."""
        ordered = self.deals.sort_values(["created", "OpportunitySeq"])
        gaps = ordered.groupby(["AccountSeq", "ProductSeq", "Value"])["created"].diff().dt.days
        return int((gaps <= days).sum())

    def accounts_of_a_name_taken(self) -> int:
        """Accounts that have the name of one before them."""
        return int(self.accounts["Account Name"].str.lower().duplicated().sum())

    def closed_before_created(self) -> int:
        """Decided deals with the dates the wrong way round."""
        decided = self.deals[self.deals["Status"] != "Open"]
        return int((decided["closes"] < decided["created"]).sum())

    def empty(self, column: str) -> int:
        """Rows without a value."""
        return int(self.deals[column].isna().sum())
