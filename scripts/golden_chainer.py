# ruff: noqa: N806 - W is the name that Chainer has for it
"""Ask Chainer 7.8.1 again for what the golden files of tests/golden say that it returns.

    python scripts/golden_chainer.py             compares, and exits with 1 where a number differs
    python scripts/golden_chainer.py --write     writes the files; inputs that are there already stay what they are

Chainer is no longer maintained; it runs on Python 3.11 with numpy 1.23 and setuptools below 70:

    pip install numpy==1.23.5 "setuptools<70" wheel && pip install --no-build-isolation chainer==7.8.1

Nothing of logq is imported, so that its environment needs nothing else.
"""

import argparse
import ast
import json
import os
import sys
import warnings
from pathlib import Path

import numpy as np

warnings.simplefilter("ignore")  # Chainer's about the numpy of today

import chainer  # noqa: E402
import chainer.functions as F  # noqa: E402
import chainer.links as L  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "tests" / "golden"
VERSION = "7.8.1"


def negative_sampling(given: dict) -> dict:
    found = {}
    for reduce in ("no", "sum"):
        x, W = chainer.Variable(given["x"]), chainer.Variable(given["W"])
        loss, samples = F.negative_sampling(
            x, given["t"], W, lambda shape: given["samples_in"].copy(), 4, reduce, return_samples=True
        )
        loss.grad = np.asarray(given[f"gy_{reduce}"], dtype=loss.dtype)
        loss.backward()
        found |= {f"{reduce}_loss": loss.array, f"{reduce}_dx": x.grad, f"{reduce}_dW": W.grad, "samples_out": samples}
    return found


def second_inputs() -> dict:
    random = np.random.RandomState(20)
    given = {"t": np.array([3, -1, 0, 3, 6], "i"), "samples_in": random.randint(0, 7, (5, 4)).astype("i")}
    given["samples_in"][0, 1:3] = 3  # the target, twice
    for name, shape in {"x": (5, 3), "W": (7, 3), "gy_no": (5,), "gy_sum": (), "ggx": (5, 3), "ggW": (7, 3)}.items():
        given[name] = random.standard_normal(shape)
    return given


def second_derivatives(given: dict) -> dict:
    """Gradients of the sum of ggx times the gradient for x and ggW times that for W; and the loss in float16."""
    found = {}
    for reduce in ("no", "sum"):
        x, W, gy = (chainer.Variable(np.asarray(given[name])) for name in ("x", "W", f"gy_{reduce}"))
        sampler = lambda shape: given["samples_in"].copy()  # noqa: E731
        loss = F.negative_sampling(x, given["t"], W, sampler, 3, reduce)
        gx, gW = chainer.grad([loss], [x, W], [gy], enable_double_backprop=True)
        both = F.sum(gx * given["ggx"]) + F.sum(gW * given["ggW"])
        second = chainer.grad([both], [x, W, gy])
        narrow = F.negative_sampling(
            given["x"].astype("e"), given["t"], given["W"].astype("e"), sampler, 3, reduce
        ).array
        found |= {f"{reduce}_loss": loss.array, f"{reduce}_dx": gx.array, f"{reduce}_dW": gW.array}
        found |= {f"{reduce}_{name}": v.array for name, v in zip(("ddx", "ddW", "ddgy"), second, strict=True)}
        found[f"{reduce}_f16_loss"] = narrow
    return found


def black_out_inputs() -> dict:
    random = np.random.RandomState(21)
    given = {"t": np.array([2, 0, 5, 2], "i"), "samples": random.randint(0, 6, (4, 5)).astype("i")}
    given["samples"][0, 1:3] = 2  # the target, twice
    given["samples"][1] = 4  # one class only
    for name, shape in {"x": (4, 3), "W": (6, 3), "gy_no": (4,), "gy_mean": ()}.items():
        given[name] = random.standard_normal(shape)
    return given


