"""What the tests of event files share."""

import pytest


@pytest.fixture
def save(tmp_path):
    """Write a file: `save(name, content)` returns its path."""

    def save(name, content):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return save
