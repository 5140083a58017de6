"""What the generators are tried on: tiny models made on the spot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.generators.tiny import make_models

# Read by huggingface_hub when it is first imported. No test asks the network.
os.environ["HF_HUB_OFFLINE"] = "1"


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `make_models`."""
    root = tmp_path_factory.mktemp("tiny")
    make_models(root)
    return root
