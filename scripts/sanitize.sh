#!/usr/bin/env bash
# Build the compiled core with sanitizers of GCC and run its tests with it: memory errors and undefined behaviour, then
# races of threads. Needs Linux on a machine of 64 bits, and GCC. `make sanitize` calls it.
#
#     scripts/sanitize.sh PYTHON [address] [thread]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=$1
shift
[ $# -gt 0 ] || set -- address thread
export CXX=${CXX:-g++} OMP_NUM_THREADS=1 PATH="$(dirname "$python"):$PATH"
command -v "$CXX" > /dev/null || { echo "There is no $CXX here; the sanitizers are those of GCC." >&2; exit 1; }

build() {
    cmake -S . -B "build/sanitize-$1" -G Ninja -DSKBUILD=1 -DCMAKE_BUILD_TYPE=RelWithDebInfo "-DLOGQ_SANITIZE=$1" \
        "-DPython_EXECUTABLE=$(command -v "$python")" "-Dnanobind_DIR=$("$python" -m nanobind --cmake_dir)" > /dev/null
    cmake --build "build/sanitize-$1"
}

# The sanitizer has to be in the process before Python is, and with it what throws C++ exceptions.
with() {
    LD_PRELOAD="$("$CXX" -print-file-name="lib$1.so") $("$CXX" -print-file-name=libstdc++.so.6)" "${@:2}"
}

for kind in "$@"; do
    echo "==> Building the core with -fsanitize=$kind"
    build "$kind"
    tests="$python tests/sanitizers/with_core.py build/sanitize-$kind -q -s -p no:cacheprovider"
    echo "==> Running its tests"
    case $kind in
        address)
            # Leaks are not looked for: Python and its extensions keep much until the process ends. Nor is memory measured,
            # of which the sanitizer takes a multiple.
            ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1 \
                with asan $tests tests/kernels tests/word2vec/test_kernel.py tests/word2vec/test_kernel_arguments.py tests/word2vec/test_kernel_distributions.py \
                tests/word2vec/test_partitions.py tests/word2vec/test_subword_kernel.py tests/word2vec/test_fixed_windows.py \
                tests/text/test_encoding.py tests/text/test_encoding_cache.py tests/text/test_character_ngrams.py -k "not little_memory"
            ;;
        thread)
            # Without conftest.py, which imports torch. Addresses must not be random for older versions.
            TSAN_OPTIONS="suppressions=$PWD/tests/sanitizers/thread.supp:exitcode=66:history_size=4" \
                with tsan setarch -R $tests --noconftest \
                tests/word2vec/test_kernel.py tests/kernels/test_rows.py tests/kernels/test_text.py \
                tests/kernels/test_sampling_threads.py tests/kernels/test_loss_threads.py tests/text/test_encoding.py \
                -k "thread and not two and not four and not many"
            ;;
    esac
done
