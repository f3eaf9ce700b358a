"""Moving pictures from plain shapes: a self-contained page, or a GIF."""

import html
import json
from pathlib import Path
from typing import Any

_PLAYER = """
<figure class="replay"><canvas role="img" aria-label="%(title)s"></canvas>
<div class="controls"><button type="button" aria-label="play or pause">Pause</button>
<input type="range" min="0" max="0" value="0" aria-label="step"><output></output>
<label>speed <select><option value="2">½×</option><option value="1" selected>1×</option>
<option value=".25">4×</option></select></label></div>
<figcaption>%(title)s. Space plays and pauses, arrow keys step.</figcaption></figure>
<script type="application/json" class="replay-data">%(data)s</script>
<script>%(script)s</script>
"""

_SCRIPT = """
(() => {
const script = document.currentScript, data = JSON.parse(script.previousElementSibling.textContent);
const figure = script.previousElementSibling.previousElementSibling;
const canvas = figure.querySelector('canvas'), range = figure.querySelector('input');
const button = figure.querySelector('button'), output = figure.querySelector('output');
const speed = figure.querySelector('select'), context = canvas.getContext('2d');
const last = data.frames.length - 1; range.max = last;
let at = 0, playing = !matchMedia('(prefers-reduced-motion: reduce)').matches;
function draw(shapes, unit) {
  for (const s of shapes) {
    context.globalAlpha = s.opacity ?? 1; context.fillStyle = s.fill;
    if (s.kind === 'rect') context.fillRect(s.x * unit, s.y * unit, s.w * unit, s.h * unit);
    else if (s.kind === 'circle') {
      context.beginPath(); context.arc(s.x * unit, s.y * unit, s.r * unit, 0, 7); context.fill();
    } else {
      context.font = unit + 'px sans-serif';
      context.fillText(s.text, s.x * unit, s.y * unit);
    }
  }
  context.globalAlpha = 1;
}
function show() {
  const ratio = devicePixelRatio || 1;
  const tallest = innerHeight * .8 * data.scene.width / data.scene.height;
  const width = Math.min(figure.clientWidth, 560, tallest);
  const unit = width / data.scene.width;
  canvas.style.width = width + 'px'; canvas.style.height = unit * data.scene.height + 'px';
  canvas.width = width * ratio; canvas.height = unit * data.scene.height * ratio;
  context.scale(ratio, ratio);
  draw(data.scene.shapes, unit); draw(data.frames[at], unit);
  range.value = at; const info = data.info[at] || {};
  const so_far = (info.return ?? 0).toFixed(2);
  output.textContent = 'step ' + (info.step ?? at) + ', return so far ' + so_far;
  button.textContent = playing ? 'Pause' : 'Play';
}
function go(to) { at = Math.max(0, Math.min(last, to)); show(); }
function toggle() { playing = !playing; if (playing && at === last) at = 0; show(); }
button.onclick = toggle; range.oninput = () => { playing = false; go(+range.value); };
figure.tabIndex = 0;
figure.onkeydown = e => {
  if (e.target === range) return;
  if (e.key === ' ' && e.target !== button) { toggle(); e.preventDefault(); }
  if (e.key === 'ArrowRight') { playing = false; go(at + 1); }
  if (e.key === 'ArrowLeft') { playing = false; go(at - 1); }
};
function tick() {
  if (playing) { if (at < last) go(at + 1); else { playing = false; show(); } }
  setTimeout(tick, 1000 * data.seconds_per_frame * speed.value);
}
addEventListener('resize', show); show(); tick();
})();
"""

STYLE = """
.replay{margin:1rem 0}.replay canvas{display:block;border-radius:6px;max-width:100%}
.controls{display:flex;gap:.6rem;align-items:center;flex-wrap:wrap;margin:.5rem 0}
.controls input{flex:1;min-width:8rem;max-width:20rem}
.controls output{font-variant-numeric:tabular-nums;min-width:15rem}
"""


def player(replay: dict[str, Any]) -> str:
    """An HTML fragment that plays a replay; `STYLE` belongs to it."""
    data = json.dumps(replay, separators=(",", ":")).replace("<", "\\u003c")
    return _PLAYER % {"title": html.escape(replay["title"]), "data": data, "script": _SCRIPT}


def write_replay_page(replay: dict[str, Any], out: Path) -> Path:
    """One self-contained page with the player alone."""
    from hinterland.report.page import document

    title = html.escape(replay["title"])
    return document(replay["title"], f"<h1>{title}</h1>{player(replay)}", out)


def save_replay(replay: dict[str, Any], out: Path) -> Path:
    """The replay's data, for a later report."""
    from hinterland.report.page import write_text

    return write_text(out, json.dumps(replay, separators=(",", ":")))


def replay_gif(replay: dict[str, Any], out: Path, width: int = 480) -> Path:
    """A looping GIF.

    Raises:
        UserError: the file cannot be written.
    """
    from hinterland.core.errors import UserError

    unit = width / replay["scene"]["width"]
    images = [_image(replay, frame, unit) for frame in replay["frames"]]
    try:
        images[0].save(
            out,
            save_all=True,
            append_images=images[1:],
            duration=int(1000 * replay["seconds_per_frame"]),
            loop=0,
        )
    except OSError as error:
        raise UserError(f"could not write {out}: {error.strerror or error}") from error
    return out


def _image(replay: dict[str, Any], frame: list[dict[str, Any]], unit: float) -> Any:
    from PIL import Image, ImageColor, ImageDraw

    scale = 2  # drawn at twice the size: Pillow does not smooth edges
    size = (
        int(replay["scene"]["width"] * unit * scale),
        int(replay["scene"]["height"] * unit * scale),
    )
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image, "RGBA")
    u = unit * scale
    for shape in (*replay["scene"]["shapes"], *frame):
        opacity = int(255 * shape.get("opacity", 1))
        fill = (*ImageColor.getrgb(shape["fill"]), opacity)
        x, y = shape["x"] * u, shape["y"] * u
        if shape["kind"] == "rect":
            draw.rectangle((x, y, x + shape["w"] * u, y + shape["h"] * u), fill=fill)
        elif shape["kind"] == "circle":
            r = shape["r"] * u
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        else:
            draw.text((x, y), shape["text"], fill=fill)
    smooth = image.resize((size[0] // scale, size[1] // scale))
    return smooth.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
