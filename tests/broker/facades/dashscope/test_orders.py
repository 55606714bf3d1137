import pytest

from broker.facades.asking import Refused
from broker.facades.dashscope.orders import read_order
from broker.facades.model_names import SUFFIX_LABEL

ORDER = {"model": "qwen2.5-7b-instruct", "training_file_ids": ["dat_1"]}


def read(**changes):
    return read_order({**ORDER, **changes}, default_max_cost="5.00")


def test_an_order_without_anything_is_the_usual_training_within_what_the_key_allows():
    assert read(validation_file_ids=None, hyper_parameters={}) == {
        "dataset_id": "dat_1",
        "config": {"base_model": "qwen2.5-7b-instruct"},
        "labels": {},
        "max_cost": "5.00",
    }


def test_hyper_parameters_say_dashscopes_names_the_brokers_and_fields_of_an_order():
    chosen = {"n_epochs": 3, "learning_rate": "1.6e-5", "lr_scheduler_type": "linear", "split": 0.9, "max_length": 256}
    order = read(hyper_parameters={**chosen, "rank": 4, "max_cost": "38.20", "queue": "priority", "batch_size": None})
    assert (order["max_cost"], order["queue"]) == ("38.20", "priority")
    assert order["config"] == {
        "base_model": "qwen2.5-7b-instruct",
        "epochs": 3,
        "learning_rate": 1.6e-5,
        "lr_scheduler": "linear",
        "validation_split": 0.1,
        "max_length": 256,
        "lora_rank": 4,
    }


@pytest.mark.parametrize("word", ["model_name", "finetuned_output", "finetuned_output_suffix"])
def test_the_name_of_the_model_is_read_by_the_word_of_each_generation(word):
    order = read(**{word: "tea"})
    assert (order["name"], order["labels"]) == ("tea", {SUFFIX_LABEL: "tea"})


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"model": None}, "model"),
        ({"training_file_ids": []}, "training_file_ids"),
        ({"training_file_ids": ["dat_1", "dat_2"]}, "training_file_ids"),
        ({"training_file_ids": [7]}, "training_file_ids"),
        ({"validation_file_ids": ["dat_2"]}, "validation_file_ids"),
        ({"training_type": "sft"}, "training_type"),
        ({"hyper_parameters": [1]}, "hyper_parameters"),
        ({"hyper_parameters": {"split": "0.2"}}, "hyper_parameters.split"),
        ({"hyper_parameters": {"split": True}}, "hyper_parameters.split"),
        ({"hyper_parameters": {"learning_rate": "fast"}}, "hyper_parameters.learning_rate"),
        ({"hyper_parameters": {"learning_rate": "inf"}}, "hyper_parameters.learning_rate"),
        ({"hyper_parameters": {"warmup_ratio": 0.1}}, "hyper_parameters.warmup_ratio"),
        ({"model_name": 7}, "model_name"),
        ({"n_epochs": 3}, "n_epochs"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_the_name_that_the_client_used(changes, param):
    with pytest.raises(Refused) as refused:
        read(**changes)
    assert refused.value.members["param"] == param


def test_without_a_limit_of_the_order_or_of_the_key_nothing_is_ordered():
    with pytest.raises(Refused) as refused:
        read_order(ORDER, default_max_cost=None)
    assert refused.value.members["param"] == "hyper_parameters.max_cost"
