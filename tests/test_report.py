"""Reports: pages that need no network, from whole, broken-off, broken and foreign folders."""

import csv
import html.parser
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from hinterland.config import make_config
from hinterland.core.errors import UserError
from hinterland.record import RunFolder
from hinterland.report import replay_gif, replay_page, save_replay, write_report
from hinterland.report.gather import by_variant, gather
from hinterland.report.paper import curve
from hinterland.report.plots import learning_curve
from hinterland.report.replay import packed
from hinterland.report.tables import (
    APART,
    as_csv,
    as_html,
    as_markdown,
    by_part,
    final_returns,
    influence,
    memory,
    over_seeds,
    own_figures,
    populations,
    runtimes,
    text,
)
from hinterland.report.words import headline, notes, settings

STEPS = 1000
REPLAY: dict[str, Any] = {
    "title": "two <robots>",
    "seconds_per_frame": 0.1,
    "scene": {
        "width": 4,
        "height": 2,
        "shapes": [{"kind": "rect", "x": 0, "y": 0, "w": 4, "h": 2, "fill": "#eeeeee"}],
    },
    "frames": [
        [
            {"kind": "rect", "x": 3, "y": 1, "w": 1, "h": 1, "fill": "#ff0000", "opacity": 0.5},
            {"kind": "circle", "x": 0.5 + t, "y": 1.5, "r": 0.4, "fill": "#0000ff"},
            {"kind": "text", "x": 0, "y": 0, "text": "</script>", "fill": "#000000"},
        ]
        for t in range(3)
    ],
    "info": [{"step": t, "return": 0.5 * t, "text": "late"} for t in range(3)],
}


def figures(level: float) -> dict[str, float]:
    return {"return_mean": level, "return_std": 1.0, "return_ci95": 0.25, "episodes": 256}


