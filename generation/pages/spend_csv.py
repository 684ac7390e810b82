"""Tables as CSV files: written while they are sent, in UTF-8, and harmless in a spreadsheet."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from django.http import StreamingHttpResponse

Cell = str | int | float | bool | Decimal | date | datetime | UUID | None
# What a spreadsheet takes for the beginning of a formula, also after blanks that it drops.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 (meant to look alike)


class _Line:
    """What csv.writer writes into: it gives the line back instead of keeping it."""

    def write(self, line: str) -> str:
        return line


def csv_file(name: str, header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> StreamingHttpResponse:
    """A download called `name`.csv; `rows` are asked for one by one."""
    answer = StreamingHttpResponse(_lines(header, rows), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def _lines(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> Iterator[str]:
    writer = csv.writer(_Line())
    yield writer.writerow(header)
    for row in rows:
        yield writer.writerow([plain(cell) for cell in row])


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
