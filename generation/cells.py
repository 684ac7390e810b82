"""Cells of tables that people open in a spreadsheet."""

from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

Cell = str | int | float | bool | Decimal | date | datetime | UUID | None
# What a spreadsheet takes for the beginning of a formula, also after blanks that it drops.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 (meant to look alike)


def plain(cell: Cell) -> str:
    """Numbers as programs read them, moments as ISO 8601, text that no spreadsheet computes."""
    match cell:
        case None:
            text = ""
        case bool():
            text = "yes" if cell else "no"
        case Decimal() | float():
            text = f"{cell:.6f}"
        case datetime():
            text = cell.isoformat(timespec="seconds").replace("+00:00", "Z")
        case date():
            text = cell.isoformat()
        case str():
            text = f"'{cell}" if cell.lstrip(" \u00a0").startswith(_FORMULA) else cell
        case _:
            text = str(cell)
    return text
