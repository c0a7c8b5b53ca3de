"""Canonical tables, periods and the frozen results that every room shares."""
