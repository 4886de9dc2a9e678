"""Requests that schemathesis makes of the description of the service: none fails inside of it, none is told wrongly.

It holds answers to the description (status, kind, schema), and sends what the description allows and what it forbids.
"""

import re
import subprocess
import sys

import numpy as np
import pytest

from language_cases import TEXT
from logq import NGram
from logq.recommenders import ItemKNN
from logq.vectors import KeyedVectors
from recommender_cases import planted_split
from serving_process import Service

# Short limits, as each list and text is also made longer than it may be.
PROGRAM = """
import sys
import uvicorn
from logq.serving import ServingLimits, create_app

limits = ServingLimits(k=50, items=20, characters=100)
uvicorn.run(create_app(sys.argv[2], limits=limits), port=int(sys.argv[1]), log_level="warning")
"""

# What the description cannot say is refused by 422 too: how long vectors are, which features and columns the model has,
# histories with nothing that it ranks by, features beside items.
CONFIG = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", 404, 422]

[checks.negative_data_rejection]
expected-statuses = [400, 401, 404, 405, 413, 415, 422]
"""

MODELS = {
    "words": lambda: KeyedVectors([f"w{one}" for one in range(40)], np.random.default_rng(0).normal(size=(40, 3))),
    "texts": lambda: NGram(2, "add_k").fit(TEXT, progress=False),
    "recommender": lambda: ItemKNN(neighbors=5).fit(planted_split().train),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MODELS)
def test_no_request_fails_inside_and_none_is_told_wrongly(kind, tmp_path, free_port, begun):
    pytest.importorskip("schemathesis")
    MODELS[kind]().save(tmp_path / "model")
    (tmp_path / "service.py").write_text(PROGRAM)
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    port = free_port()
    service = Service([tmp_path / "service.py", port, tmp_path / "model"], f"http://127.0.0.1:{port}")
    begun.append(service)
    service.until(lambda told: told["status"] == "ok")
    words = ["-m", "schemathesis.cli", "--config-file", tmp_path / "schemathesis.toml", "run"]
    words += [f"{service.url}/openapi.json", "--max-examples", 30, "--seed", 1, "--no-color"]
    done = subprocess.run(
        [sys.executable, *map(str, words)], capture_output=True, text=True, cwd=tmp_path, timeout=900, check=False
    )
    told = re.sub(r"[^\n]{600,}", "...", done.stdout)
    metrics = service.client.get("/metrics").text
    assert done.returncode == 0, told[-5000:] + done.stderr[-2000:]
    generated = re.search(r"(\d+) generated", told)
    assert generated, told[-5000:]
    assert int(generated[1]) > 100
    assert 'status="500"' not in metrics
    code, errors = service.end()
    assert code in (0, -15)
    assert "Traceback" not in errors
