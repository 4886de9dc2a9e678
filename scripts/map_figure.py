"""Draw docs/word-map.svg: the words of Python's own documentation, as `logq demo` learns them.

    .venv/bin/python scripts/map_figure.py

The picture is text: words where the map of the demo has them, in light and dark. It takes some seconds, and needs the
extra `map`.
"""

import argparse
from html import escape
from pathlib import Path

import numpy as np

from logq import Word2Vec
from logq.evaluation.map_points import MapPoints, WordSource, arrange
from logq.text import python_reference

WIDTH, HEIGHT, EDGE = 960, 600, 34
LIGHT = ("#1b66ab", "#a04613", "#22693b", "#81379a", "#ad2b48", "#0a6a70", "#6c5a09", "#4650b4", "#9a3076", "#56616b")
DARK = ("#79bdff", "#ffad75", "#82d8a0", "#d6a1f1", "#ff97a6", "#67d4dc", "#e2cf66", "#a9b3ff", "#f49cd4", "#b9c5cf")
COMMON = 60  # most frequent words, which say least: they are points
SEED = 1


def learn() -> MapPoints:
    """The vectors and the map of `logq demo`."""
    model = Word2Vec(dim=100, min_count=5, epochs=5, num_sampled=5, sample=1e-3, seed=SEED)
    return arrange(WordSource(model.fit(python_reference(), progress=False).vectors), seed=SEED)


def picture(points: MapPoints) -> str:
    """The picture as SVG."""
    # Ranks of places, half and half with the places: a wide picture without empty corners.
    ranks = points.positions.argsort(axis=0).argsort(axis=0) / max(1, len(points.ids) - 1)
    spread = 0.5 * (points.positions - points.positions.min(axis=0)) / np.ptp(points.positions, axis=0) + 0.5 * ranks
    places = EDGE + spread * (WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE)
    places[:, 1] = HEIGHT - places[:, 1]
    counts = np.log1p(points.counts if points.counts is not None else np.ones(len(points.ids)))
    weight = (counts - counts.min()) / max(1e-9, np.ptp(counts))
    taken: list[tuple[float, float, float, float]] = []
    texts, dots = [], []
    # Words that stand close to the middle of their group come first, so that each part of the picture has its own.
    telling = {place for group in points.telling for place in group if place >= COMMON}
    order = sorted(range(len(points.ids)), key=lambda place: (place not in telling, place))
    for place in order:
        x, y = places[place]
        size = 10.5 + 7.5 * weight[place] + 2 * (place in telling)
        half, tall = 0.29 * size * len(points.names[place]) + 3, 0.6 * size
        box = (max(x - half, 0), y - tall, min(x + half, WIDTH), y + tall)
        free = not any(o[0] < box[2] and o[2] > box[0] and o[1] < box[3] and o[3] > box[1] for o in taken)
        inside = half + 2 < x < WIDTH - half - 2
        group = f"g{points.groups[place]}"
        if free and inside and (place >= COMMON or place in telling):
            taken.append(box)
            strong = ' font-weight="600"' if place in telling else ""
            word = escape(points.names[place])
            texts.append(
                f'<text class="{group}" x="{x:.0f}" y="{y + size / 3:.0f}" font-size="{size:.1f}"{strong}>{word}</text>'
            )
        else:
            dots.append(f'<circle class="{group}" cx="{x:.0f}" cy="{y:.0f}" r="{1.6 + 1.6 * weight[place]:.1f}"/>')

    def colors(several: tuple[str, ...]) -> str:
        return "".join(f".g{number}{{fill:{color}}}" for number, color in enumerate(several))

    names = escape(", ".join(points.names[group[0]] for group in points.telling if group))
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {box} role="img" aria-labelledby="title">',
            f'<title id="title">A map of the words of Python\'s documentation, with groups around {names}</title>',
            f"<style>text{{text-anchor:middle;font-family:system-ui,sans-serif}}circle{{opacity:.35}}{colors(LIGHT)}"
            f"@media (prefers-color-scheme:dark){{{colors(DARK)}}}</style>",
            *dots,
            *texts,
            "</svg>",
            "",
        ]
    )


def main() -> None:
    """Write it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "docs" / "word-map.svg")
    output = parser.parse_args().output
    output.write_text(picture(learn()), encoding="utf-8")
    print(f"{output}: {output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
