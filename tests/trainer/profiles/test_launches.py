import torch

from trainer.profiles.launches import LaunchCounter


def count(act):
    with LaunchCounter() as counter:
        act()
    return counter.launches


def test_what_computes_is_counted():
    left, right = torch.ones(2, 3), torch.ones(3, 4)
    assert count(lambda: (left @ right).add_(1)) == 2


def test_evaluating_a_tensor_anew_is_not():
    tensor = torch.ones(2, 3)
    assert count(lambda: tensor.transpose(0, 1)[1:].unsqueeze(0).detach()) == 0
    assert count(lambda: torch.empty_like(tensor)) == 0


def test_the_backward_pass_counts_too():
    weight = torch.ones(3, 3, requires_grad=True)

    def forward():
        return (weight * 2).sum()

    assert count(lambda: forward().backward()) > count(forward)
