"""The report: one HTML page that needs no network, with its figures beside it."""

import html
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.report import plots, tables
from hinterland.report.gather import Run, by_variant, gather
from hinterland.report.replay import STYLE as REPLAY_STYLE
from hinterland.report.replay import player

_STYLE = """
:root{color-scheme:light dark;--ink:#1c1c1c;--paper:#fff;--soft:#666;--line:#ddd}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--soft:#a5a5a5;--line:#3a3a3a}}
body{margin:0 auto;max-width:54rem;padding:1.5rem 1rem 4rem;font:16px/1.55 system-ui,sans-serif;
color:var(--ink);background:var(--paper)}
h1{font-size:1.6rem;line-height:1.25}h2{font-size:1.15rem;margin-top:2.4rem}
.lead{font-size:1.1rem}.note,figcaption{color:var(--soft);font-size:.9rem}
figure{margin:1rem 0}figure svg{width:100%;height:auto;background:#fff;border-radius:6px}
.table{overflow-x:auto}table{border-collapse:collapse;font-size:.92rem;
font-variant-numeric:tabular-nums}th,td{text-align:left;padding:.35rem .9rem .35rem 0;
border-bottom:1px solid var(--line);vertical-align:top}th{font-weight:600}
details{margin:1rem 0}summary{cursor:pointer}pre{overflow-x:auto;font-size:.85rem}
"""


def write_text(out: Path, text: str) -> Path:
    """Writes a file, its folder included.

    Raises:
        UserError: it cannot be written.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"could not write {out}: {error.strerror}") from error
    return out


def document(title: str, body: str, out: Path) -> Path:
    """A whole page around a body."""
    return write_text(
        out,
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}'
        '</title><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<style>{_STYLE}{REPLAY_STYLE}</style></head><body>{body}</body></html>\n",
    )


def write_report(paths: Sequence[Path], out: Path) -> Path:
    """Writes the page to `out`, and each figure as SVG, PNG and CSV to `figures/` beside it.

    Args:
        paths: run folders and study folders.
        out: the HTML file.

    Raises:
        UserError: a path holds no run, is damaged, or `out` cannot be written.
    """
    runs = gather(paths)
    figures = out.parent / "figures"
    title = _title(runs, paths)
    parts = [f"<h1>{html.escape(title)}</h1>", f'<p class="lead">{_headline(runs)}</p>']
    parts += _unfinished(runs)
    if (replay := _replay(runs)) is not None:
        parts += ["<h2>The trained team</h2>", player(replay)]
    rows = tables.final_returns(runs)
    protocol = _protocol(runs)
    parts += ["<h2>Return</h2>", tables.as_html(rows), f'<p class="note">{protocol}</p>']
    parts.append(
        _figure(
            plots.learning_curves(runs),
            figures,
            "learning",
            f"Return per episode while learning. {protocol} Band: 95 % interval over seeds.",
        )
    )
    parts.append(
        _figure(
            plots.learning_curves(runs, "wall_s"),
            figures,
            "learning-by-time",
            "The same against wall time, compilation and evaluation included.",
        )
    )
    if (entropy := plots.cross_entropy(runs)) is not None:
        parts.append("<h2>Influence</h2>")
        parts.append(_figure(entropy, figures, "cross-entropy", "Cross-entropy of the influence "
                     "predictors on fresh, held-out global trajectories: each step down is one "
                     "training, each rise the policies' drift since."))  # fmt: skip
    parts.append("<h2>Time and memory</h2>")
    if (breakdown := plots.runtime_breakdown(runs)) is not None:
        parts.append(_figure(breakdown, figures, "runtime", "Wall time by phase, mean over seeds."))
    parts.append(tables.as_html(tables.runtimes(runs)))
    parts.append(
        '<p class="note">The paper ran one CPU core per agent; our figures are of the whole '
        "machine named below.</p>"
    )
    parts.append(tables.as_html(tables.memory(runs)))
    parts += ["<h2>Configuration</h2>", *_configurations(runs)]
    return document(title, "\n".join(parts), out)


def _title(runs: Sequence[Run], paths: Sequence[Path]) -> str:
    import tomllib

    file = paths[0] / "study.toml"
    if file.is_file() and (title := tomllib.loads(file.read_text()).get("title")):
        return str(title)
    config = runs[0].config
    return f"{config['domain']}, {config['agents']} agents"


def _headline(runs: Sequence[Run]) -> str:
    words = []
    for row in tables.final_returns(runs):
        if "return, sampled" in row:
            seeds = f" ({row['seeds']} seeds)" if row["seeds"] != "1" else ""
            words.append(f"{html.escape(row['policy'])} <b>{row['return, sampled']}</b>{seeds}")
    if not words:
        return "No run has finished yet; what follows is what they have measured so far."
    return "Return per episode: " + ", ".join(words) + "."


def _unfinished(runs: Sequence[Run]) -> list[str]:
    names = [f"{run.variant} seed {run.config['seed']}" for run in runs if run.summary is None]
    if not names:
        return []
    return [f'<p class="note">Not finished: {html.escape(", ".join(names))}.</p>']


def _protocol(runs: Sequence[Run]) -> str:
    config = runs[0].config
    return (
        f"Global simulator, sampled actions unless greedy is named, "
        f"{config['evaluate_episodes']} episodes while learning and {config['final_episodes']} "
        f"at the end, undiscounted, mean over agents."
    )


def _replay(runs: Sequence[Run]) -> dict[str, Any] | None:
    for run in runs:
        path = run.path / "replay.json"
        if path.is_file():
            try:
                return json.loads(path.read_text())
            except ValueError as error:
                raise UserError(f"{path} is damaged: {error}; delete it") from error
    return None


def _figure(plot: tuple[Any, list[dict[str, Any]]], folder: Path, name: str, caption: str) -> str:
    """The figure inline; its files beside the page."""
    figure, table = plot
    vector, raster = io.StringIO(), io.BytesIO()
    figure.savefig(vector, format="svg", metadata={"Date": None})
    figure.savefig(raster, format="png", dpi=160)
    text = vector.getvalue()
    write_text(folder / f"{name}.svg", text)
    write_text(folder / f"{name}.csv", tables.as_csv(table))
    try:
        (folder / f"{name}.png").write_bytes(raster.getvalue())
    except OSError as error:
        raise UserError(f"could not write {folder / name}.png: {error.strerror}") from error
    # The metadata block names outside addresses; a page without network needs none of them.
    drawing = text[text.index("<svg") :]
    start, end = drawing.find("<metadata>"), drawing.find("</metadata>")
    if start >= 0:
        drawing = drawing[:start] + drawing[end + len("</metadata>") :]
    label = f'<svg role="img" aria-label="{html.escape(caption)}" '
    return (
        f"<figure>{drawing.replace('<svg ', label, 1)}<figcaption>{caption}</figcaption></figure>"
    )


def _configurations(runs: Sequence[Run]) -> list[str]:
    parts = []
    for name, group in by_variant(runs).items():
        run = group[0]
        rows = [{"setting": key, "value": str(value)} for key, value in run.config.items()]
        manifest = html.escape(json.dumps(run.manifest, indent=1))
        parts.append(
            f"<details><summary>{html.escape(name)}</summary>{tables.as_html(rows)}"
            f"<pre>{manifest}</pre></details>"
        )
    return parts
