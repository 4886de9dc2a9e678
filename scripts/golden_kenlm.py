"""Make the golden files of KenLM again: python scripts/golden_kenlm.py folder-of-lmplz-and-query [folder of the files]

The text is drawn here: words by rank, each line a walk where a word is often followed by one of few. Its last word is a
new one, as lmplz puts the plain count of the last n-gram of each lower order instead of its adjusted count when it
estimates discounts (adjust_counts.cc, at the end of AdjustCounts::Run); for an n-gram that came once they are the same.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]


def lines(count: int, seed: int) -> list[str]:
    """Lines of some ten words among 150."""
    rng = np.random.default_rng(seed)
    names = [f"w{number}" for number in range(150)]
    weights = np.arange(1, 151) ** -1.3
    weights /= weights.sum()
    drawn: list[str] = []
    for _ in range(count):
        word = int(rng.choice(150, p=weights))
        line = [names[word]]
        while rng.random() < 0.88:
            word = (
                (3 * word + 1 + int(rng.integers(2))) % 150 if rng.random() < 0.6 else int(rng.choice(150, p=weights))
            )
            line.append(names[word])
        drawn.append(" ".join(line))
    return drawn


def main(programs: Path, folder: Path) -> None:
    """Write the files."""
    text, held_out = [*lines(160, 1), "w1 the-end"], [*lines(5, 2), "w1 never-seen w2", "w0"]
    (folder / "kenlm_text.txt").write_text("\n".join(text) + "\n")

    def estimate(name: str, rows: list[str], *options: str) -> None:
        command = [str(programs / "lmplz"), "-S", "100M", "-T", "/tmp", *options]
        done = subprocess.run(command, input="\n".join(rows) + "\n", capture_output=True, text=True, check=True)
        (folder / name).write_text(done.stdout)

    estimate("kenlm_order3.arpa", text, "-o", "3")
    estimate("kenlm_order5.arpa", [*text[:12], text[-1]], "-o", "5", "--discount_fallback")
    command = [str(programs / "query"), "-v", "sentence", str(folder / "kenlm_order3.arpa")]
    done = subprocess.run(command, input="\n".join(held_out) + "\n", capture_output=True, text=True, check=True)
    totals = [float(row.split()[1]) for row in done.stdout.splitlines() if row.startswith("Total:")]
    scores = dict(zip(held_out, totals, strict=True))
    (folder / "kenlm_query.json").write_text(json.dumps(scores, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "tests" / "golden")
