"""The report: one HTML page that needs no network, with its figures and tables beside it."""

import html
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hinterland.core.errors import UserError
from hinterland.core.figures import in_words
from hinterland.core.names import as_file_name, printable
from hinterland.core.reading import is_there
from hinterland.record import check_output
from hinterland.report import plots, tables, words
from hinterland.report.document import PAGE, document, write_text
from hinterland.report.gather import Run, by_system, by_variant, gather, read_replay
from hinterland.report.replay import player

_PAPER_TIMES = (
    "Columns named paper: Suau et al. 2022, Tables 1 and 2, one CPU core per agent. Ours: the "
    "whole machine named under Manifest. Times include compilation."
)
_PAPER_MEMORY = (
    "Peak resident memory of the run's process. Column named paper: Table 3, all processes "
    "together; with DIALS that is one process of 196 to 208 MB per agent."
)

_FILES = re.compile(
    r"(learning|learning-by-time|lengths|figure|figures|parts|cross-entropy|runtime|throughput|returns|seeds|populations|"
    r"influence|runtimes|memory|cluster)(-.*)?"
)
_KINDS = {
    ".svg": (b"<?xml",),
    ".png": (b"\x89PNG",),
    ".csv": (b"variant,", b"policy,"),
    ".md": (b"| variant", b"| policy"),
}
"""How the figures' files begin."""


def write_report(paths: Sequence[Path], out: Path) -> Path:
    """Writes the page to `out`; each figure as PNG, SVG and CSV and each table to `report/` there.

    Args:
        paths: run folders and study folders.
        out: the HTML file.

    Raises:
        UserError: a path holds no run, is damaged, or `out` cannot be written.
    """
    paths = [Path(path) for path in paths]
    check_report(out)
    runs = gather(paths)
    replay = read_replay(runs)
    folder = Path(out).parent / "report"
    title = words.title(runs, paths)
    body = "\n".join(
        [
            f"<main><h1>{html.escape(title)}</h1>",
            *(f'<p class="lead">{html.escape(said)}</p>' for said in words.headline(runs)),
            *_notes(runs),
            *(_replay(replay) if replay else ()),
            *_returns(runs, folder),
            *_influence(runs, folder),
            *_costs(runs, folder),
            *_settings(runs),
            *_manifests(runs),
            f'<p class="note">Written by <code>hinterland report</code>. The figures as PNG and '
            f"SVG and the numbers behind them as CSV lie beside this page in "
            f"<code>{folder.name}/</code>.</p></main>",
        ]
    )
    return write_text(Path(out), document(title, body))


def check_report(out: Path) -> None:
    """Whether the page and its figures may be written there, before the work for them.

    Raises:
        UserError: something else lies there, or the folder cannot be written.
    """
    check_output(out, PAGE.encode())
    folder = out.parent / "report"
    try:
        beside = sorted(folder.iterdir()) if is_there(folder) else []
    except OSError as error:
        raise UserError(
            f"the figures of {out} lie in {folder}: {error.strerror}; choose another place with "
            "--out"
        ) from error
    for path in beside:
        if path.suffix in _KINDS and _FILES.match(path.stem):
            check_output(path, *_KINDS[path.suffix])
    check_output(folder / "learning.svg", *_KINDS[".svg"])


def _notes(runs: Sequence[Run]) -> list[str]:
    found = words.notes(runs)
    if len(found) > 6:
        found = [*found[:5], f"{len(found) - 5} more runs are not finished."]
    return [f'<p class="note warn">{html.escape(note)}</p>' for note in found]


def _replay(replay: dict[str, Any]) -> list[str]:
    return ["<details open><summary><h2>Replay</h2></summary>", player(replay), "</details>"]


def _returns(runs: Sequence[Run], folder: Path) -> list[str]:
    parts = ["<h2>Return</h2>"]
    systems = by_system(runs)
    for (domain, agents), members in systems.items():
        suffix = ""
        if len(systems) > 1:
            suffix = f"-{as_file_name(domain)}-{agents}"
            parts.append(f"<h3>{html.escape(domain)}, {agents} agents</h3>")
        parts += _returns_of(members, folder, suffix)
    return parts


def _returns_of(runs: Sequence[Run], folder: Path, suffix: str) -> list[str]:
    """Of one system."""
    protocol = words.protocol(runs)
    rows = tables.final_returns(runs)
    parts = []
    if any(row.get("return") is not None for row in rows):
        parts.append(_table("returns" + suffix, rows, folder, "Return at the end of training."))
        parts.append(_note(f"{protocol} Intervals over seeds are Student's t."))
    if seeds := tables.over_seeds(runs):
        title = "Over seeds. The interquartile mean leaves out the best and the worst quarter."
        parts.append(_table("seeds" + suffix, seeds, folder, title))
    band = _band_words(runs)
    for against, name, said in (
        ("step", "learning", "Return while learning."),
        ("wall_s", "learning-by-time", "The same against wall time, all phases included."),
    ):
        svg = plots.learning_curve(runs, against, folder, name + suffix)
        dashes = " Dashed in colour: the paper's curves." if svg and "paper," in svg else ""
        caption = f"{said} {protocol} {band}{dashes}"
        parts.append(_figure(svg, caption, "returns: no run was evaluated yet"))
    svg = plots.learning_curve(runs, "step", folder, f"lengths{suffix}", "length")
    if svg is not None:
        parts.append(_figure(svg, f"Length of evaluation episodes while learning. {band}"))
    for figure in dict.fromkeys(name for run in runs for name in run.shown):
        name = f"figure-{as_file_name(figure)}{suffix}"
        svg = plots.learning_curve(runs, "step", folder, name, figure)
        if svg is not None:
            what, unit = in_words(figure)
            said = f"{what}{unit and f' ({unit})'} while learning."
            parts.append(_figure(svg, f"{said[0].upper()}{said[1:]} {_band_words(runs)}"))
    if figures := tables.own_figures(runs):
        title = "All figures at the end of training, mean over seeds."
        parts.append(_table("figures" + suffix, figures, folder, title))
    for kind, rows in tables.by_part(runs).items():
        title = f"The same by {kind}."
        parts.append(_table(f"parts-{kind}{suffix}", rows, folder, title))
    if populations := tables.populations(runs):
        title = "Entities at the end of training, sampled actions, mean over seeds."
        parts.append(_table("populations" + suffix, populations, folder, title))
    return parts


