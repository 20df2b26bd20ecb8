"""The pictures: twelve generated landscapes, each with its title and description in both languages.

Imports `scenery` and `typography`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from examples.gallery.scenery import Scene, draw
from examples.gallery.typography import typeset


@dataclass(frozen=True)
class Picture:
    """One picture; `titles` and `descriptions` are by language."""

    id: str
    titles: Mapping[str, str]
    descriptions: Mapping[str, str]
    scene: Scene

    @cached_property
    def svg(self) -> bytes:
        return draw(self.scene).encode()


def _picture(picture_id: str, en: tuple[str, str], fr: tuple[str, str], scene: Scene) -> Picture:
    titles, descriptions = (
        {"en": typeset(en[part], "en"), "fr": typeset(fr[part], "fr")} for part in range(2)
    )
    return Picture(picture_id, titles, descriptions, scene)


_ALL = (
    _picture(
        "morning-ridges",
        ("Morning ridges", "Blue ridges one behind the other in the morning mist, a pale sun above them."),
        (
            "Crêtes du matin",
            "Des crêtes bleues l'une derrière l'autre dans la brume, un soleil pâle au-dessus.",
        ),
        Scene(
            11,
            ("#f7d9b7", "#fbe9d3", "#fdf3e6"),
            "#c3cfd9",
            "#2f4a63",
            light=(0.68, 0.27, 0.045, "#fff6dd"),
            ridges=6,
            horizon=0.46,
            rough=0.62,
            extras=("mist", "birds"),
        ),
    ),
    _picture(
        "still-lake",
        ("Still lake", "A lake at sunset, dark mountains behind it, the sun's path on the water."),
        (
            "Lac tranquille",
            "Un lac au couchant, des montagnes sombres derrière, le reflet du soleil sur l'eau.",
        ),
        Scene(
            23,
            ("#27335c", "#8a5a83", "#f09a72", "#fbd08f"),
            "#7a5277",
            "#26264a",
            light=(0.5, 0.45, 0.05, "#ffe2a6"),
            ridges=4,
            horizon=0.5,
            rough=0.7,
            water="#5a4a78",
        ),
    ),
    _picture(
        "first-snow",
        ("First snow", "White hills and dark firs while snow is falling."),
        ("Première neige", "Des collines blanches et des sapins sombres sous la neige qui tombe."),
        Scene(
            5,
            ("#8fa3b8", "#b9c6d3", "#dfe6ec"),
            "#c4d0da",
            "#f4f7f9",
            ridges=5,
            horizon=0.48,
            rough=0.3,
            wood="#3d5266",
            extras=("trees", "snow"),
        ),
    ),
    _picture(
        "red-desert",
        ("Red desert", "Soft red dunes below a wide, hot sky with a white sun."),
        ("Désert rouge", "Des dunes rouges et douces sous un grand ciel chaud au soleil blanc."),
        Scene(
            42,
            ("#f2a65a", "#f7c184", "#fbe0b5"),
            "#e39a5b",
            "#8c2f1b",
            light=(0.26, 0.2, 0.05, "#fff8e7"),
            ridges=6,
            horizon=0.5,
            rough=0.05,
        ),
    ),
    _picture(
        "northern-lights",
        ("Northern lights", "Green and violet lights in a sky full of stars above black mountains."),
        ("Aurore boréale", "Des lueurs vertes et violettes dans un ciel étoilé, au-dessus de monts noirs."),
        Scene(
            7,
            ("#060b1e", "#0d1f3a", "#1b4150"),
            "#16323f",
            "#040a12",
            ridges=4,
            horizon=0.64,
            rough=0.75,
            extras=("stars", "aurora", "trees"),
        ),
    ),
    _picture(
        "lavender-hour",
        ("Lavender hour", "Violet hills, row upon row, in the last light of the day."),
        ("L'heure lavande", "Des collines violettes, rang après rang, dans la dernière lumière du jour."),
        Scene(
            31,
            ("#b9a3d6", "#e0bfd8", "#f8dcd0"),
            "#bfa1cf",
            "#4a2f74",
            light=(0.8, 0.34, 0.04, "#fff0d8"),
            ridges=7,
            horizon=0.46,
            rough=0.15,
            extras=("birds",),
        ),
    ),
    _picture(
        "pine-valley",
        ("Pine valley", "A green valley full of pines, a blue range at its end."),
        ("Vallée aux pins", "Une vallée verte pleine de pins, fermée par une chaîne bleue."),
        Scene(
            18,
            ("#7fb2d6", "#b5d6e6", "#e9f2e4"),
            "#8fb0bd",
            "#1d4630",
            ridges=6,
            horizon=0.42,
            rough=0.5,
            extras=("trees", "birds", "mist"),
        ),
    ),
    _picture(
        "sea-at-dusk",
        ("Sea at dusk", "A calm sea at dusk, low islands on the horizon, a rose-coloured sky."),
        ("Mer au crépuscule", "Une mer calme au crépuscule, des îles basses à l'horizon, un ciel rose."),
        Scene(
            64,
            ("#41608f", "#a88fb4", "#f2b5a7", "#fbd9b8"),
            "#6f6f98",
            "#3c4a72",
            light=(0.36, 0.5, 0.035, "#fff1d0"),
            ridges=2,
            horizon=0.6,
            rough=0.35,
            water="#4c6a94",
        ),
    ),
    _picture(
        "harvest-moon",
        ("Harvest moon", "A big orange moon above golden fields at night."),
        ("Lune des moissons", "Une grande lune orange au-dessus de champs dorés, la nuit."),
        Scene(
            90,
            ("#1c2541", "#3a3a63", "#8a5a5e"),
            "#8a6a4f",
            "#3b2a1a",
            light=(0.7, 0.3, 0.085, "#f7b267"),
            ridges=5,
            horizon=0.56,
            rough=0.12,
            extras=("stars",),
        ),
    ),
    _picture(
        "summer-rain",
        ("Summer rain", "Slanting rain over soft green hills and a grey sky."),
        ("Pluie d'été", "Une pluie oblique sur des collines vertes et douces, sous un ciel gris."),
        Scene(
            55,
            ("#5f7480", "#8fa3a6", "#c5d0c2"),
            "#93a99a",
            "#2c5140",
            ridges=6,
            horizon=0.44,
            rough=0.22,
            extras=("mist", "rain"),
        ),
    ),
    _picture(
        "islands-in-fog",
        ("Islands in fog", "Islands in a milky fog, hardly to be told from the water."),
        ("Îles dans la brume", "Des îles dans une brume laiteuse, à peine distinctes de l'eau."),
        Scene(
            77,
            ("#cfdcdc", "#dfe8e4", "#f0f3ec"),
            "#b9cbc9",
            "#557a7c",
            light=(0.6, 0.24, 0.035, "#fffdf2"),
            ridges=4,
            horizon=0.5,
            rough=0.42,
            water="#9dbcbc",
            extras=("mist",),
        ),
    ),
    _picture(
        "winter-night",
        ("Winter night", "A small white moon above snow-covered peaks and a starry sky."),
        ("Nuit d'hiver", "Une petite lune blanche au-dessus de sommets enneigés et un ciel étoilé."),
        Scene(
            29,
            ("#0b1533", "#1d3463", "#4e74a6"),
            "#5b7fae",
            "#e8f0f8",
            light=(0.22, 0.18, 0.03, "#f6f9ff"),
            ridges=5,
            horizon=0.52,
            rough=0.72,
            extras=("stars",),
        ),
    ),
)

PICTURES: Mapping[str, Picture] = {picture.id: picture for picture in _ALL}
"""Pictures by id, in the order of the gallery."""
