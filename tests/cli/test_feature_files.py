import pytest

from logq.cli.feature_files import FeatureTable, is_title, read_features, read_titles
from logq.cli.terminal.errors import BadInputError
from logq.folders import FolderError
from logq.folders.recommender_folders import load_titles, save_titles
from logq.logs import Identifiers


def table(tmp_path, text):
    path = tmp_path / "items.txt"
    path.write_text(text)
    return path


def test_a_first_line_that_begins_with_no_id_has_names(tmp_path):
    path = table(tmp_path, "thing,color\na,red\nb,blue\n")
    assert FeatureTable(path, Identifiers(["a", "b"])).names == ["thing", "color"]
    path = table(tmp_path, "a,red\nb,blue\n")
    found = FeatureTable(path, Identifiers(["b", "a"]))
    assert found.names == ["0", "1"]
    assert found.frame["1"].to_list() == ["red", "blue"]


def test_several_values_in_a_field(tmp_path):
    path = table(tmp_path, "item\tkinds:token_seq\tplaces\n1\tnew red\tx|y\n2\tred\ty\n")
    features = read_features(path, Identifiers([1, 2]))
    assert features is not None
    assert features.widths == {"kinds": 2, "places": 2}
    assert features.sizes == {"kinds": 3, "places": 3}


def test_ids_of_another_kind_are_named(tmp_path):
    path = table(tmp_path, "item,color\nx1,red\n")
    with pytest.raises(BadInputError, match="expected numbers in the first column 'item', as the log has, got 'x1'"):
        read_features(path, Identifiers([1, 2]))


def test_fractions_and_dates_are_cut_into_buckets_and_said(tmp_path):
    path = table(tmp_path, "item,price,since,kind,hot\n1,0.5,2024-01-31,a,true\n2,1.5,2024-02-28,b,false\n")
    told = []
    features = read_features(path, Identifiers([1, 2]), 2, told.append)
    assert features is not None
    assert features.sizes == {"price": 3, "since": 3, "kind": 3, "hot": 3}
    assert told == [f"{path}: price, since cut into 2 buckets (--buckets)"]
    assert features.encode({"price": [9.0], "since": ["2023-01-01"], "hot": [True]})["price"].tolist() == [2]


def test_vectors_are_read(tmp_path):
    path = table(tmp_path, "item\timage:float_seq\ttext\n1\t0.5 1.0\t[1, 0.5]\n2\t0.25 2\t[0, 0]\n")
    told = []
    features = read_features(path, Identifiers([2, 1]), 2, told.append)
    assert features is not None
    assert features.dense["image"].tolist() == [[0.25, 2], [0.5, 1]]
    assert features.dense["text"].tolist() == [[0, 0], [1, 0.5]]
    assert len(features) == 2
    assert told == []


def test_titles_are_not_features(tmp_path):
    path = table(tmp_path, "item,title\n1,Tea\n2,Salt\n9,Gold\n")
    ids = Identifiers([2, 1, 3])
    assert read_features(path, ids) is None
    assert read_titles(path, ids) == ["Salt", "Tea", ""]
    assert not is_title("subtitles")


def test_titles_are_kept_and_checked(tmp_path):
    save_titles(tmp_path, ["Tea", "S\u00e4lz"])
    assert load_titles(tmp_path, 2) == ["Tea", "S\u00e4lz"]
    with pytest.raises(FolderError, match="expected titles of 3 items"):
        load_titles(tmp_path, 3)
    save_titles(tmp_path, None)
    assert load_titles(tmp_path, 3) is None


def test_json_of_values(tmp_path):
    path = tmp_path / "items.json"
    path.write_text('{"1": ["a", "b"], "2": ["b"]}')
    features = read_features(path, Identifiers([1, 2]))
    assert features is not None
    assert features.names == ["attributes"]


def test_a_table_of_other_items_is_refused_and_what_is_missing_said(tmp_path):
    with pytest.raises(
        BadInputError, match=r"items\.txt: expected some ids of the log, got none in 2 rows, .* of 'x'; ids"
    ):
        read_features(table(tmp_path, "item,color\nx,red\ny,blue\n"), Identifiers(["a", "b", "c"]))
    for text in ("item,color\n", "item,color\na,\nb,\n"):
        with pytest.raises(BadInputError, match=r"items\.txt: expected features of what the log has, found"):
            read_features(table(tmp_path, text), Identifiers(["a", "b", "c"]))
    told = []
    path = table(tmp_path, "item,color\na,red\nb,\nx,red\na,blue\n")
    read_features(path, Identifiers(["a", "b", "c"]), 2, told.append)
    assert told == [f"{path}: has values for 1 of 3 in the log, left out 1 (unknown id), left out 1 (repeated id)"]


def test_json_has_no_titles(tmp_path):
    (tmp_path / "items.json").write_text('{"1": "Tea"}')
    assert read_titles(tmp_path / "items.json", Identifiers([1])) is None
