import gzip

import pytest

from logq.cli.log_reading import LogColumns, LogFormat, LogReadingOptions, read_log
from logq.cli.terminal.errors import BadInputError


def read(path, options=None, **cleaning):
    told = []
    return read_log(path, options or LogReadingOptions(), told.append, **cleaning), told


def test_guesses_and_losses_are_told(tmp_path):
    path = tmp_path / "log.tsv"
    path.write_text("user\titem\trating\n1\t5\t4\n1\t7\t2\n2\t5\t5\n2\t8\t4\n")
    log, told = read(path, LogReadingOptions(min_label=4))
    assert len(log) == 3
    assert "user: took the column 'user'" in told[0]
    assert told[1].startswith("time: there is no further column")
    assert told[2] == "left out: 1 (label below 4)"


def test_what_is_said_is_not_guessed(ratings):
    log, told = read(
        ratings, LogReadingOptions(user="user_id", item="item_id", time="none", label="none", separator=",")
    )
    assert log.timestamps is None
    assert log.labels is None
    assert not [line for line in told if "took the column" in line]


def test_rare_users_and_items_can_be_left_out(ratings):
    log, _ = read(ratings, LogReadingOptions(min_user=6))
    assert log.num_users == 36


def test_features_come_without_titles(ratings):
    log, _ = read(ratings, LogReadingOptions(item_features=ratings.parent / "items.csv"))
    assert log.item_features is not None
    assert log.item_features.names == ["kind"]


@pytest.mark.parametrize(("format", "users"), [(LogFormat.sessions, 2), (LogFormat.user_sessions, 1)])
def test_sessions(tmp_path, format, users):
    path = tmp_path / "sessions.txt.gz"
    path.write_bytes(gzip.compress(b"9 1 2 3\n9 4 5\n"))
    log, _ = read(path, LogReadingOptions(format=format))
    assert log.num_users == users
    with pytest.raises(BadInputError, match=r"--user: expected none, .* have no columns"):
        read(path, LogReadingOptions(format=format, user="u"))


def test_parquet_by_its_name(tmp_path, ratings):
    polars = pytest.importorskip("polars")
    polars.read_csv(ratings).write_parquet(tmp_path / "log.parquet")
    assert len(read(tmp_path / "log.parquet")[0]) == len(read(ratings)[0])
    with pytest.raises(BadInputError, match="--separator"):
        read(tmp_path / "log.parquet", LogColumns(separator=","))


def test_a_wrong_column_is_named_with_those_that_exist(logq, ratings, tmp_path):
    code, _, err = logq("train", "sasrec", ratings, "-o", tmp_path / "m", "--user", "uid")
    said = "--user: expected one of the columns 'user_id', 'item_id', 'rating', 'ts', got 'uid'"
    assert (code, err) == (2, f"Error: {said}; the file is {ratings}\n")


def test_columns_that_look_like_nothing(logq, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("foo,bar\n1,2\n3,4\n")
    code, _, err = logq("train", "sasrec", path, "-o", tmp_path / "m", "--separator", ",")
    assert code == 2
    assert err.startswith("Error: --user: expected the name of a column")
    assert "none of the columns 'foo', 'bar' looks like users or items; " in err
    assert err.endswith(f"--user NAME --item NAME name them; the file is {path}\n")


def test_polars_missing_is_said_with_the_command(logq, ratings, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "polars", None)
    code, _, err = logq("train", "sasrec", ratings, "-o", tmp_path / "m")
    assert code == 2
    assert err == f"Error: {ratings}: logs are read by polars, which is not installed: pip install 'logq[logs]'\n"
    assert not (tmp_path / "m").exists()


def test_who_names_columns_says_that_there_is_a_header(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("function,calls\nf,open\nf,len\ng,open\n")
    log, _ = read(path, LogReadingOptions(user="function", item="calls"))
    assert (len(log), log.num_users) == (3, 2)


def test_what_was_taken_for_time_has_a_line_of_its_own(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("user,item,purchase_date\n1,5,31.12.2023\n1,7,30.12.2023\n")
    log, told = read(path)
    assert "time: took the column 'purchase_date' (dates with the day first)" in told
    assert log.item_ids.keys_of(log.items).tolist() == [7, 5]
    path.write_text("user,item,when\n1,5,03/04/2024\n1,7,02/05/2024\n")
    log, _ = read(path, LogReadingOptions(time_format="day-first"))
    assert log.item_ids.keys_of(log.items).tolist() == [5, 7]
    path.write_text("user,item,x,y\n1,5,2024-01-02,2024-01-02\n1,7,2024-01-01,2024-01-02\n")
    _, told = read(path)
    assert len([line for line in told if "no time column found among 'x', 'y'" in line]) == 1


def test_several_files_are_pointed_to_what_makes_one_log_of_them(logq, ratings, tmp_path):
    code, _, err = logq("train", "popularity", ratings, ratings, "-o", tmp_path / "model")
    assert code == 2
    assert "logq prepare FILE... -o parts" in err
    code, _, err = logq("train", "popularity", f"{ratings.parent}/*.csv", "-o", tmp_path / "model")
    assert code == 2
    assert "expected one file, found a pattern; " in err
    assert "logq prepare" not in logq("train", "popularity", tmp_path / "no.csv", "-o", tmp_path / "model")[2]
