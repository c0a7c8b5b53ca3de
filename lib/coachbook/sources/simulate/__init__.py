"""A made-up company to try everything on: its whole history, and what is true of it in the long run."""

from coachbook.sources.simulate.company import Company, company, deal_list
from coachbook.sources.simulate.files import Format, Written, write
from coachbook.sources.simulate.world import World

__all__ = ["Company", "Format", "World", "Written", "company", "deal_list", "write"]
