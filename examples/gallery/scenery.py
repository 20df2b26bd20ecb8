"""Draws small landscapes as SVG: the same scene gives the same bytes on every machine.

Imports the standard library alone.
"""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass

WIDTH, HEIGHT = 800, 600


@dataclass(frozen=True, slots=True)
class Scene:
    """The parameters of a picture. Colours are `#rrggbb`; heights are fractions of the picture's height."""

    seed: int
    sky: tuple[str, ...]
    """Colours from the top down to the horizon."""
    far: str
    near: str
    """Colours of the farthest and the nearest ridge; those between are interpolated."""
    light: tuple[float, float, float, str] | None = None
    """Sun or moon: x, y and radius as fractions of the picture's width, and the colour."""
    ridges: int = 5
    horizon: float = 0.5
    rough: float = 0.5
    """0 for dunes, 1 for sharp mountains."""
    water: str | None = None
    """The colour of the water below the ridges; if set, the ridges end at the shore."""
    wood: str | None = None
    """The colour of the trees; if unset, a slightly darker colour of their ridge."""
    extras: tuple[str, ...] = ()
    """Any of `stars`, `trees`, `birds`, `snow`, `rain`, `aurora`, `mist`."""


def draw(scene: Scene) -> str:
    """Return the picture as an SVG document of 800 by 600."""
    rng = random.Random(scene.seed)
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}>',
        _gradient("sky", scene.sky),
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="url(#sky)"/>',
    ]
    parts += _extras(("stars", "aurora"), rng, scene)
    if scene.light:
        parts.append(_light(scene.light))
    parts += _land(rng, scene)
    parts += _extras(("birds", "snow", "rain"), rng, scene)
    return "".join([*parts, "</svg>"])


def _extras(names: tuple[str, ...], rng: random.Random, scene: Scene) -> list[str]:
    return [_EXTRAS[name](rng, scene) for name in names if name in scene.extras]


def mix(one: str, other: str, share: float) -> str:
    """Return a colour between two: the first at `share` 0, the second at 1."""
    pairs = ((int(one[i : i + 2], 16), int(other[i : i + 2], 16)) for i in (1, 3, 5))
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _gradient(name: str, colours: tuple[str, ...]) -> str:
    last = max(len(colours) - 1, 1)
    stops = "".join(f'<stop offset="{i / last:.2f}" stop-color="{c}"/>' for i, c in enumerate(colours))
    return f'<defs><linearGradient id="{name}" x1="0" y1="0" x2="0" y2="1">{stops}</linearGradient></defs>'


def _light(light: tuple[float, float, float, str]) -> str:
    x, y, radius, colour = light[0] * WIDTH, light[1] * HEIGHT, light[2] * WIDTH, light[3]
    halo = "".join(
        f'<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius * grown:.0f}" fill="{colour}" opacity="{opacity}"/>'
        for grown, opacity in ((4.2, 0.07), (2.7, 0.1), (1.7, 0.16))
    )
    return f'{halo}<circle cx="{x:.0f}" cy="{y:.0f}" r="{radius:.0f}" fill="{colour}"/>'


def _land(rng: random.Random, scene: Scene) -> list[str]:
    floor = HEIGHT * (0.66 if scene.water else 1.0)
    parts = []
    for number in range(scene.ridges):
        depth = number / max(scene.ridges - 1, 1)
        level = HEIGHT * scene.horizon + (floor - HEIGHT * scene.horizon) * depth * 0.78
        line = _ridge(rng, level, HEIGHT * (0.13 - 0.05 * depth), scene.rough)
        colour = mix(scene.far, scene.near, depth)
        if "trees" in scene.extras and depth > 0.4:
            parts.append(_trees(rng, line, depth, scene.wood or mix(colour, "#000000", 0.12)))
        points = " ".join(f"{x:.0f},{min(y, floor):.1f}" for x, y in line)
        parts.append(f'<polygon points="0,{floor:.0f} {points} {WIDTH},{floor:.0f}" fill="{colour}"/>')
        if "mist" in scene.extras and number < scene.ridges - 1:
            parts.append(_mist(number, level, scene.sky[-1]))
    if scene.water:
        parts.append(_water(rng, scene, floor))
    return parts


def _ridge(rng: random.Random, level: float, height: float, rough: float) -> list[tuple[float, float]]:
    """Return a skyline: waves of halving length; `roughness` weights the shorter ones."""
    waves = [
        (rng.uniform(0.7, 1.4) * 2**octave, rng.uniform(0, math.tau), (0.25 + 0.42 * rough) ** octave)
        for octave in range(7)
    ]
    line = []
    for x in range(0, WIDTH + 1, 8):
        total = 0.0
        for frequency, phase, weight in waves:
            value = math.sin(frequency * math.tau * x / WIDTH + phase)
            # A folded wave has a sharp top, like a mountain.
            total += weight * (value * (1 - rough) + (1 - 2 * abs(value)) * rough)
        line.append((float(x), level - height * total))
    return line


def _trees(rng: random.Random, line: list[tuple[float, float]], depth: float, colour: str) -> str:
    path = []
    for x, y in line:
        if rng.random() < 0.5:
            tall = rng.uniform(16, 34) * (0.4 + depth)
            wide = tall * 0.22
            for part in (1.0, 0.68, 0.4):  # three layers, the lowest is the widest
                base = y + 5 - tall * (1 - part)
                left, right, top = x - wide * part, x + wide * part, base - tall * 0.55
                path.append(f"M{left:.1f} {base:.1f}L{x:.1f} {top:.1f}L{right:.1f} {base:.1f}Z")
    return f'<path d="{"".join(path)}" fill="{colour}"/>'


