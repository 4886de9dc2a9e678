"""Published: what can be pushed to the Hugging Face Hub, and loaded from there."""

import os
import tempfile
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from typing_extensions import Self

from logq._launch import launched
from logq.hub.hub_folders import check_client, fetch_folder, push_folder, repository_name
from logq.hub.model_cards import Card, CardFacts, write_card

__all__ = ["Published"]


class Published:
    """A model, or word vectors: with a card, and on the Hugging Face Hub. A subclass has `save` and `load`.

    Attributes:
        saved_for_others: arguments of `save` that have other defaults when a model is pushed.

    Example:
        >>> from logq import EASE, KeyedVectors
        >>> issubclass(EASE, Published), issubclass(KeyedVectors, Published)
        (True, True)
    """

    saved_for_others: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    @abstractmethod
    def _card_facts(self) -> CardFacts:
        """What the card of the model says of it."""

    def _write_card(self, folder: str | os.PathLike[str], card: Card | None) -> None:
        """Write the card, if there is to be one."""
        if card is not None:
            write_card(folder, self._card_facts(), card)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        card: bool | Card = True,
        private: bool | None = None,
        revision: str | None = None,
        token: str | bool | None = None,
        message: str = "",
        progress: bool | None = None,
        **saving: Any,
    ) -> str:
        """Save the model, with a card, into a repository of the Hugging Face Hub, which is made if it is missing.

        Recommenders are saved without users: neither ids nor histories leave this machine, and the model answers for
        histories that it is given. `users=True` takes them along.

        Args:
            repo_id: "user/name".
            card: what the card says beside what the model knows of itself; False writes none.
            private: True makes a repository that others do not see, and sends nothing to one that they do; None
                takes what is usual on the hub.
            revision: a branch, which is made if it is missing; None is the main one.
            token: of the hub; None takes HF_TOKEN, or that of `hf auth login`.
            message: of the commit.
            progress: True shows bars, False none, None bars on a terminal.
            **saving: arguments of `save`, such as `users` of recommenders or `dtype` of word vectors.

        Returns:
            The address of the commit; of several processes that torchrun has started only the first one sends, and
            the others return "".

        Raises:
            AttributeError: the model is not fitted.
            ArgumentError: `repo_id` is no name of a repository; or `save` does not take an argument, as some
                recommenders cannot be without users.
            ModuleNotFoundError: the extra `hub` is not installed.
            HubError: the hub refuses it, or cannot be reached.
        """
        saved: Any = self  # whose save has more arguments than are known here
        name, wanted = repository_name(repo_id), Card.of(card)
        check_client()
        if wanted is not None:
            wanted = replace(wanted, repo_id=wanted.repo_id or name)
        with tempfile.TemporaryDirectory(prefix="logq-") as folder:
            saved.save(folder, **{**self.saved_for_others, **saving}, card=wanted or False)
            if not launched().is_first:
                return ""
            return push_folder(
                folder,
                name,
                private=private,
                revision=revision,
                token=token,
                message=message,
                progress=progress,
            )

    @classmethod
    def from_pretrained(
        cls,
        repo_id: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        progress: bool | None = None,
        **options: Any,
    ) -> Self:
        """Load a model from the Hugging Face Hub, or from a folder.

        A file is fetched once, into the cache of huggingface_hub (HF_HOME). Nothing of it is run as code.

        Args:
            repo_id: "user/name", "hf://user/name@revision", or a folder.
            revision: a branch, a tag or a commit; None is the main branch.
            token: of the hub; None takes HF_TOKEN, or that of `hf auth login`.
            progress: True shows bars, False none, None bars on a terminal.
            **options: of `load`, such as `device` of estimators or `mmap` of word vectors.

        Raises:
            ModuleNotFoundError: the extra `hub` is not installed.
            HubError: there is no such repository or revision, or the hub cannot be reached.
            OSError, ValueError: as `load`.
        """
        loading: Any = cls
        return loading.load(fetch_folder(repo_id, revision, token=token, progress=progress), **options)
