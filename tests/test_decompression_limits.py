"""Files made to fill the memory, read by a process that has little: each ends in an error, or is read in pieces."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits of memory as Linux has them")

SIZE = 256 << 20  # bytes that a file becomes
ROOM = 240 << 20  # bytes that the process may allocate beyond those that it has once all is imported
LIMIT = 4 << 20  # bytes that a file may become if it is kept; with the real limit each reader would take seconds
PIECE = 1 << 22

KEPT_IN_MEMORY = {
    "vectors": ("KeyedVectors.load(path, duplicates='last')", b"a 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"),
    "log": ("Interactions.from_csv(path, user=0, item=1)", b"1,2,3\n3,1,3\n"),
    "sessions": ("Interactions.from_sessions(path)", b"1 2 3 4 5 6 7\n"),
    "session without end": ("Interactions.from_sessions(path)", b"1"),
    "features": ("Features.from_csv(path, ids)", b"1,2,3\n"),
    "features in JSON": ("Features.from_json(path, ids)", b" "),
    "word pairs": ("read_pairs(path)", b"tea\tcup\t1\n"),
    "questions": ("read_analogies(path)", b"a b c d\n"),
    "vocabulary": ("Vocabulary.load(path)", b"tea 1\n"),
    "phrases": ("Phrases.load(path)", b" "),
    "counts": ("Unigram.from_file(path, 2)", b"1\n"),
    "n-grams": ("NGram.from_arpa(path, progress=False)", b"\n"),
}
READ_IN_PIECES = {
    "text": ("encode(path, progress=False).close()", b"to be or not to be that is the question whether it is better\n"),
    "words without end": ("encode(path, progress=False).close()", b"a b\n" + b"c" * (PIECE - 4)),
}
PROGRAM = """
import json, resource, sys, warnings
import numpy as np
import polars, torch, zstandard
from logq import _compression
from logq.evaluation import read_analogies, read_pairs
from logq.language_models import NGram
from logq.logs import Features, Interactions
from logq.logs.identifiers import Identifiers
from logq.samplers import Unigram
from logq.text import Phrases, Vocabulary, encode
from logq.vectors import KeyedVectors
warnings.simplefilter("ignore")
ids, limit, room = Identifiers(np.arange(3)), int(sys.argv[1]), int(sys.argv[2])
_compression._ALWAYS_KEPT, _compression._LARGEST_RATIO = limit, 1
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + room, used + room))
said = {}
for path, reader in json.loads(sys.argv[3]):
    try:
        eval(reader)
        said[path] = ""
    except Exception as error:
        said[path] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


def write(path: Path, row: bytes) -> Path:
    """Write rows until they are of SIZE, compressed as the ending of the name says."""
    piece = row * (PIECE // len(row))
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file, file.open("a", "w") as inside:
            for _ in range(SIZE // PIECE):
                inside.write(piece)
        return path
    if path.suffix == ".zst":
        packed = pytest.importorskip("zstandard").ZstdCompressor().compress(piece)
    else:
        packed = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[path.suffix].compress(piece)
    path.write_bytes(packed * (SIZE // PIECE))  # several compressed files in a row are one
    return path


def read(readers: dict[Path, str]) -> dict[Path, str]:
    """What each file ends in if it is read by its reader."""
    asked = json.dumps([(str(path), reader) for path, reader in readers.items()])
    command = [sys.executable, "-c", PROGRAM, str(LIMIT), str(ROOM), asked]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return {Path(path): said for path, said in json.loads(done.stdout).items()}


def test_what_is_kept_in_memory_has_a_limit_and_texts_are_read_in_pieces(tmp_path: Path) -> None:
    kept = {write(tmp_path / f"{name}.gz", row): reader for name, (reader, row) in KEPT_IN_MEMORY.items()}
    reader, row = KEPT_IN_MEMORY["log"]
    kept |= {write(tmp_path / f"log{ending}", row): reader for ending in (".bz2", ".xz", ".zst", ".zip")}
    pieces = {write(tmp_path / f"{name}.gz", row): reader for name, (reader, row) in READ_IN_PIECES.items()}
    said = read(kept | pieces)
    expected = {
        path: f"ValueError: {path}: expected at most 4,194,304 bytes when decompressed, it has" for path in kept
    }
    assert {path: text[: len(expected[path])] for path, text in said.items() if path in kept} == expected
    assert {path: said[path] for path in pieces} == dict.fromkeys(pieces, "")
