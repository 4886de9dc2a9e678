"""The kinds of indexes that have a name, for Python and the command line; importing it loads no torch."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from logq._project import check_installed

__all__ = ["INDEXES", "INDEX_KINDS", "IndexEntry"]


class IndexEntry(NamedTuple):
    """A kind of index.

    Attributes:
        location: "module:class".
        library: that it needs, whose name is that of the extra too; "" for none.
        options: of the constructor, which the name stands for.

    Example:
        >>> INDEXES["faiss-ivf"].options
        {'kind': 'ivf'}
    """

    location: str
    library: str = ""
    options: Mapping[str, str] = {}

    def check_installed(self) -> None:
        """Check that the library is there.

        Raises:
            ModuleNotFoundError: it is not; the message says how to install it.
        """
        check_installed("this index", self.library, *filter(None, [self.library]))


_FAISS: Final = "logq.retrieval.faiss_index:FaissIndex"

INDEXES: Final = {
    "exact": IndexEntry("logq.retrieval.exact_index:ExactIndex"),
    "faiss-flat": IndexEntry(_FAISS, "faiss", {"kind": "flat"}),
    "faiss-ivf": IndexEntry(_FAISS, "faiss", {"kind": "ivf"}),
    "faiss-hnsw": IndexEntry(_FAISS, "faiss", {"kind": "hnsw"}),
    "faiss-pq": IndexEntry(_FAISS, "faiss", {"kind": "pq"}),
    "usearch": IndexEntry("logq.retrieval.usearch_index:UsearchIndex", "usearch"),
    "hnswlib": IndexEntry("logq.retrieval.hnswlib_index:HnswlibIndex", "hnswlib"),
}
"""Name -> index."""

INDEX_KINDS: Final = tuple(INDEXES)
"""The names that `make_index` knows."""
