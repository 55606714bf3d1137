import pytest

from benchmarks.estimator.published import read_published

HEADER = "model,method,gpu,n_gpu,microbatch,seq_or_res,grad_ckpt,speed,peak_vram_gb,derived_tok_s,source,note"


def read(tmp_path, row):
    file = tmp_path / "rows.csv"
    file.write_text(f"{HEADER}\n{row}\n", encoding="utf-8")
    return read_published(file)


def read_one(tmp_path, row):
    ((found,), left_out) = read(tmp_path, row)
    assert not left_out
    return found


def test_tokens_a_second_of_all_gpus_are_shared_by_them(tmp_path):
    row = read_one(tmp_path, "Llama2-7B,LoRA all r64,RTX3090,2,4,2048,y,2048 tok/s,22 GiB,,AnswerDotAI/fsdp_qlora x,")
    assert row.seconds == pytest.approx(8)
    assert (row.program, row.request.rank, row.request.target_modules) == ("fsdp-qlora", 64, ("all-linear",))


@pytest.mark.parametrize("speed", ["1.4 s/step", "1.4 s/it"])
def test_seconds_of_a_step_are_not_steps_of_a_second(tmp_path, speed):
    row = read_one(tmp_path, f"FLUX.1-dev,QLoRA nf4,RTX4090,1,1,512px,y,{speed},9.1 GB,,bghira/SimpleTuner x,")
    assert row.seconds == pytest.approx(1.4)
    assert row.kind == "pictures"
    assert row.request.cached_latents


def test_a_speed_over_rows_of_unstated_mean_length_is_not_read_and_its_memory_is(tmp_path):
    row = read_one(tmp_path, "Qwen-7B,LoRA r8,A100-80G,1,1x16acc,2048,y,4.31 samples/s,27.74 GiB,,modelscope/ms-swift,")
    assert row.seconds is None
    assert row.memory_gib == pytest.approx(27.74)


def test_named_modules_are_the_targets(tmp_path):
    targets = '"LoRA [q_proj,k_proj] r16 fp16"'
    row = read_one(tmp_path, f"mistral-7b,{targets},A100-80G,1,4,4096,y,3597.6 tok/s,29.03 GiB,,fms-acceleration x,")
    assert row.request.target_modules == ("q_proj", "k_proj")
    assert row.request.precision == "fp16"


def test_an_unknown_source_is_a_program_of_its_own_that_only_judges(tmp_path):
    row = read_one(tmp_path, "Llama2-7B,QLoRA,A100-80G,1,1,512,,2 it/s,9 GB,,somebody/new README,")
    assert (row.program, row.conditions.serves, row.kind) == ("somebody/new", "judge", "text QLoRA")


def test_a_row_above_the_cards_peak_or_without_a_length_is_left_out_with_its_reason(tmp_path):
    assert "length" in read(tmp_path, "ChatGLM-6B,LoRA r8,V100-32G,1,16,n/a,?,8 ex/s,28,,hiyouga/x,")[1][0].reason
    assert "peak" in read(tmp_path, "Llama2-7B,LoRA,T4,1,1,512,y,9999 tok/s,9,,x/y,REJECT: too fast")[1][0].reason
