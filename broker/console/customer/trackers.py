"""Trackers as people call them, by the kind of the secret that opens one."""

from broker.customer_secrets.model import SecretKind

TRACKERS = {SecretKind.MLFLOW: "MLflow", SecretKind.WANDB: "Weights & Biases", SecretKind.SWANLAB: "SwanLab"}
