"""Silence where there is nothing to say, beside speech on the same data where there is."""

from __future__ import annotations

import numpy as np
import pytest

from coachbook.settings import Workspace
from tests.conftest import imported
from tests.reviews import Review, raw_deals, reviews, sample_with

SEEDS = (11, 12, 13)


def _names(review: Review, what: str) -> bool:
    return any(named["with"] == what for named in review["named"])


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> list[Review]:
    """60 reviews of owners who were dealt their deals by lot: nobody differs from anybody."""
    made: list[Review] = []
    for seed in SEEDS:
        folder = tmp_path_factory.mktemp(f"lot-{seed}")
        deals = raw_deals()
        deals["SystemUserSeq"] = np.random.default_rng(seed).permutation(deals["SystemUserSeq"].to_numpy())
        made += reviews(imported(folder / "workspace", sample_with(folder / "files", deals))).values()
    return made


@pytest.fixture(scope="module")
def true(regional: Workspace) -> list[Review]:
    return list(reviews(regional).values())


@pytest.mark.parametrize("what", ["previous", "year_ago", "peers"])
def test_where_nobody_differs_nearly_nobody_is_named(what: str, shuffled: list[Review]) -> None:
    """5 % of 60 are 3; more than 7 would come by chance less than once in fifty times."""
    assert len(shuffled) == 60
    assert sum(_names(review, what) for review in shuffled) <= 7


def test_all_looks_together_stay_within_the_rate(shuffled: list[Review]) -> None:
    assert sum(bool(review["named"]) for review in shuffled) <= 7
    assert sum(review["looked_at"] for review in shuffled) > 500


def test_where_people_differ_it_says_so(true: list[Review]) -> None:
    assert sum(_names(review, "peers") for review in true) >= 8
