"""The real client of the hub, which talks to a server on this machine."""

import pytest

from hub_server import TOKEN, serving_hub


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub for the client of this process, which read its address when it was imported: HF_ENDPOINT came too late."""
    constants = pytest.importorskip("huggingface_hub.constants")
    with serving_hub() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.endpoint)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", found.endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found
