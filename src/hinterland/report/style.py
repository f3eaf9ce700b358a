"""One look for all figures, and their way into the page and into files."""

import csv
import html
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from hinterland.record import write_output

Table = list[dict[str, Any]]

# Okabe and Ito's colours, told apart with any colour vision; the page maps them in dark mode.
PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
INK, SOFT, PAPER = "#1c1c1c", "#6b6b6b", "#ffffff"
_STROKES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)))
_RC = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hinterland",
    "font.family": ["DejaVu Sans"],
    "font.size": 11.5,
    "axes.labelsize": 11.5,
    "legend.fontsize": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": SOFT,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def colour(index: int) -> str:
    """Of the variant in this place."""
    return PALETTE[index % len(PALETTE)]


def stroke(index: int) -> Any:
    """Line style: another one where the colours begin again."""
    return _STROKES[index // len(PALETTE) % len(_STROKES)]


def _matplotlib() -> Any:
    """It draws into files here, and needs none of the windows that MPLBACKEND may name."""
    if "matplotlib" not in sys.modules:
        os.environ["MPLBACKEND"] = "agg"
    import matplotlib

    return matplotlib


def new_axes(height: float = 3.7, grid: Literal["x", "y"] = "y") -> tuple[Any, Any]:
    """(figure, axes); narrow, so that its letters stay readable on a phone."""
    mpl = _matplotlib()
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC):
        figure = Figure(figsize=(5.8, height), layout="constrained")
        axes = figure.add_subplot()
    axes.grid(axis=grid, color=SOFT, alpha=0.25, lw=0.6)
    axes.tick_params(length=3)
    return figure, axes


def legend(figure: Any, axes: Any, columns: int = 2) -> None:
    """Below the picture, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        figure.legend(
            handles,
            [literal(text) for text in labels],
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=_RC["legend.fontsize"],
            labelcolor=INK,
            handlelength=2.2,
            columnspacing=1.4,
        )


def literal(text: str) -> str:
    """A name as it is: Matplotlib would set what stands between two dollars as a formula."""
    return text.replace("$", r"\$")


def steps_axis(axes: Any) -> None:
    """Horizontal axis in steps per agent."""
    from matplotlib.ticker import FuncFormatter

    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_steps(value)))
    axes.set_xlabel("environment steps per agent")


def short_steps(value: float) -> str:
    """1.5M, 200K, 0."""
    if abs(value) >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}K" if abs(value) >= 1e3 else f"{value:g}"


def short(value: float, decimals: int = 0) -> str:
    """1,234 or 12.34; what nobody could count the digits of as 1e+100: it must fit a figure."""
    return f"{value:,.{decimals}f}" if abs(value) < 1e9 else f"{value:.3g}"


def time_unit(longest: float) -> tuple[float, str]:
    """(seconds of the unit, its sign) in which a time up to `longest` seconds reads well."""
    if longest >= 2 * 3600:
        return 3600.0, "h"
    return (60.0, "min") if longest >= 300 else (1.0, "s")


def finish(figure: Any, name: str, label: str, table: Table, folder: Path | None) -> str:
    """The figure as an SVG element for a page; with a folder also NAME.svg, .png and .csv there.

    Args:
        figure: Matplotlib's.
        name: of the files, and of the element's inner ids.
        label: what a reader who cannot see the picture should know it shows.
        table: the numbers behind it.
        folder: where the files go; None writes none.

    Raises:
        UserError: a file cannot be written.
    """
    mpl = _matplotlib()

    vector, raster = io.StringIO(), io.BytesIO()
    with mpl.rc_context(_RC):
        figure.savefig(vector, format="svg", metadata={"Date": None, "Title": label})
        if folder is not None:
            figure.savefig(raster, format="png", dpi=200, metadata={"Title": label})
    text = vector.getvalue()
    if folder is not None:
        write_output(folder / f"{name}.svg", text.encode())
        write_output(folder / f"{name}.png", raster.getvalue())
        write_output(folder / f"{name}.csv", as_csv(table).encode())
    return _inline(text, name, label)


def _inline(text: str, name: str, label: str) -> str:
    """No outside names, no ids that another figure has, and the page's colours."""
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<title>.*?</title>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href=", "href=")
    text = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", text)
    for index, value in enumerate(PALETTE):
        text = text.replace(value, f"var(--c{index})")
    for variable, value in (("ink", INK), ("soft", SOFT), ("paper", PAPER)):
        text = text.replace(value, f"var(--{variable})")
    # Size by the page's width; the box keeps the proportions.
    text = re.sub(r'^(<svg[^>]*?) width="[^"]*"', r"\1", text)
    text = re.sub(r'^(<svg[^>]*?) height="[^"]*"', r"\1", text)
    return text.replace("<svg", f'<svg role="img" aria-label="{html.escape(label)}"', 1)


def as_csv(rows: Sequence[dict[str, Any]]) -> str:
    """Comma-separated values with a header; an interval becomes two columns, nothing is rounded."""
    flat: Table = []
    for row in rows:
        line: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, tuple):
                line[f"{name}, low"], line[f"{name}, high"] = value
            else:
                line[name] = value
        flat.append(line)
    out = io.StringIO()
    names = list(dict.fromkeys(name for row in flat for name in row))
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return out.getvalue()
