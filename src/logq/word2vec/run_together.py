"""RunTogether: what runs of several processes have in common: they count together, and stop together."""

from typing import Any

import torch

from logq.processes import LostProcessError, add_up
from logq.training.interrupts import StopRequest, stop_requests
from logq.word2vec.corpus_run import CorpusRun
from logq.word2vec.kernel import Losses

__all__ = ["RunTogether"]


class RunTogether(CorpusRun):
    """A run whose spans end in all processes at once, with the same losses, after which it can stop and continue."""

    _request = StopRequest()
    _stops = False

    def train(self, label: str, progress: bool | None, **options: Any) -> None:
        """Train to the end; see CorpusRun.

        Raises:
            LostProcessError: another process has ended or does not answer.
            KeyboardInterrupt: one of the processes was asked to stop, by Ctrl-C or SIGTERM.
        """
        try:
            self._meet()
            with stop_requests() as self._request:
                super().train(label, progress, **options)
        except LostProcessError as error:
            raise error.during(f"after {self.corpus.num_words * self.epochs_done:,.0f} words") from error

    def _meet(self) -> None:
        """Let all processes have the same vectors."""

    def _train_span(self, end: int) -> None:
        super()._train_span(end)
        if self._stops:
            raise KeyboardInterrupt

    def _of_all(self, losses: Losses) -> Losses:
        """The losses of all processes, when a span has ended in each."""
        told = [losses.pairs, losses.loss_sum, losses.loss_pairs, float(bool(self._request))]
        of_span = torch.tensor(told, dtype=torch.float64)
        add_up(of_span, "add up losses")
        pairs, loss_sum, loss_pairs, stops = of_span.tolist()
        self._stops = stops > 0
        return Losses(int(pairs), loss_sum, int(loss_pairs))