def _mist(number: int, level: float, colour: str) -> str:
    fade = (
        f'<defs><linearGradient id="mist{number}" x1="0" y1="0" x2="0" y2="1">'
        f'<stop offset="0" stop-color="{colour}" stop-opacity="0"/>'
        f'<stop offset="0.6" stop-color="{colour}" stop-opacity="0.5"/>'
        f'<stop offset="1" stop-color="{colour}" stop-opacity="0"/></linearGradient></defs>'
    )
    return (
        f'{fade}<rect y="{level:.0f}" width="{WIDTH}" height="{HEIGHT * 0.2:.0f}" fill="url(#mist{number})"/>'
    )


def _water(rng: random.Random, scene: Scene, shore: float) -> str:
    colour = scene.water or scene.near
    deep = mix(colour, "#0a1420", 0.45)
    parts = [
        _gradient("water", (mix(colour, scene.sky[-1], 0.45), colour, deep)),
        f'<rect y="{shore:.0f}" width="{WIDTH}" height="{HEIGHT - shore:.0f}" fill="url(#water)"/>',
    ]
    middle = scene.light[0] * WIDTH if scene.light else WIDTH / 2
    shine = scene.light[3] if scene.light else scene.sky[-1]
    for _ in range(70):
        near = rng.random() ** 1.4
        y = shore + 4 + (HEIGHT - shore - 8) * near
        # Ripples are denser below the light, and larger towards the viewer.
        x = rng.gauss(middle, 60 + 90 * near) if rng.random() < 0.6 else rng.uniform(0, WIDTH)
        length = rng.uniform(10, 34) * (0.5 + near)
        parts.append(
            f'<rect x="{x - length / 2:.0f}" y="{y:.0f}" width="{length:.0f}" height="{1 + 2 * near:.1f}" '
            f'rx="1" fill="{shine}" opacity="{rng.uniform(0.12, 0.42):.2f}"/>'
        )
    return "".join(parts)


def _stars(rng: random.Random, scene: Scene) -> str:
    return "".join(
        f'<circle cx="{rng.uniform(0, WIDTH):.0f}" cy="{HEIGHT * scene.horizon * rng.random() ** 1.3:.0f}" '
        f'r="{rng.uniform(0.6, 1.9):.1f}" fill="#fff" opacity="{rng.uniform(0.35, 0.95):.2f}"/>'
        for _ in range(90)
    )


def _aurora(rng: random.Random, scene: Scene) -> str:
    parts = []
    for number, colour in enumerate(("#7ef0b2", "#59d6c2", "#a98bf0")):
        top, phase = HEIGHT * (0.06 + 0.07 * number), rng.uniform(0, math.tau)
        edge = [
            (
                x,
                HEIGHT * scene.horizon * 0.8
                - 40 * number
                + 46 * math.sin(x / 115 + phase)
                + 14 * math.sin(x / 37),
            )
            for x in range(0, WIDTH + 1, 16)
        ]
        points = " ".join(f"{x},{y:.0f}" for x, y in edge)
        parts.append(
            f'<defs><linearGradient id="aurora{number}" x1="0" y1="0" x2="0" y2="1">'
            f'<stop offset="0" stop-color="{colour}" stop-opacity="0"/>'
            f'<stop offset="1" stop-color="{colour}" stop-opacity="0.5"/></linearGradient></defs>'
            f'<polygon points="0,{top:.0f} {points} {WIDTH},{top:.0f}" fill="url(#aurora{number})"/>'
        )
    return "".join(parts)


def _birds(rng: random.Random, scene: Scene) -> str:
    x, y = rng.uniform(200, 500), HEIGHT * scene.horizon * rng.uniform(0.3, 0.55)
    path = ""
    for _ in range(7):
        left, top, wing = x + rng.uniform(-90, 90), y + rng.uniform(-36, 36), rng.uniform(5, 10)
        path += f"M{left:.0f} {top:.0f}" + f"q{wing / 2:.1f} {-wing * 0.7:.1f} {wing:.1f} 0" * 2
    return f'<path d="{path}" fill="none" stroke="{mix(scene.near, "#000000", 0.3)}" stroke-width="1.6"/>'


def _snow(rng: random.Random, scene: Scene) -> str:  # noqa: ARG001 - all extras share one signature
    return "".join(
        f'<circle cx="{rng.uniform(0, WIDTH):.0f}" cy="{rng.uniform(0, HEIGHT):.0f}" '
        f'r="{rng.uniform(1, 3.2):.1f}" fill="#fff" opacity="{rng.uniform(0.5, 0.95):.2f}"/>'
        for _ in range(110)
    )


def _rain(rng: random.Random, scene: Scene) -> str:  # noqa: ARG001 - see above
    path = ""
    for _ in range(130):
        x, y, length = rng.uniform(0, WIDTH + 60), rng.uniform(-20, HEIGHT), rng.uniform(14, 34)
        path += f"M{x:.0f} {y:.0f}l{-length * 0.28:.1f} {length:.1f}"
    return f'<path d="{path}" stroke="#fff" stroke-width="1.2" opacity="0.38"/>'


_EXTRAS: dict[str, Callable[[random.Random, Scene], str]] = {
    "stars": _stars,
    "aurora": _aurora,
    "birds": _birds,
    "snow": _snow,
    "rain": _rain,
}