def make_run(
    path: Path, level: float = 13.0, *, finished: bool = True, ends: int = STEPS, **settings: Any
) -> Path:
    """A run folder whose return climbs to `level`; one that is not finished has no summary."""
    path.mkdir(parents=True)
    config = {"domain": "warehouse", "agents": 4, "steps": STEPS, "seed": 0, **settings}
    (path / "config.toml").write_text(
        tomli_w.dumps(make_config(config).model_dump(exclude_none=True))
    )
    manifest = {
        "command": ["<script>alert(1)</script>"],
        "cores": 2,
        "versions": {"hinterland": "0.1.0"},
    }
    (path / "manifest.json").write_text(json.dumps(manifest))
    lines: list[dict[str, Any]] = []
    for number, step in enumerate(range(0, ends + 1, STEPS // 4)):
        wall = 10.0 + 20 * number

        def log(phase: str, step: int = step, wall: float = wall, **values: float | None) -> None:
            lines.append({"step": step, "wall_s": wall, "phase": phase, **values})

        part = step / STEPS
        if config.get("simulation", "dials") == "dials":
            before, after = 1.4 if step == 0 else 0.5 - part / 10, 0.4 - part / 10
            names = ("before", "after", "marginal")
            values = {f"influence/cross_entropy/{n}": v for n, v in zip(names, (before, after, 0.6), strict=True)}  # fmt: skip  # noqa: E501
            log("fit", **values, **{"influence/calibration/after": 0.01, "time/fit_s": 3.0})
        score = 1.5 + (level - 1.5) * part
        sampled = {"return": score, "return_ci95": 0.4, "episodes": 64.0}
        log("evaluate", **{f"eval/sampled/{n}": v for n, v in sampled.items()})
        log("train", **{"train/steps_per_s": 500.0, "time/train_s": 10.0 * number, "time/x": None})
        log("train", **{"memory/peak_mb": 700.0 + number, "time/compile_s": 2.0})
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if finished:
        known = {"learned": level, "learned_greedy": level + 1, "random": 1.5, "heuristic": 13.3}
        time = {"collect_s": 5, "fit_s": 15, "train_s": 40, "evaluate_s": 4, "compile_s": 2}
        summary = {
            "step": STEPS,
            "wall_s": 64.0,
            "agents": 4,
            "agent_steps_per_s": 66.0,
            "eval": {name: figures(value) for name, value in known.items()},
            "time": time,
            "memory": {"peak_mb": 650.0},
            "finished": True,
        }
        (path / "summary.json").write_text(json.dumps(summary))
    return path


def make_study(path: Path) -> Path:
    levels = {"dials": (12.9, 13.0, 13.1), "global": (8.0, 9.0, 10.0)}
    for variant, seeds in levels.items():
        for seed, level in enumerate(seeds):
            folder = path / "runs" / variant / f"seed-{seed}"
            make_run(folder, level, seed=seed, simulation=variant)
    variants = {name: {"simulation": name} for name in reversed(levels)}
    study = {"name": "small", "title": "A <small> study", "variants": variants}
    (path / "study.toml").write_text(tomli_w.dumps(study))
    return path


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_study(tmp_path_factory.mktemp("report") / "study")


class Elements(html.parser.HTMLParser):
    """All tags with their attributes, and whether they are closed in order."""

    VOID = frozenset(("meta", "link", "input", "br"))

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.still_open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.still_open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.still_open.pop() == tag


def check_page(page: str) -> Elements:
    """Self-contained, well formed, and readable without seeing it."""
    for pattern in (r"https?://", r"@import", r"\bsrc=", r"url\((?!#)", r"fetch\(", r"XMLHttp"):
        assert not re.search(pattern, page), pattern
    elements = Elements(page)
    assert elements.still_open == []
    named = dict(elements.found)
    assert named["html"]["lang"] == "en"
    assert "width=device-width" in str([a for t, a in elements.found if t == "meta"])
    assert "prefers-color-scheme:dark" in page
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in elements.found:
        link = attributes.get("href") or ""
        assert link == "" or link.startswith(("#", "data:,")), link
        if tag in ("svg", "canvas"):
            assert attributes["aria-label"]
            assert attributes["role"] == "img"
    return elements


def test_a_study_gives_one_page_and_its_files(study: Path, tmp_path: Path) -> None:
    out = write_report([study], tmp_path / "page" / "report.html")
    page = out.read_text()
    elements = check_page(page)
    assert sum(tag == "svg" for tag, _ in elements.found) == 5
    assert "<h1>A &lt;small&gt; study</h1>" in page
    assert "dials 13.00 [12.75 to 13.25]" in page
    assert "<script>" not in page, "the manifest's text is text"
    assert "sampled actions, global simulator, 64 episodes per point, 256 at the end" in page
    assert "n = 3" in page
    assert page.index("global (n = 3)") < page.index("dials (n = 3)"), "in the study's order"
    beside = {path.name for path in (out.parent / "report").iterdir()}
    for name in ("learning", "learning-by-time", "cross-entropy", "runtime", "throughput"):
        assert {f"{name}.svg", f"{name}.png", f"{name}.csv"} <= beside
    for name in ("returns", "seeds", "influence", "runtimes", "memory"):
        assert {f"{name}.csv", f"{name}.md"} <= beside
    assert (out.parent / "report" / "learning.png").read_bytes()[1:4] == b"PNG"
    with open(out.parent / "report" / "learning.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    last = [row for row in rows if row["variant"] == "dials"][-1]
    assert (last["step"], float(last["return"]), last["n"]) == ("1000", pytest.approx(13), "3")
    assert float(last["ci95, low"]) == pytest.approx(12.7516, abs=1e-3)


def test_final_returns_say_which_intervals_are_apart(study: Path) -> None:
    rows = {row["policy"]: row for row in final_returns(gather([study]))}
    assert list(rows) == ["global", "dials", "random", "heuristic"]
    assert rows["dials"]["seeds"] == 3
    assert rows["dials"]["95 % interval"] == pytest.approx((12.7516, 13.2484), abs=1e-3)
    assert rows["dials"]["greedy actions"] == pytest.approx(14)
    assert rows["dials"][APART] == "global, random"
    assert rows["global"][APART] == "dials, random, heuristic"
    # three evaluations of 256 episodes each, half width 0.25: 0.25 / sqrt(3)
    assert rows["heuristic"]["95 % interval"] == pytest.approx((13.1557, 13.4443), abs=1e-3)
    better = over_seeds(gather([study]))[1]
    assert better["probability that global is better"] == 0
    assert better["lowest to highest"] == (12.9, 13.1)


def test_one_seed_claims_nothing_about_others(tmp_path: Path) -> None:
    runs = gather([make_run(tmp_path / "run")])
    row = final_returns(runs)[0]
    assert row["interval over"] == "episodes"
    assert row["95 % interval"] == (12.75, 13.25)
    assert row[APART] == "unknown: one seed"
    assert over_seeds(runs) == []
    assert headline(runs)[0] == (
        "After 1,000 steps per agent, 4 agents trained with DIALS earn 13.00 [12.75 to 13.25] per "
        "episode. For comparison: random actions 1.50 [1.25 to 1.75], the hand-written heuristic "
        "13.30 [13.05 to 13.55]. In brackets: 95 % intervals over the episodes of one seed. One "
        "seed says nothing about other seeds."
    )


def test_times_memory_and_influence_stand_beside_the_paper(study: Path) -> None:
    on_global, dials = runtimes(gather([study]))
    assert dials["simulate and learn, s per 100K steps"] == pytest.approx(40 / 1000 * 1e5)
    assert dials["influence, s per refresh"] == pytest.approx((15 + 5) / 5)
    assert (dials["paper: s per 100K steps"], dials["paper: s per refresh"]) == (192, 119)
    rate = on_global["agent-steps/s in training"]
    assert (on_global["paper: s per 100K steps"], rate) == (1335, 66), "as in the summaries"
    on_global, dials = memory(gather([study]))
    assert dials["peak (MB)"] == 704, "the highest of all lines, not the last process's"
    assert (dials["paper (MB)"], on_global["paper (MB)"]) == ((784, 832), 339)
    (row,) = influence(gather([study]))
    assert (row["untrained"], row["after the first"]) == pytest.approx((1.4, 0.4))
    assert row["after the last"] == pytest.approx(0.3)


def test_how_soon_entities_live_as_long_as_the_other_variants_ever_did(tmp_path: Path) -> None:
    study = make_study(tmp_path)
    lengths = {"dials": (157, 160, 200), "global": (150, 156, 152)}
    for variant, found in lengths.items():
        for seed in range(3):
            lines = [
                {"step": 100 * i, "wall_s": 1.0, "phase": "evaluate",
                 "eval/sampled/length": length + seed - 1, "eval/sampled/finished": i / 2}
                for i, length in enumerate(found)
            ]  # fmt: skip
            place = study / "runs" / variant / f"seed-{seed}" / "metrics.jsonl"
            place.write_text("".join(json.dumps(line) + "\n" for line in lines))
    on_global, dials = populations(gather([study]))
    assert (on_global["policy"], on_global["mean length 156 by step"]) == ("global", 100)
    assert dials["mean length 156 by step"] == 0
    assert (dials["10% finished by step"], dials["95% finished by step"]) == (100, 200)


def test_the_papers_curve_ends_where_ours_does(tmp_path: Path) -> None:
    runs = gather([make_run(tmp_path / "run")])
    svg = learning_curve(runs)
    assert svg is not None
    assert "paper, dials F=4M (13.27 at 4M)" in svg
    assert curve("warehouse", 100, "global") is not None
    assert curve("warehouse", 5, "dials") is None
    assert curve("city", 4, "dials") is None


def test_runs_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    same = [make_run(tmp_path / f"same-{seed}", seed=seed) for seed in (0, 1)]
    other = make_run(tmp_path / "other", hidden=64, seed=0)
    groups = by_variant(gather([*same, other]))
    assert {name: len(group) for name, group in groups.items()} == {
        "dials, hidden 256": 2,
        "dials, hidden 64": 1,
    }
    rows = {row["setting"]: row for row in settings(gather([*same, other]))}
    assert rows["hidden"]["dials, hidden 64"] == "64"
    assert rows["hidden"]["default"] == "256"
    assert rows["seed"]["dials, hidden 256"] == "0, 1"
    assert "clip" not in rows
    everything = {row["setting"]: row for row in settings(gather([other]), everything=True)}
    assert everything["clip"]["meaning"].startswith("PPO clip range")
    assert len(gather([other, other])) == 1, "the same folder twice is one run"


def test_several_sizes_are_compared_within_a_size(tmp_path: Path) -> None:
    paths = [make_run(tmp_path / str(n), agents=n) for n in (4, 25)]
    out = write_report(paths, tmp_path / "out" / "report.html")
    page = out.read_text()
    check_page(page)
    assert "<h1>warehouse, 4 and 25 agents</h1>" in page
    assert "<h3>warehouse, 25 agents</h3>" in page
    assert (out.parent / "report" / "learning-warehouse-25.svg").exists()


def test_a_run_under_way_says_how_far_it_is(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run", finished=False, ends=500)
    page = write_report([path], tmp_path / "report.html").read_text()
    check_page(page)
    assert "No run of warehouse with 4 agents has finished yet" in page
    assert "So far: dials seed 0 7.25 at step 500." in page
    assert "dials, seed 0: stands at step 500 of 1,000." in page


@pytest.mark.parametrize("lines", ["", '{"step": 0, "wall_s": 1.0, "phase": "collect"}\n{"ste'])
def test_a_run_that_measured_nothing_still_has_a_page(tmp_path: Path, lines: str) -> None:
    path = make_run(tmp_path / "run", finished=False)
    (path / "metrics.jsonl").write_text(lines)
    page = write_report([path], tmp_path / "report.html").read_text()
    check_page(page)
    assert "Not measured: returns" in page
    assert "no influence predictor was trained yet" in page


def test_a_run_that_was_interrupted_at_once_has_a_page_too(tmp_path: Path) -> None:
    config = {"domain": "warehouse", "agents": 4, "simulation": "dials", "seed": 0, "steps": 10}
    RunFolder.create(tmp_path / "run", config, {}).close()
    page = write_report([tmp_path / "run"], tmp_path / "report.html").read_text()
    check_page(page)
    assert "dials, seed 0: has measured nothing yet." in page
    assert "No run of warehouse with 4 agents has finished yet" in page


def test_a_folder_written_by_the_recorder_is_read(tmp_path: Path) -> None:
    config = make_config({"domain": "warehouse", "steps": 10}).model_dump(exclude_none=True)
    run = RunFolder.create(tmp_path / "run", config, {})
    for step in (0, 10):
        run.log(step, 1.0 + step, "evaluate", {"eval/sampled/return": step, "x": float("nan")})
    names = ("learned", "learned_greedy", "random", "heuristic")
    run.write_summary({"step": 10, "eval": dict.fromkeys(names, figures(7.0)), "finished": True})
    run.close()
    (read,) = gather([tmp_path / "run"])
    assert read.series("eval/sampled/return") == ([0, 10], [0.0, 10.0])
    assert read.series("eval/sampled/return", "wall_s")[0] == [1.0, 11.0]
    assert read.series("x") == ([], [])
    assert read.finished
    assert read.missing() == ""


@pytest.mark.parametrize(
    "summary",
    [
        {},
        {"eval": None, "time": None},
        {"eval": {"learned": {"return_mean": 3.0}}, "step": 1000},
        {"eval": {"learned": {"return_mean": None}}, "time": {"train_s": None}, "memory": {}},
    ],
)
def test_missing_values_leave_gaps_not_errors(tmp_path: Path, summary: dict[str, Any]) -> None:
    path = make_run(tmp_path / "run", finished=False)
    (path / "summary.json").write_text(json.dumps(summary))
    page = write_report([path], tmp_path / "report.html").read_text()
    check_page(page)
    assert "nan" not in page.lower().replace("nanoseconds", "")


def test_seeds_of_different_length_share_their_reach(study: Path, tmp_path: Path) -> None:
    paths = [make_run(tmp_path / str(n), seed=n) for n in (0, 1)]
    late = make_run(tmp_path / "late", seed=2, finished=False, ends=250)
    svg = learning_curve(gather([*paths, late]))
    assert svg is not None
    assert "dials (n = 2 of 3)" in svg
    assert notes(gather([*paths, late])) == ["dials, seed 2: stands at step 250 of 1,000."]


def test_the_band_of_two_seeds_does_not_flatten_the_curves(tmp_path: Path) -> None:
    # 4 and 14: the interval reaches from -55 to 73, the axis only from 0 to a little above 14
    paths = [make_run(tmp_path / str(n), 4.0 + 10 * n, seed=n) for n in (0, 1)]
    svg = learning_curve(gather(paths), folder=tmp_path)
    assert svg is not None
    vertical = svg[svg.index("matplotlib.axis_2") : svg.index("return per episode</text>")]
    ticks = [int(number) for number in re.findall(r">(−?\d+)</text>", vertical)]
    assert (min(ticks), max(ticks)) == (0, 14)
    page = write_report(paths, tmp_path / "report.html").read_text()
    assert "Wide bands, of two or three seeds, are cut at the frame." in page


def test_equal_seeds_are_no_evidence(tmp_path: Path) -> None:
    found = notes(gather([make_run(tmp_path / name) for name in "ab"]))
    assert len(found) == 1
    assert "seed 0 is here 2 times" in found[0]


def damage(path: Path, name: str, content: str) -> Path:
    (path / name).write_text(content)
    return path


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("config.toml", "agents = = 4", "config.toml is damaged"),
        ("manifest.json", "[]", "manifest.json is damaged"),
        ("summary.json", "{", "summary.json is damaged"),
        ("metrics.jsonl", "{\n{}\n", "metrics.jsonl is damaged in line 1"),
        ("replay.json", "{}", "replay.json is damaged"),
    ],
)
def test_a_damaged_folder_is_one_sentence(
    tmp_path: Path, name: str, content: str, words: str
) -> None:
    path = damage(make_run(tmp_path / "run"), name, content)
    with pytest.raises(UserError, match=re.escape(words)) as caught:
        write_report([path], tmp_path / "report.html")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "report.html").exists()


def test_a_foreign_folder_is_one_sentence(tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    with pytest.raises(UserError, match="is neither a run folder nor a study folder"):
        write_report([tmp_path], out)
    with pytest.raises(UserError, match="is neither a run folder nor a study folder"):
        write_report([tmp_path / "nowhere"], out)
    with pytest.raises(UserError, match="no run or study folder was given"):
        write_report([], out)
    (tmp_path / "study.toml").write_text('name = "s"')
    with pytest.raises(UserError, match="has no runs yet"):
        write_report([tmp_path], out)
    (tmp_path / "study.toml").write_text("name =")
    with pytest.raises(UserError, match=r"study\.toml is damaged"):
        write_report([tmp_path], out)


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="could not write"):
        write_report([path], tmp_path / "file" / "report.html")


def test_tables_render_the_same_rows_three_ways() -> None:
    rows = [{"a|b": "x<y", "n": 1234.5, "i": (1.0, 2.5)}, {"a|b": "z", "n": None, "i": None}]
    assert as_markdown(rows) == (
        "| a\\|b | n | i |\n| --- | ---: | ---: |\n| x<y | 1,234 | 1.00 to 2.50 |\n| z | – | – |"
    )
    assert as_csv(rows) == 'a|b,n,"i, low","i, high",i\nx<y,1234.5,1.0,2.5,\nz,,,,\n'
    page = as_html(rows, "A & B")
    assert "x&lt;y" in page
    assert 'aria-label="A &amp; B"' in page
    assert '<th scope="row">' in page


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "–"), (float("nan"), "–"), ((float("nan"), 1.0), "–"), (3, "3"), (12345, "12,345"),
     (100.0, "100"), (3.0, "3.00"), (0.01234, "0.012"), (0.0, "0.00"), (True, "True"),
     ((1.0, 150.4), "1.00 to 150")],
)  # fmt: skip
def test_cells_read_well(value: Any, words: str) -> None:
    assert text(value) == words


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    for name in ("a$b$c", "<b>&"):
        make_run(tmp_path / "runs" / name / "seed-0")
    (tmp_path / "study.toml").write_text('name = "s"')
    page = write_report([tmp_path], tmp_path / "report.html").read_text()
    check_page(page)
    assert "a$b$c (n = 1)" in page
    assert "&lt;b&gt;&amp; (n = 1)" in page


