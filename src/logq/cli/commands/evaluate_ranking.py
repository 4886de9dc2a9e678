"""`logq evaluate ranking`: how high a recommender ranks, among all items, what users did next."""

import sys
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from logq._arguments import ArgumentError, BadArgumentError
from logq.cli.command_options import Device, JsonOutput, Quiet
from logq.cli.input_output import READS
from logq.cli.log_reading import LogColumns, check_log, read_log
from logq.cli.model_folders import RecommenderArgument, RecommenderFolder, open_folder
from logq.cli.terminal.console import Text
from logq.cli.terminal.errors import BadInputError, note
from logq.cli.terminal.output import check_file, write_json
from logq.cli.terminal.report import say
from logq.cli.terminal.result_tables import ResultTable

if TYPE_CHECKING:
    from logq.evaluation import RankingScores
    from logq.recommenders import Recommender

__all__ = ["EXAMPLES", "ranking"]


class Ties(str, Enum):
    """How equal scores are ranked."""

    random = "random"
    expected = "expected"


EXAMPLES = """
logq evaluate ranking model
logq evaluate ranking model --k 5 --k 20 --keep-seen
logq evaluate ranking model later.csv --json scores.json
logq evaluate ranking model other-users.csv --leave-one-out
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
    NDCG@10 gives higher ranks more weight. Intervals show how much the numbers would vary with other users.
    Popularity, the same items for everyone, is the baseline to beat. In a pipe, the output is lines
    of model, metric, value and both ends of the interval, separated by tabs.
    """
    if output is not None:
        check_file(output)
    if log is None and leave_one_out:
        raise BadInputError("--leave-one-out: expected a LOG with it; without one the test part of training is used")
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
    test = _Test(found, log, columns, leave_one_out=leave_one_out)
    scores = {name: test.measure(model, ks, keep_seen, ties.value, quiet) for name, model in models.items()}
    for text in dict.fromkeys(test.notes):
        note(text)
    if output is not None:
        text = {"model": str(folder), "test": test.name, **{name: one.to_json() for name, one in scores.items()}}
        write_json(output, text)
    if not sys.stdout.isatty():
        for name, one in scores.items():
            for metric, value in one.values.items():
                ends = [f"{end:.6f}" for end in one.intervals[metric]] if metric in one.intervals else ["", ""]
                print("\t".join([name, metric, f"{value:.6f}", *ends]))
        return
    _show(scores, test.name, keep_seen)


class _Test:
    """The events to be found.

    Attributes:
        name: how it is called in the answer.
        notes: what is to be said of it.
    """

    def __init__(self, found: RecommenderFolder, path: Path | None, given: LogColumns, *, leave_one_out: bool) -> None:
        from logq.logs.splits import leave_one_out as split_last

        self.split = self.later = self.history = None
        self.notes: list[str] = []
        self.known_events = 0
        typed = found.training
        if path is None:
            self._take_held_out(found)
            return
        trained = found.columns()
        said = {
            n: getattr(given, n) for n in given.__dataclass_fields__ if getattr(given, n) != getattr(LogColumns(), n)
        }
        columns = LogColumns(**{**{n: getattr(trained, n) for n in trained.__dataclass_fields__}, **said})
        cleaning: dict[str, Any] = {"min_label": typed.get("cleaning", {}).get("min_label")}
        if leave_one_out:
            self.split = split_last(read_log(path, columns, note, **cleaning), validation=False)
            self.notes += filter(None, [self.split.remark()])
            self.name = f"the last event of each user in {path}"
            return
        ids = found.log if found.log is not None else found.model.known
        cleaning |= {"user_ids": ids.user_ids, "item_ids": ids.item_ids}
        heard: list[str] = []
        self.name = str(path)
        try:
            self.later, self.history = read_log(path, columns, heard.append, **cleaning), found.log
        except BadArgumentError as error:
            said = error.message("LOG" if error.name == "log" else error.name)
            hint = "; --leave-one-out measures on users that the model does not know" if "user" in said else ""
            raise BadInputError(f"{said}{hint}") from error
        if self.history is None:
            self._tell(heard)
            return
        from logq.recommenders.known_log import KnownLog

        known = KnownLog.of(self.history).knows(self.later)
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
            raise BadInputError(f"the model was saved without the log of its training (--no-histories); {hint}")
        if self.split is None:
            raise BadInputError(
                "nothing was held out in training (--validation none), so the log of the training cannot test it; "
                "give a LOG of later events, or train with --validation last"
            )
        self.name = {"leave_one_out": "the last event of each user", "time": "the last tenth of the events"}.get(
            self.split.how["by"], "the test part"
        )

    @staticmethod
    def _tell(heard: list[str]) -> None:
        for text in heard:
            note(text)

    def measure(self, model: "Recommender", ks: list[int], keep_seen: bool, ties: Any, quiet: bool) -> "RankingScores":
        from logq.recommenders.ranker import RankingTest, leak

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
        remark = test.remark("--keep-seen")
        self.notes += [remark] if remark else []
        return test.measure(model, ks, ties=ties, progress=False if quiet else None)


def _show(scores: "dict[str, RankingScores]", test: str, keep_seen: bool) -> None:
    (name, first), *others = scores.items()
    ends = {key: f"{low:.4f} to {high:.4f}" for key, (low, high) in first.intervals.items()}
    wide = max(map(len, ends.values()), default=0)
    table = ResultTable(name, *(f"@{place}".ljust(len("0.0000") + 3 + wide) for place in first.ks))
    for metric in dict.fromkeys(key.partition("@")[0] for key in first.values):
        twin = _SAME.get(metric)
        if twin is not None and all(first.values[f"{metric}@{n}"] == first.values[f"{twin}@{n}"] for n in first.ks):
            continue
        keys = [f"{metric}@{n}" for n in first.ks]
        cells = [Text.assemble(f"{first.values[key]:.4f}   ", (ends.get(key, "").ljust(wide), "dim")) for key in keys]
        table.add(metric.replace("_", " "), *cells)
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
    for other, one in others:
        parts = [f"{key} {one.values[key]:.4f}" for n in one.ks for key in (f"HR@{n}", f"NDCG@{n}")]
        key = f"NDCG@{one.ks[0]}"
        ratio = (
            f" ({name} has {first.values[key] / one.values[key]:.1f} times its {key})" if one.values[key] > 0 else ""
        )
        say((f"{other}, the same for everybody: ", "bold"), ", ".join(parts), ratio, ".")
        if first.values[key] <= one.values[key]:
            say("A model that does not beat it has learned too little; more epochs or another model may help.")
