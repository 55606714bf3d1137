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


def test_kernels_beside_products_pass_bytes_and_an_expanded_tensor_no_more_than_it_has():
    left, row = torch.ones(4, 8), torch.ones(8)
    with LaunchCounter() as counter:
        _ = left @ left.t()
        _ = left + row.expand(4, 8)
    assert counter.launches == 2
    assert counter.passed_bytes == 4 * (32 + 8 + 32)


def test_a_norm_reads_its_input_twice():
    states = torch.ones(4, 8)
    with LaunchCounter() as counter:
        torch.nn.functional.layer_norm(states, (8,))
    assert counter.passed_bytes == 4 * (2 * 32 + 32 + 2 * 4)
