import pytest

from broker.facades.asking import Refused
from broker.facades.model_names import SUFFIX_LABEL
from broker.facades.openai.orders import read_order

ORDER = {"model": "smollm2-135m-instruct", "training_file": "dat_1"}


def read(**changes):
    return read_order({**ORDER, **changes}, default_max_cost="5.00")


def test_an_order_without_anything_is_the_usual_training_within_what_the_key_allows():
    assert read() == {
        "dataset_id": "dat_1",
        "config": {"base_model": "smollm2-135m-instruct"},
        "labels": {},
        "max_cost": "5.00",
    }


@pytest.mark.parametrize(
    "where",
    [
        lambda chosen: {"hyperparameters": chosen},
        lambda chosen: {"method": {"type": "supervised", "supervised": {"hyperparameters": chosen}}},
    ],
)
def test_hyperparameters_are_read_where_clients_put_them_today_and_before(where):
    chosen = {"n_epochs": 3, "batch_size": 8, "learning_rate_multiplier": 0.5}
    config = read(**where(chosen))["config"]
    assert (config["epochs"], config["batch_size"], config["learning_rate"]) == (3, 8, 1e-4)


def test_auto_leaves_what_is_usual():
    chosen = {"n_epochs": "auto", "batch_size": "auto", "learning_rate_multiplier": "auto"}
    assert read(hyperparameters=chosen)["config"] == {"base_model": "smollm2-135m-instruct"}


def test_lora_says_what_the_clients_have_no_field_for():
    extra = {"rank": 16, "alpha": 32, "max_length": 1024, "queue": "priority", "max_cost": "38.20", "gpu_types": ["x"]}
    order = read(lora=extra, seed=7)
    assert (order["queue"], order["max_cost"], order["gpu_types"]) == ("priority", "38.20", ["x"])
    assert order["config"] == {
        "base_model": "smollm2-135m-instruct",
        "lora_rank": 16,
        "lora_alpha": 32,
        "max_length": 1024,
        "seed": 7,
    }


def test_a_quote_is_a_limit_of_its_own():
    assert "max_cost" not in read(lora={"quote_id": "quo_1"})


def test_metadata_are_labels_and_the_suffix_is_one_too():
    order = read(metadata={"team": "search"}, suffix="Tea Tone")
    assert order["labels"] == {"team": "search", SUFFIX_LABEL: "Tea Tone"}
    assert order["name"] == "Tea Tone"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"validation_file": "dat_2"}, "validation_file"),
        ({"integrations": [{"type": "wandb"}]}, "integrations"),
        ({"method": {"type": "dpo"}}, "method.type"),
        ({"method": {"type": "supervised", "supervised": 3}}, "method.supervised"),
        ({"hyperparameters": {"learning_rate_multiplier": "2"}}, "hyperparameters.learning_rate_multiplier"),
        ({"hyperparameters": {"learning_rate_multiplier": True}}, "hyperparameters.learning_rate_multiplier"),
        ({"hyperparameters": {"learning_rate_multiplier": 10**400}}, "hyperparameters.learning_rate_multiplier"),
        ({"hyperparameters": {"learning_rate_multiplier": 5}, "lora": {"learning_rate": "ab"}}, "lora.learning_rate"),
        ({"hyperparameters": {"learning_rate_multiplier": 5}, "lora": {"learning_rate": [1]}}, "lora.learning_rate"),
        ({"metadata": ["team"]}, "metadata"),
        ({"suffix": "s" * 65}, "suffix"),
        ({"suffix": ""}, "suffix"),
        ({"training_file": None}, "training_file"),
        ({"training_file": 7}, "training_file"),
        ({"model": ""}, "model"),
        ({"lora": "rank 16"}, "lora"),
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
    assert refused.value.members["param"] == "lora.max_cost"
