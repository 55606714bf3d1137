"""`docs/client.md` works as written: its examples run one after the other, in one program, at a served broker."""

import re
from pathlib import Path

import pytest

from broker.client.typed import BrokerClient
from tests.broker.factories import jsonl
from tests.broker.served import ServedBroker, fake_trainer, make_buyer

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "client.md"


@pytest.mark.slow  # it serves a broker of its own, as a reader would
def test_guide_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    broker = ServedBroker(tmp_path / "var", {"trainer_command": fake_trainer(beats=2, pause=0.01)})
    broker.start()
    try:
        with BrokerClient(broker.url, broker.admin_key()) as admin:
            buyer = make_buyer(admin, tmp_path, quote_guarantee="cap")
            key = admin.post(f"/customers/{buyer.customer_id}/api-keys", {"name": "program"})["key"]
        monkeypatch.chdir(tmp_path)
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "train.jsonl").write_bytes(jsonl())
        names = {"URL": broker.url, "KEY": key, "__name__": "guide"}
        for block in blocks:
            exec(compile(block, str(GUIDE), "exec"), names)
    finally:
        broker.close()
    told = capsys.readouterr().out
    assert "config.lora_rnak → " in told
    assert "finished" in told or "succeeded" in told
    assert (tmp_path / "adapter.safetensors").stat().st_size > 0
