"""The command `trainer`: train standalone, train for the broker, try an adapter out.

What needs torch is imported inside the commands, so that `--help` and a wrong configuration answer at once.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from pricing.datasets.finding_level import Level
from pricing.training.config_parsing import ConfigInvalid
from trainer.atomic_files import try_writing
from trainer.base_models.config import describe_config_problems, read_config, resolve_base_model
from trainer.data.text import SHOWN_FINDINGS
from trainer.errors import BadInput, ExitCode, TrainerError
from trainer.families.registry import read_dataset
from trainer.machine.collecting import collecting_nothing
from trainer.several_devices.launch import launch_processes

app = typer.Typer(
    help="LoRA training, standalone or for the broker.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
console = Console(highlight=False, soft_wrap=True, markup=False)
stderr = Console(highlight=False, soft_wrap=True, markup=False, stderr=True)

ConfigOption = Annotated[Path, typer.Option("--config", help="The YAML file of the training.")]
LoraFile = Annotated[Path, typer.Argument(help="A LoRA .safetensors file, or the folder of one.")]


@app.command()
def train(
    config_file: ConfigOption,
    resume_from: Annotated[Path | None, typer.Option(help="A checkpoint folder to go on from.")] = None,
    num_processes: Annotated[int, typer.Option(min=1, help="Processes that share the work, one for each GPU.")] = 1,
) -> None:
    """Train one adapter on this machine, with no broker. Ctrl-C writes a checkpoint first."""
    with reporting_errors(config_file):
        config = read_config(config_file)
        if num_processes > 1:
            resume = ["--resume-from", str(resume_from)] if resume_from else []
            raise typer.Exit(launch_processes(num_processes, ["train", "--config", str(config_file), *resume]))
        if resume_from is not None:
            config = config.model_copy(update={"resume_from": str(resume_from)})
        source = resolve_base_model(config.base_model)
        dataset = read_dataset(config, source)
        for finding in dataset.findings[:SHOWN_FINDINGS]:
            said = "row left out" if finding.level == Level.ERROR else "note"
            console.print(f"{said}: {finding.file} line {finding.line}: {finding.message}")
        with console.status(f"loading {source.name}"), collecting_nothing():
            from trainer.commands.train import train_standalone  # noqa: PLC0415
        raise typer.Exit(train_standalone(config, source, dataset, console))


@app.command("probe")
def probe_run(
    config_file: ConfigOption,
    steps: Annotated[int, typer.Option(help="Steps to take; the first two only warm up.")] = 12,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for `broker estimator predict`.")] = False,
) -> None:
    """Take a dozen steps of a training on this device, and tell how long all of it will take. Nothing is kept."""
    with reporting_errors(config_file):
        config = read_config(config_file)
        source = resolve_base_model(config.base_model)
        dataset = read_dataset(config, source)
        from trainer.commands.probe import probe  # noqa: PLC0415

        report = probe(config, source, dataset, steps=steps)
    if as_json:
        console.print(json.dumps(report.to_json()))
        return
    step, whole = report.seconds_per_step, report.seconds
    console.print(f"start {report.seconds_to_start:.1f} s, a step {step.p50:.2f} s (p90 {step.p90:.2f} s)")
    console.print(f"{report.tokens_per_second:.0f} tokens/s, peak memory {report.peak_memory_gib:.2f} GiB")
    console.print(f"all {report.steps} steps: {whole.p50:.0f} s, nine of ten such runs within {whole.p90:.0f} s")


@app.command()
def run() -> None:
    """Train one run of the broker; LORA_* variables say which (docs/worker-protocol.md)."""
    from trainer.protocol.worker import run_worker  # noqa: PLC0415

    raise typer.Exit(run_worker())


@app.command()
def complete(
    config_file: ConfigOption,
    prompt: Annotated[str, typer.Option(help="What the model is asked.")],
    adapter: Annotated[Path | None, typer.Option(help="The adapter's file; without it the base model answers.")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer, in tokens.")] = 64,
) -> None:
    """Print the greedy answer of the base model, with or without an adapter on it."""
    with reporting_errors(config_file):
        source = resolve_base_model(read_config(config_file).base_model)
        from trainer.commands.try_adapter import answer  # noqa: PLC0415

        console.print(answer(source, prompt, adapter=adapter, max_new_tokens=max_new_tokens))


@app.command()
def draw(
    config_file: ConfigOption,
    prompt: Annotated[str, typer.Option(help="What is to be seen.")],
    adapter: Annotated[Path | None, typer.Option(help="The adapter's file; without it the base model draws.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same picture.")] = 0,
    output: Annotated[Path, typer.Option(help="The new .png file.")] = Path("picture.png"),
) -> None:
    """Draw a picture with a Stable Diffusion model, with or without an adapter on it."""
    with reporting_errors(config_file):
        config = read_config(config_file)
        source = resolve_base_model(config.base_model)
        try_writing(output.parent, "--output")
        from trainer.commands.try_adapter import draw as draw_picture  # noqa: PLC0415

        place = output.with_suffix("")
        console.print(draw_picture(source, config, prompt, adapter=adapter, seed=seed, place=place))


@app.command()
def schema() -> None:
    """Print the JSON schema of the YAML file, for an editor that completes and checks it."""
    from trainer.commands.schema import format_schema  # noqa: PLC0415

    console.print(format_schema())


@app.command()
def template(
    kind: Annotated[str, typer.Argument(help="sd15, sdxl, llama or chatglm.")],
    output: Annotated[Path | None, typer.Option(help="The new file; without it the template is printed.")] = None,
) -> None:
    """Write a commented YAML file to begin with."""
    with reporting_errors(output or Path(kind)):
        from trainer.commands.template import read_template, write_template  # noqa: PLC0415

        if output is None:
            console.print(read_template(kind), end="")
            return
        write_template(kind, output)
        console.print(f"written: {output}")


@app.command()
def convert(
    file: Annotated[Path, typer.Argument(help="A .toml or .json of sd-scripts, a .yaml of LLaMA-Factory or axolotl.")],
    output: Annotated[Path, typer.Option(help="The new YAML file.")] = Path("lora.yaml"),
    program: Annotated[
        str | None, typer.Option("--from", help="sd-scripts, llama-factory or axolotl; by default told by its keys.")
    ] = None,
    base_model: Annotated[str | None, typer.Option(help="The base model, where the file's is not this one.")] = None,
) -> None:
    """Write another program's configuration as one of ours, and list what has no equal or means something else."""
    with reporting_errors(file):
        from trainer.commands.convert import convert as convert_file  # noqa: PLC0415

        convert_file(file, output, console, program=program, base_model=base_model)


