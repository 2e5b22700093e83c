"""Cost per generation as a picture: `python -m lab.bench.plot <results.json> docs/images/growth.svg`."""

import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lab.bench.figures import Results, read_results
from lab.bench.rows import Row

CHARTS = {
    "per generation, by how many there are at once": "generations at once",
    "per generation, 16 at once, by stored generations": "generations stored, 16 at once",
}
"""Beginnings of sections, with what the axis says."""
# Told apart by brightness and dashes as well, for those who do not see the colours.
LINES = {
    "ms of the whole divided by their number": ("wall time", "#888888", "6 4"),
    "CPU ms, worker": ("CPU, worker", "#d55e00", ""),
    "CPU ms, temporal": ("CPU, Temporal", "#3b8fd6", "2 3"),
    "CPU ms, api": ("CPU, API", "#009e73", ""),
    "CPU ms, postgres": ("CPU, Postgres", "#cc79a7", "2 3"),
}
CAPTION = ("date", "machine", "load before")
WIDTH, HEIGHT, GAP = 330, 230, 80
NARROWEST = 600  # the heading and the legend
LEFT, TOP, BELOW = 60, 56, 52
DECADES = (1.0, 1000.0)
"""Milliseconds, from the bottom to the top."""
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.grid{stroke:#8884}.line{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


@dataclass(frozen=True, kw_only=True)
class Chart:
    """Both axes are logarithmic; nothing stored stands where one would."""

    left: float
    axis: str
    rows: Sequence[Row]

    def draw(self) -> Iterator[str]:
        points = [count for count, _ in _points(self.rows[0])]
        lowest, highest = math.log10(max(points[0], 1)), math.log10(max(points[-1], 2))
        for decade in (1, 10, 100, 1000):
            y = self._y(decade)
            yield f'<path class="grid" d="M{self.left:g} {y:.1f}h{WIDTH}"/>'
            yield _text(self.left - 8, y + 4, f"{decade:,}", "end")
        for count in points:
            x = self._x(count, lowest, highest)
            yield f'<path class="grid" d="M{x:.1f} {TOP}v{HEIGHT}"/>'
            yield _text(x, TOP + HEIGHT + 18, _short(count), "middle")
        yield _text(self.left + WIDTH / 2, TOP + HEIGHT + 40, self.axis, "middle")
        for row in self.rows:
            if row.label in LINES:
                _, colour, dashes = LINES[row.label]
                line = " ".join(
                    f"{self._x(count, lowest, highest):.1f},{self._y(value):.1f}" for count, value in _points(row)
                )
                dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
                yield f'<polyline class="line" stroke="{colour}"{dashed} points="{line}"/>'

    def _x(self, count: int, lowest: float, highest: float) -> float:
        return self.left + WIDTH * (math.log10(max(count, 1)) - lowest) / (highest - lowest)

    def _y(self, milliseconds: float) -> float:
        lowest, highest = (math.log10(each) for each in DECADES)
        inside = min(max(milliseconds, DECADES[0]), DECADES[1])
        return TOP + HEIGHT * (highest - math.log10(inside)) / (highest - lowest)


def svg_of(results: Results) -> str:
    """Raises: LookupError when the run has no growth in it."""
    found: Mapping[str, list[Row]] = {axis: results.section(section) for section, axis in CHARTS.items()}
    charts = [(axis, rows) for axis, rows in found.items() if rows]
    if not charts:
        raise LookupError("these results say nothing of growth")
    width, height = max(NARROWEST, LEFT + len(charts) * (WIDTH + GAP) - GAP + 30), TOP + HEIGHT + BELOW
    facts = ", ".join(f"{name} {results.machine[name]}" for name in CAPTION if name in results.machine)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        'aria-label="Milliseconds per generation, by generations at once and by generations stored">',
        f"<style>{STYLE}</style>",
        _text(8, 16, f"ms per generation: {facts}", "start"),
        *_legend(),
    ]
    for number, (axis, rows) in enumerate(charts):
        parts.extend(Chart(left=LEFT + number * (WIDTH + GAP), axis=axis, rows=rows).draw())
    return "\n".join([*parts, "</svg>"]) + "\n"


def _legend() -> Iterator[str]:
    x = 8.0
    for text, colour, dashes in LINES.values():
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        yield f'<path class="line" stroke="{colour}"{dashed} d="M{x:g} 34h24"/>'
        yield _text(x + 30, 38, text, "start")
        x += 46 + 6.6 * len(text)


def _points(row: Row) -> list[tuple[int, float]]:
    """The columns' numbers with their values, the least first."""
    return sorted((int(name.split()[0].replace(",", "")), value) for name, value in row.values.items())


def _short(count: int) -> str:
    return f"{count // 1_000_000} M" if count >= 1_000_000 else f"{count:,}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'


def main(results: Path, picture: Path) -> None:
    picture.write_text(svg_of(read_results(results)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
