"""The command line: parses, calls, prints. Whatever a command does is one public Python call."""

from coachbook.cli.start import command, main, run

__all__ = ["command", "main", "run"]