@app.command("make-tiny")
def make_tiny(
    kind: Annotated[str, typer.Argument(help="sd15, sdxl, llama or chatglm.")],
    target: Annotated[Path, typer.Argument(help="A new folder; for sd15 and sdxl also a .safetensors file.")],
) -> None:
    """Write a small random model of the true architecture, to try the trainer out with."""
    with reporting_errors(target):
        from trainer.commands import make_tiny  # noqa: PLC0415 - brings torch

        console.print(f"written: {make_tiny.make_tiny(kind, target)}")


@app.command()
def profile(
    model: Annotated[Path | None, typer.Argument(help="A model folder (text or diffusers), or a config.json.")] = None,
    name: Annotated[str | None, typer.Option(help="Its name; by default that of the folder.")] = None,
    output: Annotated[Path | None, typer.Option(help="The new .json file; without it the profile is printed.")] = None,
    catalogue: Annotated[Path | None, typer.Option(help="Write the shipped profiles anew into this folder.")] = None,
    for_broker: Annotated[bool, typer.Option("--for-broker", help="What `broker models add` needs to know.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Trace the memory of our own steps: takes minutes.")] = False,
) -> None:
    """Describe a base model for the estimator: modules, FLOPs, memory. No weight is read and no code of it is run.

    With --for-broker also its tokenizer and text format, and the hash of its files.
    """
    with reporting_errors(model or Path("profile")):
        from trainer.commands.profile import (  # noqa: PLC0415 - brings torch
            describe_for_broker,
            profile_catalogue,
            profile_model,
        )

        if catalogue is not None:
            profile_catalogue(catalogue, console)
            return
        if model is None:
            raise BadInput("model", "name a model folder or a config.json, or give --catalogue")
        if output is not None:
            try_writing(output.parent, "--output")
        make = describe_for_broker if for_broker else profile_model
        written = make(model, name, trace=trace)
        if output is None:
            console.print(written, end="")
            return
        output.write_text(written, encoding="utf-8")
        console.print(f"written: {output}")


@app.command()
def check(
    data: Annotated[Path, typer.Argument(help="The folder with the pictures or the text rows.")],
    config_file: Annotated[Path | None, typer.Option("--config", help="The training it is for: counts tokens.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report as JSON.")] = None,
    html_file: Annotated[Path | None, typer.Option("--html", help="Write the report as one HTML page.")] = None,
    leave_out: Annotated[bool, typer.Option("--leave-out", help="Write a list without the bad rows.")] = False,
) -> None:
    """Report what is wrong with a data set, each finding with file and cure. Changes nothing in it."""
    with reporting_errors(config_file or data):
        from trainer.commands.check import run_check  # noqa: PLC0415 - Pillow and numpy

        config = read_config(config_file) if config_file else None
        outputs = {"json_file": json_file, "html_file": html_file}
        raise typer.Exit(run_check(data, config, console, **outputs, leave_out=leave_out))


