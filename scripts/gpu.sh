#!/usr/bin/env bash
# Check and time logq on a GPU, from nothing: `make gpu` calls it. Needs a Python that has torch for CUDA; what else logq
# needs comes from the package index, or from build/wheels where there is no network:
#
#     scripts/gpu.sh wheels python3.12    here, with a network: wheels for that Python, which then travel with the tree
#     scripts/gpu.sh [OPTIONS]            there; options are those of benchmarks/gpu.py
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = wheels ]; then
    python=${2:-python3}
    rm -rf build/wheels
    echo "==> Building logq for $("$python" --version)"
    "$python" -m pip wheel --quiet --no-deps --wheel-dir build/wheels .
    echo "==> Fetching what it needs, without torch and numpy, which come with CUDA"
    "$python" -m pip download --quiet --no-deps --only-binary=:all: -c constraints.txt -d build/wheels \
        safetensors typer click rich markdown-it-py mdurl pygments shellingham annotated-doc lazy-loader packaging \
        typing-extensions
    echo "==> Fetching what tests need"
    "$python" -m pip download --quiet --no-deps --only-binary=:all: -c constraints.txt -d build/wheels \
        pytest pluggy iniconfig hypothesis sortedcontainers
    echo "==> Fetching what it is compared with"
    "$python" -m pip download --quiet --no-deps --only-binary=:all: -d build/wheels liger-kernel cut-cross-entropy ||
        echo "Not fetched: the run goes on without them." >&2
    du -sh build/wheels
    exit
fi

python=${PYTHON:-python3}
environment=build/gpu-environment
[ -x $environment/bin/python ] || "$python" -m venv --system-site-packages $environment
if compgen -G "build/wheels/logq-*.whl" > /dev/null; then
    $environment/bin/python -m pip install --quiet --no-index --no-deps build/wheels/*.whl
else
    $environment/bin/python -m pip install --quiet .
fi
exec $environment/bin/python benchmarks/gpu.py "$@"
