"""`logq prepare`, and training from what it writes."""

from pathlib import Path

import pytest

from logq.cli import main
from logq.logs import Interactions

pytest.importorskip("duckdb")

TEXT = "uid,iid,ts,weight\n" + "".join(f"{n % 9},i{(n * n + n // 5) % 23},{n},{n % 3}\n" for n in range(90))


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("log.csv").write_text(TEXT)
    return tmp_path


@pytest.mark.usefixtures("log")
def test_prepares_checks_trains_and_evaluates(capsys: pytest.CaptureFixture[str]) -> None:
    names = "--user uid --item iid --time ts --columns weight --memory 200MB --partitions 2"
    assert main(f"prepare log.csv -o parts {names}".split()) == 0
    said = capsys.readouterr()
    assert "90 events of 9 users with " in said.out
    assert "logq train youtube-dnn parts" in said.out
    assert list(Interactions.open("parts").columns) == ["weight"]
    assert main(["prepare", "--check", "parts"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("All rules of a prepared log hold.\n90 events")
    assert (
        main(
            [
                "train",
                "youtube-dnn",
                "parts",
                "-o",
                "model",
                "--epochs",
                "1",
                "--weights",
                "weight",
                "--keep-seen",
                "-q",
            ]
        )
        == 0
    )
    assert not Path("model/log/items.npy").exists()  # the log is where it was
    capsys.readouterr()
    assert main(["evaluate", "ranking", "model", "--keep-seen"]) == 0
    assert "HR@10" in capsys.readouterr().out
    assert main(["prepare", "log.csv", "-o", "parts", "--overwrite", "--user", "uid", "--item", "iid", "-q"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "ranking", "model", "--keep-seen"]) == 2
    assert "the log was prepared anew after the model" in capsys.readouterr().err


@pytest.mark.usefixtures("log")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("prepare log.csv", "--output"),
        ("prepare - -o parts", "found standard input"),
        ("prepare no.csv -o parts", "no.csv: No such file"),
        ("prepare log.csv -o parts --format sessions", "--format sessions: expected a table"),
        ("prepare log.csv -o parts --user who", "--user: expected one of the columns 'uid'"),
        ("prepare log.csv -o parts --memory lots", "--memory: expected a size such as 700MB, got 'lots'"),
        ("prepare log.csv -o parts --engine hadoop", "--engine: expected one of duckdb, spark"),
        (
            "prepare s3://shop/log.csv -o parts",
            "expected paths of files, got 's3:/shop/log.csv'; no engine reads addresses",
        ),
        ("prepare log.csv -o s3://shop/parts", "expected paths of files, got 's3:/shop/parts'"),
        ("prepare --check log.csv -o parts", "--check: expected one folder"),
        ("prepare --check nowhere", "users.parquet: there is no such file"),
        ("train youtube-dnn . -o model", "expected a log, or a folder that `logq prepare` finished"),
    ],
)
def test_says_what_is_wrong(line: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    assert said in capsys.readouterr().err


@pytest.mark.usefixtures("log")
def test_a_model_of_a_file_meets_a_prepared_log(capsys: pytest.CaptureFixture[str]) -> None:
    names = "--user uid --item iid --time ts"
    assert main(f"train ease log.csv -o model {names} -q".split()) == 0
    assert main(f"prepare log.csv -o parts {names} -q".split()) == 0
    capsys.readouterr()
    assert main(["evaluate", "ranking", "model", "parts", "--leave-one-out", "--keep-seen"]) == 0
    assert "HR@10" in capsys.readouterr().out
    assert main(["evaluate", "ranking", "model", "parts", "--keep-seen"]) == 2
    assert "expected a log whose users and items can be those of the model" in capsys.readouterr().err


@pytest.mark.usefixtures("log")
def test_options_of_reading_belong_to_prepare(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare", "log.csv", "-o", "parts", "--user", "uid", "--item", "iid", "--time", "ts", "-q"]) == 0
    for option in ("--min-item 5", "--user uid", "--weights weight"):
        assert main(f"train youtube-dnn parts -o model {option}".split()) == 2
        assert "logq prepare" in capsys.readouterr().err