def test_a_replay_plays_in_the_report_and_alone(tmp_path: Path) -> None:
    path = make_run(tmp_path / "run")
    save_replay(REPLAY, path / "replay.json")
    page = write_report([path], tmp_path / "report.html").read_text()
    for made in (page, replay_page(REPLAY)):
        elements = check_page(made)
        tags = [tag for tag, _ in elements.found]
        assert tags.count("canvas") == 1
        assert {"button", "input", "select", "output"} <= set(tags)
        assert "two &lt;robots&gt;" in made
        assert made.count("</script>") == 2, "a shape's text ends no script"


def test_a_packed_replay_holds_every_shape(tmp_path: Path) -> None:
    small = packed(REPLAY)
    frames = [
        [
            {**small["styles"][frame[i]], "x": frame[i + 1], "y": frame[i + 2]}
            for i in range(0, len(frame), 3)
        ]
        for frame in small["frames"]
    ]
    assert frames == REPLAY["frames"]
    assert len(small["styles"]) == 4
    assert len(json.dumps(small["frames"])) < len(json.dumps(REPLAY["frames"])) / 4


def test_a_gif_shows_the_same_shapes(tmp_path: Path) -> None:
    from PIL import Image

    path = replay_gif(REPLAY, tmp_path / "a" / "x.gif", width=80)
    with Image.open(path) as picture:
        assert picture.size == (80, 40)
        assert picture.n_frames == 3
        assert picture.info["duration"] == 100
        for number in range(3):
            picture.seek(number)
            pixels = picture.convert("RGB")
            assert pixels.getpixel((10 + 20 * number, 30)) == pytest.approx((0, 0, 255), abs=12)
            assert pixels.getpixel((70, 30)) == pytest.approx((247, 119, 119), abs=12), "half red"
            assert pixels.getpixel((78, 16)) == pytest.approx((238, 238, 238), abs=12)