@app.command("auto-label")
def auto_label(
    data: Annotated[Path, typer.Argument(help="The folder with the pictures.")],
    model: Annotated[Path | None, typer.Option(help="A BLIP or Florence-2 model folder.")] = None,
    wd14: Annotated[Path | None, typer.Option(help="A WD14 tagger's .onnx file, selected_tags.csv beside it.")] = None,
    tags: Annotated[Path | None, typer.Option(help="The tagger's selected_tags.csv, where it is elsewhere.")] = None,
    from_filename: Annotated[bool, typer.Option("--from-filename", help="Take the words of the file names.")] = False,
    trigger: Annotated[str, typer.Option(help="The word that calls the style; it comes first.")] = "",
    prefix: Annotated[str, typer.Option(help="What stands before the words, such as `a photo of`.")] = "",
    drop: Annotated[str, typer.Option(help="Tags to leave out, separated by commas.")] = "",
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Least probability of a WD14 tag.")] = 0.35,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest caption of a model, in tokens.")] = 64,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures in one go.")] = 4,
    write: Annotated[str, typer.Option(help="metadata (metadata.csv) or sidecar (a .txt each).")] = "metadata",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace captions that are there.")] = False,
) -> None:
    """Write captions for the pictures that have none. Captions that are there stay."""
    with reporting_errors(data):
        from trainer.commands.auto_label import (  # noqa: PLC0415 - Pillow and numpy
            LabelSource,
            make_style,
            parse_place,
            run_auto_label,
        )

        source = LabelSource(model, wd14, tags, from_filename, threshold, max_new_tokens, batch_size)
        style, place = make_style(trigger, prefix, drop), parse_place(write)
        raise typer.Exit(run_auto_label(data, source, style, console, place=place, overwrite=overwrite))


@app.command()
def export(
    file: LoraFile,
    layout: Annotated[str, typer.Option("--format", help="kohya (WebUI, ComfyUI), diffusers or peft.")],
    output: Annotated[Path | None, typer.Option(help="The new file; by default beside the old one.")] = None,
    precision: Annotated[str | None, typer.Option(help="fp32, fp16 or bf16; by default as it is.")] = None,
) -> None:
    """Write a LoRA file in another layout. The layout it has is told by its names."""
    with reporting_errors(file):
        from trainer.commands import adapter_files  # noqa: PLC0415 - brings torch

        console.print(adapter_files.export(file, layout, output, precision))


@app.command()
def inspect(
    file: LoraFile, as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for a script.")] = False
) -> None:
    """Show what a LoRA file is: layout, rank, alpha, base model, modules, norms, metadata."""
    with reporting_errors(file):
        from trainer.commands import adapter_files  # noqa: PLC0415 - brings torch

        console.print(adapter_files.inspect(file, as_json=as_json))


@app.command()
def merge(
    files: Annotated[list[str], typer.Argument(help="LoRA files, each with its weight: style.safetensors:0.7")],
    output: Annotated[Path, typer.Option(help="The new .safetensors file, or with --base the new model folder.")],
    rank: Annotated[int | None, typer.Option(min=1, help="Rank of the result; by default the highest.")] = None,
    base: Annotated[str | None, typer.Option(help="Merge into this base model (folder, GGUF, or name).")] = None,
) -> None:
    """Merge several LoRAs into one of a given rank, or into a copy of their base model."""
    with reporting_errors(output):
        from trainer.commands import adapter_files  # noqa: PLC0415 - brings torch

        console.print(adapter_files.merge(files, rank, output, base))


@app.command()
def resize(
    file: LoraFile,
    rank: Annotated[int, typer.Option(min=1, help="The smaller rank.")],
    output: Annotated[Path | None, typer.Option(help="The new file; by default beside the old one.")] = None,
) -> None:
    """Bring a LoRA to a smaller rank, as near to it as that rank allows."""
    with reporting_errors(file):
        from trainer.commands import adapter_files  # noqa: PLC0415 - brings torch

        console.print(adapter_files.resize(file, rank, output))


@app.command()
def serve(
    base: Annotated[str, typer.Option(help="The base model: a name of the catalogue, a folder, a GGUF file.")],
    adapters: Annotated[Path, typer.Option(help="The folder with the adapters; what appears there later counts too.")],
    host: Annotated[str, typer.Option(help="Where to listen; there is no login: mind who reaches it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    keep: Annotated[int, typer.Option(min=1, help="Adapters kept in memory.")] = 16,
    take_adapters: Annotated[
        bool,
        typer.Option("--take-adapters", help="Take adapters that are sent, with the token in LORA_SERVE_TOKEN if any."),
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option("--allow-host", help="A further name to answer to, such as a proxy's; repeat it."),
    ] = None,
) -> None:
    """Serve one base model with many adapters, in the OpenAI form; `model` in a request names the adapter."""
    with reporting_errors(adapters):
        source = resolve_base_model(base)
        from trainer.serving import command  # noqa: PLC0415 - brings torch

        names = allow_host or ()
        command.serve(
            source, adapters, host=host, port=port, kept=keep, takes_adapters=take_adapters, allowed_hosts=names
        )


@contextmanager
def reporting_errors(config_file: Path) -> Iterator[None]:
    """Report an expected error as one message on standard error and its exit code, not as a traceback."""
    try:
        yield
    except ConfigInvalid as error:
        stderr.print(describe_config_problems(config_file, error))
        raise typer.Exit(ExitCode.BAD_INPUT) from error
    except TrainerError as error:
        stderr.print(f"{config_file}: {error}")
        raise typer.Exit(error.exit_code) from error
    except OSError as error:
        stderr.print(f"{error.filename or config_file}: {error.strerror}; what was written before is kept")
        raise typer.Exit(ExitCode.FAILED) from error
