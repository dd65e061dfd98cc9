"""Small work of PyTorch's on one thread, before that of another pool."""

import pytest
import torch

from spikereel.cores import on_one_thread


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_the_number_of_threads_is_one_inside_and_as_before_behind():
    assert on_one_thread(lambda factor: factor * torch.get_num_threads())(5) == 5
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_errors_leave_the_number_as_it_was():
    with pytest.raises(ZeroDivisionError):
        on_one_thread(lambda: 1 / 0)()
    assert torch.get_num_threads() == 3
