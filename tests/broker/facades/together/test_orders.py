import pytest

from broker.facades.asking import Refused
from broker.facades.model_names import SUFFIX_LABEL
from broker.facades.together.orders import read_order

# What the client sends unasked.
SENT = {
    "training_file": "dat_1",
    "model": "Qwen/Qwen2.5-7B-Instruct",
    "validation_file": "",
    "packing": True,
    "n_epochs": 1,
    "n_evals": 0,
    "n_checkpoints": 1,
    "batch_size": "max",
    "learning_rate": 1e-05,
    "lr_scheduler": {"lr_scheduler_type": "cosine", "lr_scheduler_args": {"min_lr_ratio": 0.0, "num_cycles": 0.5}},
    "warmup_ratio": 0.0,
    "max_grad_norm": 1.0,
    "weight_decay": 0.0,
    "early_stopping_enabled": False,
    "training_method": {"method": "sft", "train_on_inputs": "auto"},
}


def read(**changes):
    return read_order({**SENT, **changes}, default_max_cost="5.00")


def test_what_is_sent_unasked_is_a_training_within_what_the_key_allows():
    assert read() == {
        "dataset_id": "dat_1",
        "config": {"epochs": 1, "learning_rate": 1e-05, "packing": True, "lr_scheduler": "cosine"},
        "labels": {},
        "max_cost": "5.00",
    }


def test_what_is_said_is_read():
    kind = {
        "type": "Lora",
        "lora_r": 4,
        "lora_alpha": 8,
        "lora_dropout": 0.1,
        "lora_trainable_modules": "q_proj,v_proj",
    }
    order = read(training_type=kind, batch_size=8, max_seq_length=256, random_seed=5, suffix="tea")
    told = {"batch_size": 8, "max_length": 256, "seed": 5, "lora_rank": 4, "lora_alpha": 8, "lora_dropout": 0.1}
    assert order["config"].items() >= {**told, "target_modules": ["q_proj", "v_proj"]}.items()
    assert (order["name"], order["labels"]) == ("tea", {SUFFIX_LABEL: "tea"})


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"training_file": None}, "training_file"),
        ({"validation_file": "dat_2"}, "validation_file"),
        ({"n_evals": 2}, "n_evals"),
        ({"warmup_ratio": 0.1}, "warmup_ratio"),
        ({"warmup_ratio": [0]}, "warmup_ratio"),
        ({"weight_decay": 0.01}, "weight_decay"),
        ({"max_grad_norm": 0}, "max_grad_norm"),
        ({"early_stopping_enabled": True}, "early_stopping_enabled"),
        ({"wandb_key": "secret"}, "wandb_key"),
        ({"training_method": {"method": "dpo"}}, "training_method"),
        ({"training_method": {"method": "sft", "train_on_inputs": True}}, "training_method.train_on_inputs"),
        ({"training_type": {"type": "Full"}}, "training_type"),
        ({"lr_scheduler": {"lr_scheduler_type": "linear", "lr_scheduler_args": {"min_lr_ratio": 0.1}}}, "lr_scheduler"),
        ({"suffix": "s" * 65}, "suffix"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_the_name_that_the_client_used(changes, param):
    with pytest.raises(Refused) as refused:
        read(**changes)
    assert refused.value.members["param"] == param


def test_without_a_limit_of_the_key_nothing_is_ordered():
    with pytest.raises(Refused) as refused:
        read_order(SENT, default_max_cost=None)
    assert refused.value.members["type"] == "/problems/max-cost-missing"