def black_out(given: dict) -> dict:
    found = {}
    for dtype in ("f", "d"):
        for reduce in ("no", "mean"):
            x, W = (chainer.Variable(given[name].astype(dtype)) for name in ("x", "W"))
            loss = F.black_out(x, given["t"], W, given["samples"], reduce)
            loss.grad = np.asarray(given[f"gy_{reduce}"], dtype)
            loss.backward()
            name = f"{'f32' if dtype == 'f' else 'f64'}_{reduce}"
            found |= {f"{name}_loss": loss.array, f"{name}_dx": x.grad, f"{name}_dW": W.grad}
    return found


def hierarchical_softmax(given: dict) -> dict:
    chainer.global_config.dtype = given["x"].dtype
    link = L.BinaryHierarchicalSoftmax(given["x"].shape[1], ast.literal_eval(str(given["tree"])))
    link.W.array[...] = given["W"]
    link.cleargrads()  # it starts as NaN
    x = chainer.Variable(given["x"])
    loss = link(x, given["t"])
    loss.grad = np.asarray(given["gy_sum"], dtype=loss.dtype)
    loss.backward()
    function = link._func
    found = {"sum_loss": loss.array, "sum_dx": x.grad, "sum_dW": link.W.grad}
    found |= {"paths": function.paths, "codes": function.codes, "begins": function.begins}
    return {f"exp_{name}": value for name, value in found.items()}


def huffman_trees() -> list:
    """Counts, most of them with ties, and the trees."""
    random = np.random.RandomState(22)
    counts = [{7: 3}, {0: 8, 1: 5, 2: 6, 3: 4}, {4: 1, 2: 1, 0: 1, 3: 1, 1: 1}, {3: 0, 1: 0, 0: 0, 2: 0}]
    counts += [
        dict(zip(random.permutation(n).tolist(), random.randint(0, n, n).tolist(), strict=True)) for n in range(2, 26)
    ]
    counts += [dict(enumerate(random.randint(1, 9, 12) / 4))]
    make = L.BinaryHierarchicalSoftmax.create_huffman_tree
    return [{"counts": list(map(list, c.items())), "tree": repr(make(dict(c)))} for c in counts]


ARRAYS = {
    "chainer_negative_sampling": (None, negative_sampling),
    "chainer_negative_sampling_twice": (second_inputs, second_derivatives),
    "chainer_black_out": (black_out_inputs, black_out),
    "chainer_hierarchical_softmax": (None, hierarchical_softmax),
}


def ask(name: str, write: bool) -> list:
    """Ask for the arrays of one file: what differs, or nothing after writing them."""
    path = GOLDEN / f"{name}.npz"
    make_inputs, answer = ARRAYS[name]
    stored = dict(np.load(path)) if path.exists() else make_inputs()
    found = {key: np.asarray(value) for key, value in answer(stored).items()}
    wrong = [f"{name}: {key}" for key in found if key not in stored or not same(stored[key], found[key])]
    if not write or not wrong:
        return wrong
    save(path, lambda file: np.savez_compressed(file, **{**stored, **found}))
    return []


def same(stored: np.ndarray, found: np.ndarray) -> bool:
    """To a few roundings: numpy's sums depend on the machine."""
    if stored.shape != found.shape or stored.dtype != found.dtype:
        return False
    if stored.dtype.kind != "f":
        return bool((stored == found).all())
    return np.allclose(stored, found, rtol=32 * np.finfo(stored.dtype).eps, atol=32 * np.finfo(stored.dtype).eps)


def save(path: Path, write) -> None:
    """Whole or not at all."""
    temporary = path.with_name(path.name + ".part")
    with temporary.open("wb") as file:
        write(file)
    os.replace(temporary, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the files")
    write = parser.parse_args().write
    if chainer.__version__ != VERSION:
        sys.exit(f"the golden files are of Chainer {VERSION}, this is {chainer.__version__}")
    wrong = [line for name in ARRAYS for line in ask(name, write)]
    path, trees = GOLDEN / "chainer_huffman_trees.json", huffman_trees()
    if write:
        text = "[\n" + ",\n".join(json.dumps(tree) for tree in trees) + "\n]\n"
        save(path, lambda file: file.write(text.encode()))
    elif json.loads(path.read_text(encoding="utf-8")) != trees:
        wrong.append(f"{path.stem}: trees")
    print("\n".join(wrong) or f"{len(ARRAYS) + 1} files are as Chainer {VERSION} has them")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