def test_importing_reports_starts_nothing_heavy() -> None:
    code = (
        "import sys, hinterland.report\n"
        "heavy = {'matplotlib', 'PIL', 'jax', 'scipy', 'pydantic'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_domains_own_figures_stand_beside_the_return_and_apart_by_part(tmp_path: Path) -> None:
    """Those that it shows; all of them, and those of parts, in tables and files of their own."""
    paths = [make_run(tmp_path / f"run-{seed}", seed=seed) for seed in range(2)]
    assert own_figures(gather(paths)) == []
    assert by_part(gather(paths)) == {}
    for seed, path in enumerate(paths):
        summary = json.loads((path / "summary.json").read_text())
        for place, found in enumerate(summary["eval"].values()):
            own = {"delay_s": 20.0 + place + seed, "queue": 2.0}
            own |= {f"delay_s/class/{kind}": 10.0 + seed for kind in ("bus", "<b>tram</b>")}
            own |= {"delay_s/light/A|1": 5.0, "odd": "a word"}
            found |= own | {f"{name}_std": 1.0 for name in own}
        summary["shown"] = ["delay_s", "unknown"]
        (path / "summary.json").write_text(json.dumps(summary))
    runs = gather(paths)
    assert [row["delay (s)"] for row in final_returns(runs)] == [20.5, 22.5, 23.5]
    rows = own_figures(runs)
    assert [row["policy"] for row in rows] == ["dials", "dials, greedy", "random", "heuristic"]
    assert [row["delay (s)"] for row in rows] == [20.5, 21.5, 22.5, 23.5]
    assert {name for row in rows for name in row} == {"policy", "delay (s)", "queue", "odd"}
    parts = by_part(runs)
    assert list(parts) == ["class", "light"]
    assert len(parts["class"]) == 2 * len(rows)
    assert {row["delay (s)"] for row in parts["class"]} == {10.5}
    write_report(paths, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "<b>tram" not in page
    assert "The same by light." in page
    assert "A\\|1" in (tmp_path / "report" / "parts-light.md").read_text()
    assert (tmp_path / "report" / "figures.csv").read_text().startswith("policy,delay (s),queue")
