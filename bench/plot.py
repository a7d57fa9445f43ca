"""Line plots as SVG, from lists of points. Needs nothing but Python.

`plot(path, title, x, y, series)` writes one picture. `x` and `y` are `Axis`; `series` is a list of
`(name, [(x, y), ...])`. A logarithmic axis leaves out what is not above zero.
"""

import math
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 76, 180, 40, 52
NAME_HEIGHT = 16
COLOURS = ["#0b6bcb", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#475569"]


@dataclass
class Axis:
    """What an axis says."""

    label: str
    log: bool = False
    bytes: bool = False


def short(number, in_bytes=False):
    """`1.5k`, `20M`; of bytes `64 KiB`."""
    base, units = (1024, ["B", "KiB", "MiB", "GiB"]) if in_bytes else (1000, ["", "k", "M", "G"])
    unit = 0
    while abs(number) >= base and unit < len(units) - 1:
        number, unit = number / base, unit + 1
    text = f"{number:.3g}" if abs(number) < 1000 else f"{number:.0f}"
    return f"{text} {units[unit]}".strip() if in_bytes else f"{text}{units[unit]}"


def ticks(low, high, axis):
    """Where an axis has marks, and so where it ends."""
    if axis.log and not axis.bytes and high / low <= 2000:
        marks = [m * 10**power for power in range(-9, 13) for m in (1, 2, 5)]
        first = max(at for at, mark in enumerate(marks) if mark <= low * (1 + 1e-9))
        last = min(at for at, mark in enumerate(marks) if mark >= high * (1 - 1e-9))
        return marks[first : last + 1]
    if axis.log:
        base = 2 if axis.bytes else 10
        first, last = math.floor(math.log(low, base)), math.ceil(math.log(high, base) - 1e-9)
        step = max(1, (last - first) // 8)
        return [base**power for power in range(first, last + step, step)]
    raw = (high or 1) / 5
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw)
    return [number * step for number in range(math.ceil((high or 1) / step) + 1)]


def scale(marks, axis, begin, end):
    """A function from a value to its place between two pixels."""
    place = (lambda value: math.log(value)) if axis.log else (lambda value: value)
    low, high = place(marks[0]), place(marks[-1])
    return lambda value: begin + (place(value) - low) / ((high - low) or 1) * (end - begin)


def names(series, at_y):
    """Each line's name beside its end, in its colour, and none over another."""
    ends = [
        [at_y(points[-1][1]), name, COLOURS[number % len(COLOURS)]]
        for number, (name, points) in enumerate(series)
        if points
    ]
    ends.sort()
    for above, below in zip(ends, ends[1:]):
        below[0] = max(below[0], above[0] + NAME_HEIGHT)
    return [
        f'<text x="{WIDTH - RIGHT + 8}" y="{place + 4:.1f}" fill="{colour}">{escape(name)}</text>'
        for place, name, colour in ends
    ]


def plot(path, title, x, y, series):
    """Writes one picture."""
    usable = lambda at: all(v > 0 for v, axis in zip(at, (x, y)) if axis.log)
    series = [(name, [at for at in points if usable(at)]) for name, points in series]
    points = [at for _, all_points in series for at in all_points]
    x_marks = ticks(min(p[0] for p in points), max(p[0] for p in points), x)
    y_marks = ticks(min(p[1] for p in points), max(p[1] for p in points), y)
    at_x = scale(x_marks, x, LEFT, WIDTH - RIGHT)
    at_y = scale(y_marks, y, HEIGHT - BOTTOM, TOP)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="22" font-size="15">{escape(title)}</text>',
    ]
    for mark in x_marks:
        place = at_x(mark)
        out.append(f'<path d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#eeeeee"/>')
        out.append(
            f'<text x="{place:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle" '
            f'fill="#555555">{short(mark, x.bytes)}</text>'
        )
    for mark in y_marks:
        place = at_y(mark)
        out.append(f'<path d="M{LEFT} {place:.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        out.append(
            f'<text x="{LEFT - 8}" y="{place + 4:.1f}" text-anchor="end" '
            f'fill="#555555">{short(mark, y.bytes)}</text>'
        )
    middle = (LEFT + WIDTH - RIGHT) / 2
    out.append(
        f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(x.label)}</text>'
    )
    out.append(
        f'<text transform="translate(18 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" '
        f'text-anchor="middle">{escape(y.label)}</text>'
    )
    for number, (name, line) in enumerate(series):
        colour = COLOURS[number % len(COLOURS)]
        places = [f"{at_x(px):.1f} {at_y(py):.1f}" for px, py in line]
        if places:
            out.append(
                f'<path d="M{" L".join(places)}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
        for px, py in line:
            out.append(f'<circle cx="{at_x(px):.1f}" cy="{at_y(py):.1f}" r="3" fill="{colour}"/>')
    out += names(series, at_y)
    out.append("</svg>\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))
