"""Moving pictures from plain shapes (see `core.Domain.frame`): a page, a fragment, or a GIF."""

import html
import io
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from hinterland.core.names import printable
from hinterland.record import write_output
from hinterland.report.document import document, write_text

_PLAYER = """
<figure class="replay" tabindex="0" aria-label="replay">
<canvas role="img" aria-label="{title}"></canvas>
<div class="controls"><button type="button" class="play">Play</button>
<button type="button" class="back" aria-label="one step back">‹</button>
<button type="button" class="forth" aria-label="one step on">›</button>
<input type="range" min="0" max="0" value="0" aria-label="step of the episode">
<label>speed <select><option value="0.5">½×</option><option value="1" selected>1×</option>
<option value="2">2×</option><option value="4">4×</option><option value="10">10×</option></select>
</label><output></output></div>
<figcaption>{title}. Space plays and pauses, the arrow keys step.</figcaption>
<script type="application/json" class="replay-data">{data}</script>
<script>{script}</script></figure>
"""


def packed(replay: dict[str, Any]) -> dict[str, Any]:
    """The replay as the player reads it: looks named once, each shape three numbers."""
    styles: dict[str, int] = {}

    def flat(shapes: Sequence[dict[str, Any]]) -> list[Any]:
        numbers: list[Any] = []
        for shape in shapes:
            look = {name: value for name, value in shape.items() if name not in ("x", "y")}
            style = styles.setdefault(json.dumps(look, sort_keys=True), len(styles))
            numbers += [style, _short(shape["x"]), _short(shape["y"])]
        return numbers

    scene = flat(replay["scene"].get("shapes", ()))
    frames = [flat(frame) for frame in replay["frames"]]
    return {
        "width": replay["scene"]["width"],
        "height": replay["scene"]["height"],
        "seconds_per_frame": replay.get("seconds_per_frame", 0.2),
        "styles": [json.loads(style) for style in styles],
        "scene": scene,
        "frames": frames,
        "info": replay.get("info") or [],
    }


def _short(number: float) -> float:
    rounded = round(float(number), 3)
    return int(rounded) if rounded == int(rounded) else rounded


def player(replay: dict[str, Any]) -> str:
    """An HTML fragment that plays the replay, for a page made by `document`."""
    data = json.dumps(packed(replay), separators=(",", ":")).replace("<", "\\u003c")
    script = resources.files("hinterland.report").joinpath("player.js").read_text("utf-8")
    return _PLAYER.format(title=html.escape(_title(replay)), data=data, script=script)


def _title(replay: dict[str, Any]) -> str:
    return printable(replay.get("title") or "Replay of one episode")


def replay_page(replay: dict[str, Any]) -> str:
    """A self-contained page with the player alone."""
    title = _title(replay)
    return document(title, f"<main><h1>{html.escape(title)}</h1>{player(replay)}</main>")


def write_replay_page(replay: dict[str, Any], out: Path) -> Path:
    """Writes `replay_page`.

    Raises:
        UserError: the file cannot be written.
    """
    return write_text(out, replay_page(replay))


def save_replay(replay: dict[str, Any], out: Path) -> Path:
    """The replay's data, for a later report.

    Raises:
        UserError: the file cannot be written.
    """
    return write_text(out, json.dumps(replay, separators=(",", ":")))


def replay_gif(replay: dict[str, Any], out: Path, width: int = 480) -> Path:
    """A looping GIF of the same shapes.

    Args:
        replay: scene, frames and seconds_per_frame.
        out: the file.
        width: of the picture, in pixels.

    Raises:
        UserError: the file cannot be written.
    """
    unit = width / replay["scene"]["width"]
    ground = _ground(replay["scene"], unit)
    images = [_image(ground, frame, unit) for frame in replay["frames"]]
    # One palette for all frames: colours must not flicker, and the file stays small.
    palette = _together(images[:: max(1, len(images) // 8)]).quantize(colors=128)
    frames = [image.quantize(palette=palette, dither=0) for image in images]
    packed = io.BytesIO()
    frames[0].save(
        packed,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=int(1000 * replay.get("seconds_per_frame", 0.2)),
        loop=0,
    )
    return write_output(out, packed.getvalue())


def _together(images: Sequence[Any]) -> Any:
    from PIL import Image

    whole = Image.new("RGB", (images[0].width, images[0].height * len(images)))
    for number, image in enumerate(images):
        whole.paste(image, (0, number * image.height))
    return whole


_FINE = 2
"""Drawn at so many times the size and then reduced: Pillow does not smooth edges."""


def _ground(scene: dict[str, Any], unit: float) -> Any:
    from PIL import Image

    size = (round(scene["width"] * unit) * _FINE, round(scene["height"] * unit) * _FINE)
    image = Image.new("RGB", size, "white")
    _draw(image, scene.get("shapes", ()), unit * _FINE)
    return image


def _image(ground: Any, frame: Sequence[dict[str, Any]], unit: float) -> Any:
    image = ground.copy()
    _draw(image, frame, unit * _FINE)
    return image.reduce(_FINE)


def _draw(image: Any, shapes: Sequence[dict[str, Any]], unit: float) -> None:
    from PIL import ImageColor, ImageDraw, ImageFont

    draw = ImageDraw.Draw(image, "RGBA")
    for shape in shapes:
        opacity = round(255 * shape.get("opacity", 1))
        fill = (*ImageColor.getrgb(shape["fill"])[:3], opacity)
        x, y = shape["x"] * unit, shape["y"] * unit
        if shape["kind"] == "rect":
            # Pillow includes the last pixel; a canvas does not.
            right, bottom = x + shape["w"] * unit - 1, y + shape["h"] * unit - 1
            draw.rectangle((x, y, max(x, right), max(y, bottom)), fill=fill)
        elif shape["kind"] == "circle":
            r = shape["r"] * unit
            draw.ellipse((x - r, y - r, x + r, y + r), fill=fill)
        else:
            font = ImageFont.load_default(0.8 * unit)
            draw.text((x, y), str(shape["text"]), fill=fill, font=font)
