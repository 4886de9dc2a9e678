"""The first minutes of a new user: install a wheel into an empty environment, and follow every hint that is printed.

    python scripts/first_minutes.py dist/logq-0.2.0-cp311-cp311-linux_x86_64.whl

Times are those of the clock, from `pip install` on. A hint is a line under "Next steps", and what an error says to
install; each is run as it is printed, and so is what that prints, up to 80 commands. The exit code is 1 if one of them
fails, or was not reached; a training of minutes is ended, and named at the end. Needs nothing but Python; pip is to
find torch and the rest, by an index or what its own configuration says (PIP_CONSTRAINT).
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STARTS = (
    "logq --version",
    "logq doctor",
    "logq demo",
    "logq demo items",
    "logq train lm corpus.txt -o lm --order 2 --smoothing add_k",
    "logq train word2vec corpus.txt -o vectors --min-count 2",
    "logq vocab corpus.txt -o words.json",
    "logq phrases corpus.txt -o phrases.json",
    "logq map logq-demo -o map.html",
    "logq evaluate words logq-demo --similarity pairs.tsv",
    "logq export logq-demo -o embedding",
    "logq export logq-demo-items -o arrays",
    "logq export lm -o arpa",
    "logq train sasrec logq-demo-items/calls.csv --user function --item calls --min-item 5 --epochs 1 -o sasrec",
    "logq evaluate ranking sasrec",
    "logq index sasrec -o sasrec/index --check",
    "logq index sasrec -o sasrec/hnsw --kind faiss-hnsw",
    "logq index sasrec --duckdb items.duckdb",
    "logq export sasrec -o service",
    "logq tune ease logq-demo-items/calls.csv --user function --item calls --min-item 5 -o tuned --trials 2",
    "logq push sasrec me/shop --dry-run",
    "logq prepare logq-demo-items/calls.csv -o prepared --user function --item calls",
    "logq diagnose sasrec --figure error.svg",
    "logq serve sasrec --port 0",
)
"""What a page or a --help shows, beside what the commands themselves suggest."""

SERVERS = ("logq serve",)
"""What runs until it is ended."""

AT_MOST, LONGEST = 80, 180
"""Commands, and seconds of one: a training of minutes is ended then."""

ENDED = f"ended after {LONGEST} s, as by Ctrl-C"


def main() -> int:
    """Install, follow, and say what happened."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("wheel", type=Path)
    options.add_argument("--folder", type=Path, help="where the environment goes; by default a temporary folder")
    options.add_argument("--installed", action="store_true", help="the environment is there already")
    asked = options.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells ignore in the background, children too
    with tempfile.TemporaryDirectory(prefix="first-minutes-") as temporary:
        home = (asked.folder or Path(temporary)).resolve()
        return follow(home, asked.wheel.resolve(), is_installed=asked.installed)


def follow(home: Path, wheel: Path, *, is_installed: bool) -> int:
    """Run everything in an environment of its own."""
    work = home / "work"
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    if not is_installed:
        subprocess.run([sys.executable, "-m", "venv", str(home / "env")], check=True)
        began = time.monotonic()
        subprocess.run([str(home / "env" / "bin" / "pip"), "install", "--no-input", "-q", str(wheel)], check=True)
        print(f"{time.monotonic() - began:6.1f} s  pip install {wheel.name}, with what it needs")
    line = "the king and the queen met a man and a woman in the city on a day in the spring\n"
    (work / "corpus.txt").write_text(line * 200 + "once in a city a spring came\n" * 50)
    (work / "pairs.tsv").write_text("file\tpath\t8\nthread\tprocess\t7\nsocket\tstring\t2\n")
    surroundings = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    surroundings |= {"PATH": f"{home / 'env' / 'bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
    waiting, seen, failed, ended = list(STARTS), set[str](), list[str](), list[str]()
    while waiting and len(seen) < AT_MOST:
        command = waiting.pop(0)
        if command in seen:
            continue
        seen.add(command)
        before = time.monotonic()
        done = run(command, work, surroundings)
        print(f"{time.monotonic() - before:6.1f} s  {command}" + (f"  -> {done.returncode}" if done.returncode else ""))
        if command in ("logq demo", "logq demo items"):
            what = "first neighbors" if command == "logq demo" else "first recommendations"
            print(f"{time.monotonic() - began:6.1f} s  from pip install to {what}")
        if done.stdout == ENDED:
            ended.append(command)
        hints = found_hints(done.stdout + done.stderr)
        if done.returncode:
            print("          " + "\n          ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-6:]))
            extra = [hint for hint in hints if hint.startswith("pip install")]
            if extra:  # a message that names what to install: do so, and again
                seen.discard(command)
                waiting[:0] = [*(hint for hint in extra if hint not in seen), command]
                if all(hint in seen for hint in extra):
                    failed.append(command)
                    seen.add(command)
            else:
                failed.append(command)
        else:
            waiting += [hint for hint in hints if hint not in seen and not hint.startswith("pip install")]
    left = [command for command in dict.fromkeys(waiting) if command not in seen]
    print(f"{len(seen)} commands")
    for what, commands in (("failed", failed), (ENDED, ended), ("not reached", left)):
        print(f"{len(commands)} {what}" + "".join(f"\n  {command}" for command in commands))
    return bool(failed or left)


def run(command: str, folder: Path, surroundings: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """Run a line as a shell does; what serves is ended once it has said where."""
    if not command.startswith(SERVERS):
        quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(f"exec {command}", shell=True, cwd=folder, env=surroundings, **quiet) as process:
            try:
                said = process.communicate(timeout=LONGEST)
                return subprocess.CompletedProcess(command, process.returncode, *said)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGINT)
                process.communicate()
                return subprocess.CompletedProcess(command, 0, ENDED, "")
    with subprocess.Popen(
        f"exec {command}",
        shell=True,
        cwd=folder,
        env=surroundings,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said = process.stdout.readline() + process.stdout.readline()
        curl = re.search(r"^\s*(curl .*)$", said, re.M)
        if curl:
            answer = subprocess.run(curl[1], shell=True, capture_output=True, text=True, timeout=60, check=False).stdout
            said += answer
        process.terminate()
        said += process.stdout.read()
    return subprocess.CompletedProcess(command, process.returncode, said, "")


def found_hints(text: str) -> list[str]:
    """The commands under "Next steps", and lines that install something."""
    found: list[str] = []
    _, _, steps = text.partition("Next steps\n")
    for line in steps.splitlines():
        if not line.startswith("  "):
            break
        found.append(re.split(r"\s+#\s", line.strip())[0].strip())
    return found + re.findall(r"(pip install ['\"]logq\[[\w,]+\]['\"])", text)


if __name__ == "__main__":
    sys.exit(main())
