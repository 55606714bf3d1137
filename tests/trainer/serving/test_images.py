"""Pictures over HTTP from a tiny Stable Diffusion, with adapters of any layout on UNet and text encoder."""

import base64
import http.client
import io
import json

import pytest
import torch
from PIL import Image

from pricing.training.config import TrainingConfig
from trainer.base_models.config import BaseModelSource
from trainer.commands.make_tiny import make_tiny
from trainer.errors import AdapterUnusable
from trainer.families.stable_diffusion.stable_diffusion import StableDiffusion
from trainer.formats.adapter import Adapter
from trainer.formats.peft_layout import read_peft
from trainer.formats.reading import Layout, load_adapter_any
from trainer.formats.writing import write_lora
from trainer.serving.command import open_server
from trainer.serving.images import ImageServer
from trainer.training.warm_start import start_from_adapter

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> BaseModelSource:
    return BaseModelSource("tiny-sd", make_tiny("sd15", tmp_path_factory.mktemp("models") / "tiny-sd"))


@pytest.fixture(scope="module")
def family(source) -> StableDiffusion:
    """With an adapter on UNet and text encoder whose matrices are all random."""
    family = StableDiffusion.load(source)
    torch.manual_seed(2)
    family.attach_adapter(TrainingConfig(base_model="tiny-sd", lora_rank=4, train_text_encoder=True))
    for parameter in family.model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.2)
    return family


@pytest.mark.parametrize("layout", list(Layout))
def test_what_the_family_trained_comes_back_to_it_from_every_layout(family, layout, tmp_path) -> None:
    tensors, config = family.adapter_tensors(), family.adapter_config()
    file = write_lora(tmp_path / "style.safetensors", read_peft(tensors, {}, json.loads(json.dumps(config))), layout)
    read = load_adapter_any(file)
    assert read.tensors.keys() == tensors.keys()
    family.load_adapter_tensors(read.tensors)
    assert read.config["target_modules"] == config["target_modules"]


def test_each_picture_is_drawn_with_the_adapter_it_names(source, family, tmp_path) -> None:
    adapter = Adapter(family.adapter_tensors(), json.loads(json.dumps(family.adapter_config())), {})
    write_lora(tmp_path / "style.safetensors", read_peft(adapter.tensors, {}, adapter.config), Layout.KOHYA)
    with open_server(source, tmp_path, host="127.0.0.1", port=0, kept=2) as server:

        def ask(accept: str = "application/json", **body: object) -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
            connection.request("POST", "/v1/images/generations", json.dumps(body), {"Accept": accept})
            response = connection.getresponse()
            answer = response.status, response.read()
            connection.close()
            return answer

        def draw(model: str, accept: str = "application/json", size: str | None = "64x64") -> bytes:
            status, content = ask(accept, model=model, prompt="ink", size=size, seed=3)
            assert status == 200, content
            return content if accept == "image/png" else base64.b64decode(json.loads(content)["data"][0]["b64_json"])

        server.model.family.config = server.model.family.config.model_copy(update={"resolution": 128})
        by_default = draw("tiny-sd", size=None)
        bare, styled, raw, again = draw("tiny-sd"), draw("style"), draw("style", "image/png"), draw("tiny-sd")
        assert draw("tiny-sd", size=None) == by_default  # a size is its own request's
        assert Image.open(io.BytesIO(by_default)).size == (128, 128)
        wrong = ("64x128", "100x100", "0x0", "32x32", "1088x1088", "99999x99999", "64", "64x", "-64x-64", "٦٤x٦٤")
        for size in (*wrong, 64, ["64x64"]):
            status, content = ask(model="style", prompt="ink", size=size)
            assert (status, json.loads(content)["error"]["param"]) == (400, "size"), content
        for key, value in (
            ("n", 5),
            ("n", 10**400),
            ("n", "1"),
            ("seed", -1),
            ("prompt", ""),
            ("response_format", "url"),
        ):
            status, content = ask(**{"model": "style", "prompt": "ink", "size": "64x64", key: value})
            assert (status, json.loads(content)["error"]["param"]) == (400, key), content
        assert ask("image/png", model="style", prompt="ink", size="64x64", n=2)[0] == 400
        assert ask(model="nobody", prompt="ink")[0] == 404
    assert Image.open(io.BytesIO(styled)).format == "PNG"
    assert Image.open(io.BytesIO(styled)).size == (64, 64)
    assert styled == raw != bare == again
    family.config = family.config.model_copy(update={"resolution": 64})
    direct = family.sample("ink", seed=3, place=tmp_path / "direct")
    with open(direct, "rb") as file:  # noqa: PTH123
        assert file.read() == styled


def test_a_kohya_file_is_a_warm_start(source, family, tmp_path) -> None:
    tensors = family.adapter_tensors()
    lora = read_peft(tensors, {}, json.loads(json.dumps(family.adapter_config())))
    file = write_lora(tmp_path / "style.safetensors", lora, Layout.KOHYA)
    keys = {"lora_rank": 4, "train_text_encoder": True, "init_from": str(file)}
    fresh, config = StableDiffusion.load(source), TrainingConfig(base_model="tiny-sd", **keys)
    fresh.attach_adapter(config)
    start_from_adapter(fresh, config, "tiny-sd")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in fresh.adapter_tensors().items())


def test_lokr_is_refused_with_what_takes_it(source) -> None:
    server = ImageServer(StableDiffusion.load(source), "tiny-sd")
    with pytest.raises(AdapterUnusable, match=r"this adapter is LOKR; .* use `trainer draw`"):
        server.add("slot1", Adapter({}, {"peft_type": "LOKR"}, {}))
