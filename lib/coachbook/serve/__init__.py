"""The same notebooks, live: one Voilà application, in which everybody is somebody and sees what a grant allows."""

from coachbook.serve.app import serve

__all__ = ["serve"]
