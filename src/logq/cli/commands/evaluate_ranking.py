"""`logq evaluate ranking`: how high a recommender ranks, among all items, what users did next."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import ArgumentError, BadArgumentError
from logq.cli.command_options import Device, JsonOutput, Quiet
from logq.cli.held_out_part import moment, name_of_test
from logq.cli.input_output import READS
from logq.cli.log_reading import LogColumns, check_log, read_log
from logq.cli.model_folders import RecommenderArgument, columns_of
from logq.cli.terminal.console import Text
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.terminal.result_tables import ResultTable
from logq.folders.recommender_folders import RecommenderFolder, open_folder

if TYPE_CHECKING:
    from logq.evaluation import RankingScores
    from logq.logs import Interactions, Split
    from logq.recommenders import Recommender

__all__ = ["EXAMPLES", "ranking"]


class Compared(str, Enum):
    """What items are compared by for the diversity of rankings."""

    vectors = "vectors"
    features = "features"


class Ties(str, Enum):
    """How equal scores are ranked."""

    random = "random"
    expected = "expected"


EXAMPLES = """
logq evaluate ranking model
logq evaluate ranking model --k 5 --k 20 --keep-seen
logq evaluate ranking model later.csv --json scores.json
logq evaluate ranking model other-users.csv --leave-one-out
logq evaluate ranking model --segments --diversity vectors
logq evaluate ranking model log.csv --since 2024-03-01
"""

_GUESSED = LogColumns()
_SAME = {"Recall": "HR", "MAP": "MRR"}  # where each user has one item to find, these are two names of one number


def ranking(
    folder: RecommenderArgument,
    log: Annotated[
        Path | None,
        typer.Argument(
            metavar="[LOG]", help="Later events of users; without it, the test part that training held out."
        ),
        READS,
    ] = None,
    columns: LogColumns = _GUESSED,
    k: Annotated[
        list[int] | None,
        typer.Option(
            "--k", "-k", metavar="N", min=1, help="Cut-off of the metrics. Repeatable.", show_default="10 and 50"
        ),
    ] = None,
    keep_seen: Annotated[
        bool, typer.Option("--keep-seen", help="Also rank items that a user has already seen.")
    ] = False,
    ties: Annotated[
        Ties,
        typer.Option(
            "--ties",
            metavar="NAME",
            help="How equal scores are ranked: random, in an order that knows nothing of the log; or expected, the "
            "mean over all orders of them, which takes longer.",
        ),
    ] = Ties.random,
    leave_one_out: Annotated[
        bool,
        typer.Option("--leave-one-out", help="Predict the last event of each user in LOG from the others."),
    ] = False,
    leave_last: Annotated[
        int | None,
        typer.Option("--leave-last", metavar="N", min=1, help="The same for the last N events of each user in LOG."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="DATE",
            help="Predict the events of LOG from this date on from those before it; a share such as 0.9 begins there.",
        ),
    ] = None,
    segments: Annotated[
        bool,
        typer.Option(
            "--segments",
            help="Also measure popular and rare items (head, tail), and users with short and long histories (cold, "
            "warm), by themselves.",
        ),
    ] = False,
    compare_by: Annotated[
        Compared | None,
        typer.Option(
            "--diversity",
            metavar="NAME",
            help="Also measure how different the items of a ranking are: by the model's vectors, or by the features "
            "of items that it was trained with.",
        ),
    ] = None,
    no_baseline: Annotated[bool, typer.Option("--no-baseline", help="Skip the comparison with Popularity.")] = False,
    output: JsonOutput = None,
    device: Device = "cpu",
    quiet: Quiet = False,
) -> None:
    """Evaluate a recommender on what users did next, by ranking all items for each user.

    Without LOG, that is the test part, which training held out and never saw. With a LOG of later events, the history
    of a user is what the model was trained on; columns are read as in training. Events of a LOG that the model knows
    already do not count, so that a log that grew is measured on what is new in it. Neither do items that a user has
    already seen, unless --keep-seen ranks them too. HR@10 is the share of users with a hit among the first 10 items,
    NDCG@10 gives higher ranks more weight. Novelty is how rare recommended items are, in bits; serendipity counts the
    hits that are not among the most popular items; Gini is how unequally items are recommended. Intervals show how much
    the numbers would vary with other users. Popularity, the same items for everyone, is the baseline to beat. In a
    pipe, the output is lines of model, metric, value and both ends of the interval, separated by tabs.
    """
    if output is not None:
        check_file(output)
    ways = {"--leave-one-out": leave_one_out, "--leave-last": leave_last is not None, "--since": since is not None}
    typed = [name for name, given in ways.items() if given]
    if log is None and typed:
        raise BadInputError(f"{typed[0]}: expected a LOG with it; without one the test part of training is used")
    if len(typed) > 1:
        raise BadInputError(f"{typed[1]}: expected none with {typed[0]}, which says what to predict")
    if log is not None:
        check_log(log)
    found = open_folder(folder, device=device, doing="evaluate")
    from logq.recommenders.popularity import Popularity

    items = found.model.known.num_items
    ks = sorted(set(k or (min(10, items), min(50, items))))
    if ks[-1] > items:
        raise BadInputError(f"--k: expected at most {items:,}, the number of items, got {ks[-1]}")
    models = {type(found.model).__name__: found.model}
    if not no_baseline:
        known = found.log if found.split is None else found.split.train
        if known is not None and "Popularity" not in models:
            models["Popularity"] = Popularity().fit(known)
    cut = since if since is not None else leave_last if leave_last is not None else 1 if leave_one_out else None
    test = _Test(found, log, columns, cut)
    more: dict[str, Any] = {"segments": segments, "item_vectors": _described(found.model, compare_by)}
    scores = {name: test.measure(model, ks, keep_seen, ties.value, quiet, more) for name, model in models.items()}
    for text in dict.fromkeys(test.notes):
        note(text)
    if output is not None:
        text = {"model": str(folder), "test": test.name, **{name: one.to_json() for name, one in scores.items()}}
        write_json(output, text)
    if not sys.stdout.isatty():
        for name, one in scores.items():
            for of, part in [("", one), *((f", {what}", part) for what, part in one.segments.items())]:
                for metric, value in part.values.items():
                    ends = [f"{end:.6f}" for end in part.intervals[metric]] if metric in part.intervals else ["", ""]
                    print("\t".join([name, f"{metric}{of}", f"{value:.6f}", *ends]))
        return
    _show(scores, test.name, keep_seen)


def _described(model: "Recommender", by: Compared | None) -> Any:
    """What items are compared by: vectors, or features; None for nothing."""
    if by is None:
        return None
    if by is Compared.features:
        if model.known.item_features is None:
            raise BadInputError("--diversity features: expected a model trained with --item-features; vectors is left")
        return model.known.item_features
    try:
        return model.item_vectors
    except NotImplementedError as error:
        raise BadInputError(f"--diversity vectors: {type(model).__name__} has no vectors of items") from error


class _Test:
    """The events to be found.

    Attributes:
        name: how it is called in the answer.
        notes: what is to be said of it.
    """

    def __init__(self, found: RecommenderFolder, path: Path | None, given: LogColumns, cut: int | str | None) -> None:
        self.split = self.later = self.history = None
        self.notes: list[str] = []
        self.known_events = 0
        typed = found.training
        if path is None:
            self._take_held_out(found)
            return
        trained = columns_of(found)
        said = {
            n: getattr(given, n) for n in given.__dataclass_fields__ if getattr(given, n) != getattr(LogColumns(), n)
        }
        columns = LogColumns(**{**{n: getattr(trained, n) for n in trained.__dataclass_fields__}, **said})
        cleaning: dict[str, Any] = {"min_label": typed.get("cleaning", {}).get("min_label")}
        from logq.logs.partitions import is_prepared
        from logq.recommenders.events.known_log import KnownLog

        if is_prepared(path):  # has its columns, and was cleaned
            columns, cleaning = given, {}
        if cut is not None:
            self.split = _cut(read_log(path, columns, note, **cleaning), cut)
            self.notes += filter(None, [self.split.remark()])
            self.name = f"{name_of_test(self.split)} in {path}"
            return
        ids = found.log if found.log is not None else found.model.known
        cleaning |= {"user_ids": ids.user_ids, "item_ids": ids.item_ids}
        heard: list[str] = []
        self.name = str(path)
        try:
            self.later, self.history = read_log(path, columns, heard.append, **cleaning), found.log
            known = None if self.history is None else KnownLog.of(self.history).knows(self.later, "log")
        except BadArgumentError as error:
            said = error.message("LOG" if error.name == "log" else error.name)
            hint = "; --leave-one-out measures on users that the model does not know" if "user" in said else ""
            raise BadInputError(f"{said}{hint}") from error
        if known is None:
            self._tell(heard)
            return
        self.known_events = int(known.sum())
        if known.all():
            # The log of the training, wherever it lies: what can be measured on it is what was held out.
            if str(path.resolve()) != typed.get("log"):
                self._tell(heard)
                note(f"{path} has nothing that training did not read: measured is what training held out of it")
            self._take_held_out(found)
            return
        self._tell(heard)
        if self.known_events:
            self.notes.append(
                f"{self.known_events:,} of {len(self.later):,} events of {path} are known from the training and do not "
                "count. To measure on a part of the log itself, hold it out (logq train --validation last or time) or "
                "give --leave-one-out; --keep-seen also ranks what users had before, which new events may have again"
            )
            self.later = self.later.select(~known)

    def _take_held_out(self, found: RecommenderFolder) -> None:
        self.split = found.split
        if self.split is None and found.log is None:
            hint = "give a LOG of later events, or --leave-one-out with it"
            raise BadInputError(f"the model was saved without the log of its training (--no-users); {hint}")
        if self.split is None:
            raise BadInputError(
                "nothing was held out in training (--validation none), so the log of the training cannot test it; "
                "give a LOG of later events, or train with --validation last"
            )
        self.name = name_of_test(self.split)
        if self.split.how["by"] in ("user", "random"):
            self.notes.append(self.split.remark())

    @staticmethod
    def _tell(heard: list[str]) -> None:
        for text in heard:
            note(text)

    def measure(
        self, model: "Recommender", ks: list[int], keep_seen: bool, ties: Any, quiet: bool, more: dict[str, Any]
    ) -> "RankingScores":
        from logq.recommenders.ranking.ranker import RankingTest, leak

        truth, history = self.later, self.history
        if self.split is not None:
            truth, history = self.split.test, self.split.history("test")
            seen = leak(model.known, self.split)
            self.notes += [seen] if seen else []
        assert truth is not None
        try:
            test = RankingTest.of(model, truth, history, exclude_seen=not keep_seen, known_events=self.known_events)
        except ArgumentError as error:
            raise BadInputError(error.message("LOG" if self.split is None else "the test part")) from error
        remark = test.remark()
        self.notes += [remark] if remark else []
        return test.measure(model, ks, ties=ties, progress=False if quiet else None, **more)


def _cut(log: "Interactions", cut: int | str) -> "Split":
    """Split a log before the last events of each user, or at a moment."""
    from logq.logs.splits import leave_one_out
    from logq.logs.splitting import split_by_time

    if isinstance(cut, int):
        return leave_one_out(log, validation=False, last=cut)
    try:
        return split_by_time(log, moment(cut))
    except BadArgumentError as error:
        raise BadInputError(error.message("LOG" if error.name == "log" else "--since")) from error


def _show(scores: "dict[str, RankingScores]", test: str, keep_seen: bool) -> None:
    (name, first), *others = scores.items()
    parts = [("", first), *((f", {what}", part) for what, part in first.segments.items())]
    wide = max((len(_ends(part, key)) for _, part in parts for key in part.intervals), default=0)
    table = ResultTable(name, *(f"@{place}".ljust(len("0.0000") + 3 + wide) for place in first.ks))
    for of, part in parts:
        for metric in dict.fromkeys(key.partition("@")[0] for key in part.values):
            twin = _SAME.get(metric)
            keys = [f"{metric}@{n}" for n in part.ks]
            if twin is not None and all(part.values[f"{twin}@{n}"] == part.values[f"{metric}@{n}"] for n in part.ks):
                continue
            cells = [Text.assemble(f"{part.values[key]:.4f}   ", (_ends(part, key).ljust(wide), "dim")) for key in keys]
            table.add(f"{metric.replace('_', ' ')}{of}", *cells)
    table.show()
    say()
    seen = "seen items included" if keep_seen else "seen items left out"
    left = "".join(
        f"; {first.about[reason]:,} {said}"
        for reason, said in (("unknown_users", "are unknown"), ("no_history", "have no history"))
        if first.about.get(reason)
    )
    say(
        f"{first.users:,} users{left}; to be found: {test}; all {first.about['num_items']:,} items ranked, {seen}"
        f"{''.join(f'; {remark}' for remark in first.remarks())}; {100 * first.about['confidence']:g}% intervals.",
    )
    if first.segments:
        about = first.about
        told = ", ".join(f"{what} {part.users:,}" for what, part in first.segments.items())
        say(
            f"Users of each segment: {told}. Head items are the {about['head_items']:,} that have "
            f"{100 * about['head_share']:g} % of the events; cold users have at most {about['cold_history']:,} events."
        )
    for other, one in others:
        told = [f"{key} {one.values[key]:.4f}" for n in one.ks for key in (f"HR@{n}", f"NDCG@{n}")]
        key = f"NDCG@{one.ks[0]}"
        ratio = (
            f" ({name} has {first.values[key] / one.values[key]:.1f} times its {key})" if one.values[key] > 0 else ""
        )
        say((f"{other}, the same for everybody: ", "bold"), ", ".join(told), ratio, ".")
        if first.values[key] <= one.values[key]:
            say("A model that does not beat it has learned too little; more epochs or another model may help.")


def _ends(scores: "RankingScores", key: str) -> str:
    if key not in scores.intervals:
        return ""
    low, high = scores.intervals[key]
    return f"{low:.4f} to {high:.4f}"