def _band_words(runs: Sequence[Run]) -> str:
    sizes = {len(plots.aggregated(group)) for group in by_variant(runs).values()}
    seeds = "over seeds (Student's t), thin lines single seeds"
    episodes = "over the episodes of one evaluation"
    cut = " Wide bands, of two or three seeds, are cut at the frame." if sizes & {2, 3} else ""
    if sizes == {1}:
        return f"Band: 95 % interval {episodes}; one seed."
    if 1 in sizes:
        return f"Band: 95 % interval {seeds}; where there is one seed, {episodes}." + cut
    return f"Band: 95 % interval {seeds}." + cut


def _influence(runs: Sequence[Run], folder: Path) -> list[str]:
    svg = plots.cross_entropy(runs, folder)
    if svg is None:
        learns = any(run.simulation == "dials" for run in runs)
        why = (
            "no influence predictor was trained yet"
            if learns
            else "no run here trains influence predictors"
        )
        return ["<h2>Influence</h2>", _note(f"Nothing to show: {why}.")]
    caption = (
        "Cross-entropy of the influence predictors on fresh, held-out episodes of the global "
        "simulator, mean over agents and influence sources. A fall is one training; a rise is what "
        "the policies have changed since."
    )
    rows = tables.influence(runs)
    title = "Cross-entropy in nats (lower is better) and expected calibration error."
    return ["<h2>Influence</h2>", _figure(svg, caption), _table("influence", rows, folder, title)]


def _costs(runs: Sequence[Run], folder: Path) -> list[str]:
    times = tables.runtimes(runs)
    peaks = tables.memory(runs)
    parts = [
        "<h2>Time and memory</h2>",
        _figure(
            plots.runtime_breakdown(runs, folder),
            "Wall time by phase, mean over seeds. The grey bar is the time in which the run's "
            "process compiled something (several cores at once count once); it lies within the "
            "others.",
            "time by phase",
        ),
        _figure(
            plots.throughput(runs, folder),
            "Agent-steps/s in training (bar, mean over seeds): steps of all agents together by the "
            "time for collecting influence data, training predictors and training agents, with "
            "compilation. Dots: single stretches of training agents, nothing else; the first of a "
            "run compiles.",
            "throughput",
        ),
    ]
    if times:
        parts.append(_table("runtimes", times, folder, "Time, mean over seeds."))
        if any("paper: s per 100K steps" in row for row in times):
            parts.append(_note(_PAPER_TIMES))
    if peaks:
        parts.append(_table("memory", peaks, folder, "Memory, highest of all seeds."))
        if any("paper (MB)" in row for row in peaks):
            parts.append(_note(_PAPER_MEMORY))
    if messages := tables.cluster(runs):
        title = "What travelled between the processes of the cluster (--runtime ray)."
        parts.append(_table("cluster", messages, folder, title))
    return parts


def _settings(runs: Sequence[Run]) -> list[str]:
    return [
        "<h2>Configuration</h2>",
        tables.as_html(words.settings(runs), "Settings that are not the default."),
        "<details><summary>All settings</summary>",
        tables.as_html(words.settings(runs, everything=True), "In the order of config.toml."),
        "</details>",
    ]


def _manifests(runs: Sequence[Run]) -> list[str]:
    parts = ["<h2>Manifest</h2>"]
    machines = list(dict.fromkeys(filter(None, map(words.machine, runs))))
    parts += [_note(f"Made with {machine}.") for machine in machines[:4]]
    if len(machines) > 4:
        parts.append(_note(f"And {len(machines) - 4} other circumstances; see below."))
    for run in runs:
        name = f"{run.variant}, seed {run.seed}"
        text = html.escape(json.dumps(run.manifest, indent=1))
        parts.append(
            f"<details><summary>{html.escape(name)} <span class=note>"
            f"{html.escape(printable(str(run.path)))}</span></summary><pre>{text}</pre></details>"
        )
    return parts


def _note(text: str) -> str:
    return f'<p class="note">{html.escape(text)}</p>'


def _figure(svg: str | None, caption: str, missing: str = "") -> str:
    if svg is None:
        return _note(f"Not measured: {missing}.")
    return f"<figure>{svg}<figcaption>{html.escape(caption)}</figcaption></figure>"


def _table(name: str, rows: Sequence[tables.Row], folder: Path, caption: str) -> str:
    """The table; as CSV and Markdown beside the page."""
    write_text(folder / f"{name}.csv", tables.as_csv(rows))
    write_text(folder / f"{name}.md", tables.as_markdown(rows) + "\n")
    return tables.as_html(rows, caption)
