"""Settings of the service, read from `BROKER_*` environment variables."""

import contextlib
import os
import secrets
import shlex
import sys
from decimal import Decimal
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from broker.private_file import write_private_file
from pricing.catalog import load_gpus
from pricing.catalog.captioners import OfferedCaptioners, UnknownCaptioner, split_names

# Options of sbatch by which the engine keeps its promises: one job, one start, a submission that does not wait.
SBATCH_OPTIONS_OF_OURS = frozenset({"array", "chdir", "export", "job-name", "nodes", "ntasks", "output", "parsable"})
SBATCH_OPTIONS_OF_OURS |= {"requeue", "test-only", "wait", "wrap", *"aDJnNoW"}


Bound = Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)]

RENAMED = {"BROKER_LOCAL_POOL": "BROKER_POOL", "BROKER_LOCAL_SKU": "BROKER_GPU_TYPE"}  # they name a cluster's, too


class Settings(BaseSettings):
    """Everything an operator may set. Durations are in seconds, sizes in bytes."""

    model_config = SettingsConfigDict(env_prefix="BROKER_")

    data_dir: Path = Field(default=Path("var"), description="Datasets, adapters, keys, run folders, embedded database.")
    storage_dir: Path | None = Field(
        default=None,
        description="Folder of data sets, checkpoints, adapters: one for all processes; unset: DATA_DIR/objects.",
    )
    storage_url: str | None = Field(
        default=None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/[A-Za-z0-9._/-]*)?$",
        description="s3://bucket/prefix: data sets, checkpoints and adapters lie there instead of in a folder.",
    )
    s3_endpoint: str | None = Field(
        default=None, pattern=r"^https?://", description="Address of an S3 that is not Amazon's, such as MinIO's."
    )
    s3_region: str | None = Field(default=None, description="Region of the bucket; unset: AWS_REGION.")
    s3_access_key_id: str | None = Field(default=None, description="Unset: as AWS's own tools find it.")
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Beside s3_access_key_id.")
    storage_copies_mib: int = Field(
        default=20_480, ge=1, description="Room for copies on this machine of what lies in a bucket."
    )
    database_url: str | None = Field(
        default=None, description="postgresql:// URL of the application role; unset: the embedded server."
    )
    migration_database_url: str | None = Field(
        default=None, description="postgresql:// URL of the owner of the tables; needed beside database_url."
    )
    database_wait_seconds: float = Field(
        default=0.0, ge=0, description="How long a start waits for a server of its own that does not answer yet."
    )
    database_pool_size: int = Field(default=20, ge=2, description="Connections, shared out among `workers`.")
    lock_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Longest wait for a lock that another transaction has; then 503."
    )
    turn_seconds: float = Field(
        default=30.0,
        gt=0,
        le=3600,
        description="Longest wait of a request for its turn at a connection; then 429 or 503.",
    )
    statement_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="Longest that one statement of a request may take; then 503."
    )
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    workers: int = Field(default=1, ge=1, le=256, description="Processes that answer the API on the one port.")
    leave_seconds: float = Field(
        default=0.0,
        ge=0,
        le=600,
        description="How long a process that is to end goes on taking requests while /readyz says 503: as long as a"
        " load balancer needs to notice.",
    )
    shutdown_seconds: float = Field(
        default=30.0, ge=0, le=3600, description="Longest that it waits after that for requests that it has begun."
    )
    public_url: str | None = Field(default=None, description="How workers reach this broker; default http://host:port.")
    session_seconds: float = Field(
        default=43_200.0, ge=60, le=2_592_000, description="How long a sign-in to the console lasts."
    )
    requests_per_minute: int = Field(
        default=6000,
        ge=0,
        le=10**9,
        description="Requests that a customer's key may send in a minute, unless ops has set another limit; 0: any.",
    )
    verification_before_paying: bool = Field(
        default=False, description="Whether a customer buys hours and tokens only once it is verified (实名)."
    )
    oidc_issuer: str | None = Field(
        default=None,
        pattern=r"^(https://[^\s]+|http://(localhost|127\.0\.0\.1)[^\s]*)$",
        description="OpenID Connect provider by which people sign in to the console, such as https://id.example.com.",
    )
    oidc_client_id: str | None = Field(default=None, description="What this broker is called there.")
    oidc_client_secret: SecretStr | None = Field(default=None, description="Its secret there, where it has one.")
    oidc_name: str = Field(default="OpenID Connect", max_length=60, description="What people call the provider.")
    oidc_scope: str = Field(default="openid email profile", description="What is asked of it.")
    oidc_role_claim: str = Field(default="groups", description="Claim that tells the groups of a person of staff.")
    oidc_roles: dict[Literal["finance", "ops", "admin"], str] = Field(
        default_factory=dict, description='Which group each role has, as JSON: {"ops": "gpu-ops"}; unset: no staff.'
    )
    secret_key: str | None = Field(
        default=None, min_length=16, description="Signs run tokens; unset: DATA_DIR/secret.key."
    )

    engine: Literal["local", "simulated", "slurm", "ray"] = Field(
        default="local",
        description="What runs the training: this machine, this machine without GPUs that pretends to have some, or the"
        " cluster that it can submit to.",
    )
    runs_dir: Path | None = Field(
        default=None, description="Folders of runs; all nodes of a cluster see it at this path. Unset: DATA_DIR/runs."
    )
    slurm_partition: str | None = Field(default=None, description="Partition of the runs; unset: the default.")
    slurm_account: str | None = Field(default=None, description="Account that the runs are booked on at Slurm.")
    slurm_gres: str | None = Field(
        default="gpu", description="What a GPU is called there: `gpu`, `gpu:a100`; empty: runs get CPUs."
    )
    slurm_options: str = Field(default="", description="Further options of sbatch, such as --mem=32G --time=2-0.")

    engine_answer_seconds: float = Field(
        default=60, gt=0, le=600, description="How long a cluster may take to answer; then it counts as away."
    )

    ray_address: str | None = Field(default=None, description="The cluster's dashboard, such as http://head:8265.")
    ray_token: str | None = Field(default=None, description="The cluster's token, where it wants one.")
    ray_resource: str = Field(
        default="GPU", min_length=1, description="What a GPU is called there: GPU, CPU, or a resource of your own."
    )

    local_slots: int = Field(default=1, ge=0, description="Runs at one time on this machine; 0: no local engine.")
    gpu_type: str = Field(
        default="cpu", description="Type of the pool's devices, as pricing/catalog/gpus.yaml calls it."
    )
    pool: str = Field(default="local", description="Name of the pool that this process serves.")
    base_models_dir: Path | None = Field(
        default=None, description="Base models of this machine, each by its name; unset: DATA_DIR/models."
    )
    captioners: str = Field(
        default="",
        description="Captioning models that customers may label pictures with, by commas, the usual one first; the "
        "folder of each lies beside the base models, under its name. Empty: none.",
        examples=["blip-base,florence-2-base"],
    )
    trainer_command: str | None = Field(default=None, description="What starts a run; default: this Python's trainer.")

    cycle_seconds: float = Field(
        default=1.0, gt=0, description="Longest time between two looks whether a waiting job may start."
    )
    fair_share_half_life_days: float = Field(
        default=7.0, gt=0, le=3650, description="After so many days usage counts half as much for who goes next."
    )
    preemption_grace_seconds: float = Field(
        default=60.0, ge=0, le=3600, description="So long a run that makes room for another may take to save."
    )
    preemption_least_run_seconds: float = Field(
        default=600.0, ge=0, le=86_400, description="A run that has not run for so long makes room for nobody."
    )
    preemptions_per_hour: int = Field(
        default=12, ge=0, le=10_000, description="Runs of one pool that make room in an hour; 0: none ever does."
    )
    heartbeat_seconds: float = Field(default=2.0, gt=0)
    lease_seconds: float = Field(default=30.0, gt=0, description="A run silent for longer is lost.")
    sweep_seconds: float = Field(default=5.0, gt=0)
    hold_seconds: int = Field(
        default=3600, ge=60, description="A hold that nothing renews for so long, or a tenth less, expires."
    )
    arrears_seconds: float = Field(
        default=60.0, gt=0, le=86_400, description="Between two looks at who is behind with paying (arrears, 欠费)."
    )
    notice_port: Literal["log", "apprise"] = Field(
        default="log",
        description="How customers are told what concerns their money: into the log, or by mail and chats (apprise).",
    )
    notice_mail_url: str | None = Field(
        default=None,
        repr=False,
        description="The mail server of notices, such as mailtos://user:password@smtp.example.com; a secret.",
    )
    notice_seconds: float = Field(default=15.0, gt=0, le=3600, description="Between two looks for notices to send.")
    webhook_seconds: float = Field(
        default=1.0, gt=0, le=3600, description="Between two looks for what customers' programs are to be told."
    )
    webhook_networks: str = Field(
        default="",
        description="Networks beside the public internet that webhooks and trackers of customers may be in, such as "
        "10.0.0.0/8,127.0.0.1/32; there also without TLS. Empty: none.",
    )
    environment_seconds: float = Field(
        default=30.0, gt=0, le=86_400, description="Between two looks at what environments serve, and lack."
    )
    environment_networks: str = Field(
        default="10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,127.0.0.0/8,::1/128,fc00::/7",
        description="Networks beside the public internet where environments that staff has named may be; there also "
        "without TLS. Those of customers are where webhooks may go (webhook_networks). Empty: none.",
    )
    webhook_failing_days: float = Field(
        default=5.0, gt=0, le=365, description="An endpoint that takes nothing for so long is sent nothing more."
    )
    webhook_event_days: float = Field(
        default=30.0, ge=1, le=3650, description="What customers' programs were told stays so long, to be replayed."
    )
    quote_seconds: int = Field(default=86_400, ge=1)
    purchase_days: int = Field(
        default=30, ge=1, le=365, description="An order of hours or tokens that is not paid for so long is void."
    )
    max_job_gpu_hours: int = Field(
        default=87_600, ge=1, le=10**9, description="GPU-hours that one job may be expected to need (p90); 10 years."
    )
    max_attempts: int = Field(default=5, ge=1, description="Runs of one job, before it is failed.")
    stop_grace_seconds: float = Field(default=30.0, ge=0)
    max_dataset_bytes: int = Field(
        default=8 * 1024**3, ge=1, description="Bytes of one data set, unpacked; more are refused at upload."
    )
    customer_storage_bytes: int = Field(
        default=200 * 1024**3,
        ge=0,
        description="Bytes of data sets and open uploads that a customer may store, where ops says nothing; 0: any.",
    )
    upload_hours: float = Field(
        default=24.0, gt=0, le=8760, description="An upload that comes piece by piece expires so long after its last."
    )
    max_dataset_rows: int = Field(
        default=500_000, ge=1, description="Rows of one data set, usable or not; more are refused at upload."
    )
    retention_seconds: float = Field(default=3600.0, gt=0, description="Between two sweeps of what nobody needs.")
    kept_checkpoints: int = Field(default=3, ge=1, description="Of each job that is not over, the most advanced.")
    kept_adapter_versions: int = Field(
        default=0, ge=0, description="Of each name, the newest, where its customer has no rule of its own; 0: all."
    )
    ended_job_days: float = Field(default=7.0, ge=0, description="Checkpoints of jobs that are over stay so long.")
    orphan_hours: float = Field(
        default=48.0, ge=0.05, description="Files that nothing names, such as uploads that broke off, stay so long."
    )
    run_work_hours: float = Field(default=24.0, ge=0, description="What an ended run worked on stays so long.")
    run_log_days: float = Field(
        default=30.0, ge=0, description="Logs of ended runs stay so long, on disk and as their workers told them."
    )
    recorded_cycle_days: float = Field(
        default=30.0, ge=0, description="What cycles were planned from stays so long, to be replayed; 0 records none."
    )
    recorded_cycle_mib: int = Field(
        default=2048, ge=64, description="Most MiB that they may take, as JSON; the oldest go first."
    )
    wait_cause_days: float = Field(
        default=400.0, ge=0, description="For what jobs waited, and how long for each cause, stays so long."
    )
    done_message_days: float = Field(default=7.0, ge=0, description="Done messages to engines stay so long.")
    stripe_step_days: float = Field(
        default=90.0,
        ge=2,
        description="Of invoices that are paid or void at Stripe, how they came there stays so long.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["text", "json"] = Field(default="text", description="One line for each event, on stderr.")
    issuer_name: str = Field(default="", max_length=200, description="Who issues invoices, as documents name it.")
    issuer_code: str = Field(
        default="", pattern=r"^[A-Z0-9]{0,8}$", description="Its code in numbers of invoices, such as SH: INV-SH-2026-…"
    )
    issuer_tax_number: str = Field(default="", max_length=40, description="Its tax number (税号).")
    issuer_address: str = Field(default="", max_length=200, description="Its address.")
    issuer_phone: str = Field(default="", max_length=40, description="Its telephone.")
    issuer_bank: str = Field(default="", max_length=200, description="The bank that customers pay to (开户行).")
    issuer_bank_account: str = Field(default="", max_length=60, description="The account there (账号).")
    bank_fee_tolerance: Decimal = Field(
        default=Decimal(0),
        ge=0,
        le=100,
        decimal_places=2,
        description="Yuan by which a transfer may be short of an invoice, for the bank's fee, and still pay all of it.",
    )
    holidays: Literal["CN", "HK", "SG", "none"] = Field(
        default="CN",
        description="Whose working days count: what falls due on another day is due on the next one; none: all days.",
    )
    draft_working_days: int = Field(
        default=5, ge=0, le=60, description="Working days after its month that a draft stays open for who checks it."
    )
    finalizes: Literal["by_hand", "automatic"] = Field(
        default="by_hand", description="Who makes drafts final after that: finance, or the broker by itself."
    )
    fapiao_item: str = Field(default="", max_length=100, description="What fapiao are for (项目名称); needed for them.")
    fapiao_tax_code: str = Field(
        default="", pattern=r"^(\d{19})?$", description="Its tax code (税收分类编码), 19 digits; needed for fapiao."
    )
    fapiao_tax_rate: Decimal | None = Field(
        default=None, ge=0, lt=1, decimal_places=4, description="Its tax rate, such as 0.06; needed for fapiao."
    )
    fapiao_unit: str = Field(default="项", max_length=20, description="The unit on fapiao (单位).")
    inference_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^\s]+$",
        description="The /v1 of an inference server in the OpenAI form, to which chats of /openai/v1 are passed on.",
    )
    stripe_api_key: SecretStr | None = Field(
        default=None, description="Secret or restricted key of a Stripe account that collects invoices; unset: none."
    )
    stripe_account_id: str | None = Field(
        default=None, pattern=r"^acct_\w+$", description="That account, such as acct_1A2b3C; needed beside the key."
    )
    stripe_webhook_secret: SecretStr | None = Field(
        default=None,
        description="Signing secret of the endpoint that sends events to /v1/webhooks/stripe; while it is changed, the "
        "new one and the old with a comma between.",
    )
    stripe_api_base: str = Field(
        default="https://api.stripe.com", description="Where Stripe's API is: another address for tests alone."
    )
    approval_credit: Bound | None = Field(
        default=None, description="Above so many yuan a credit by hand needs two people."
    )
    approval_grant: Bound | None = Field(
        default=None, description="Above so many yuan a grant that is given, or units of one, need two people."
    )
    approval_write_off: Bound | None = Field(
        default=None, description="Above so many yuan a write-off needs two people."
    )
    approval_credit_note: Bound | None = Field(
        default=None, description="Above so many yuan a credit note needs two people."
    )
    approval_refund: Bound | None = Field(default=None, description="Above so many yuan a refund needs two people.")
    approval_days: int = Field(default=7, ge=1, le=365, description="What is proposed and not decided expires then.")
    font_dir: Path | None = Field(
        default=None, description="Folder of Noto Sans CJK, for invoices as PDF; unset: where the system has it."
    )
    time_zone: str = Field(default="Asia/Shanghai", description="Billing months of new contracts follow it.")

    @field_validator("webhook_networks", "environment_networks")
    @classmethod
    def _check_networks(cls, text: str) -> str:
        for part in filter(None, (each.strip() for each in text.split(","))):
            try:
                ip_network(part)
            except ValueError as error:
                raise ValueError(f"{part!r} is no network ({error}); write one like 10.0.0.0/8") from error
        return text

    @field_validator("captioners")
    @classmethod
    def _check_captioners(cls, text: str) -> str:
        try:
            return ",".join(OfferedCaptioners.of(split_names(text)).names)
        except UnknownCaptioner as error:
            raise ValueError(str(error)) from error

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValueError(f"{name!r} is no time zone; write one like Asia/Shanghai") from error
        return name

    @field_validator("gpu_type")
    @classmethod
    def _check_gpu_type(cls, sku: str) -> str:
        if sku not in load_gpus():
            raise ValueError(f"{sku!r} is not in the catalogue; it has: {', '.join(sorted(load_gpus()))}")
        return sku

    @field_validator("slurm_options")
    @classmethod
    def _check_slurm_options(cls, options: str) -> str:
        try:
            words = shlex.split(options)
        except ValueError as error:
            raise ValueError(f"{options!r} cannot be split into options ({error}); write them as in a shell") from error
        for word in words:
            if not word.startswith("-"):
                raise ValueError(f"{word!r} is no option; write each as --name=value")
            name = word.removeprefix("--").split("=")[0] if word.startswith("--") else word[1:2]
            if name in SBATCH_OPTIONS_OF_OURS:
                raise ValueError(f"{word!r} is for the broker to say; leave it out")
        return options

    @field_validator("ray_address")
    @classmethod
    def _check_ray_address(cls, address: str | None) -> str | None:
        if address is not None and not address.startswith(("http://", "https://")):
            raise ValueError(f"{address!r} is no address of a dashboard; write one like http://head:8265")
        return None if address is None else address.rstrip("/")

    @model_validator(mode="after")
    def _check_names_are_of_today(self) -> Self:
        for old, new in RENAMED.items():
            if old in os.environ:
                raise ValueError(f"{old} is called {new} now; set that instead")
        return self

    @model_validator(mode="after")
    def _check_provider_knows_us(self) -> Self:
        if self.oidc_issuer is not None and self.oidc_client_id is None:
            raise ValueError("BROKER_OIDC_CLIENT_ID must say what this broker is called at BROKER_OIDC_ISSUER")
        return self

    @model_validator(mode="after")
    def _check_engine_is_named(self) -> Self:
        if self.engine == "ray" and self.ray_address is None:
            raise ValueError("BROKER_RAY_ADDRESS must name the dashboard for engine ray, such as http://head:8265")
        return self

    @field_validator("stripe_api_base")
    @classmethod
    def _check_stripe_api_base(cls, address: str) -> str:
        if not address.startswith(("http://", "https://")):
            raise ValueError(f"{address!r} is no address; write one like https://api.stripe.com")
        return address.rstrip("/")

    @model_validator(mode="after")
    def _check_stripe_is_whole(self) -> Self:
        if self.stripe_api_key is not None and self.stripe_account_id is None:
            raise ValueError(
                "BROKER_STRIPE_ACCOUNT_ID must name the account of BROKER_STRIPE_API_KEY, such as acct_1A2b3C"
            )
        return self

    @model_validator(mode="after")
    def _check_lease_outlives_heartbeats(self) -> Self:
        if self.lease_seconds <= self.heartbeat_seconds:
            raise ValueError("lease_seconds must be more than heartbeat_seconds, or every run would be lost")
        return self

    @property
    def runs_here(self) -> bool:
        """Tell whether runs are processes of this machine."""
        return self.engine in {"local", "simulated"}

    @property
    def process_pool_size(self) -> int:
        """Compute the connections of one process: its share, but enough to go on beside some slow requests."""
        return max(min(self.database_pool_size, 5), self.database_pool_size // self.workers)

    @property
    def secret_path(self) -> Path:
        return self.data_dir / "secret.key"

    @property
    def storage_root(self) -> Path:
        return self.storage_dir or self.data_dir / "objects"

    @property
    def storage_place(self) -> str:
        """Return where the objects lie, as people name it."""
        return self.storage_url or str(self.storage_root)

    @property
    def worker_url(self) -> str:
        return self.public_url or f"http://{self.host}:{self.port}"

    @property
    def trainer_argv(self) -> list[str]:
        if self.trainer_command is not None:
            return shlex.split(self.trainer_command)
        return [sys.executable, "-m", "trainer", "run"]

    @property
    def runs_root(self) -> Path:
        """Return the folder with the runs of this machine's engine."""
        return self.runs_dir or self.data_dir / "runs"

    @property
    def models_root(self) -> Path:
        """Return the folder in which this machine's runs find base models that no package brings."""
        inherited = os.environ.get("LORA_BASE_MODELS_DIR")  # where the trainer itself looks
        return self.base_models_dir or (Path(inherited) if inherited else self.data_dir / "models")

    @property
    def offered_captioners(self) -> OfferedCaptioners:
        return OfferedCaptioners(tuple(split_names(self.captioners)))

    @property
    def admin_key_path(self) -> Path:
        return self.data_dir / "admin.key"

    def load_secret(self) -> bytes:
        """Load the key that signs run tokens; where there is none yet, write one (mode 0600)."""
        if self.secret_key is not None:
            return self.secret_key.encode()
        path = self.secret_path
        if not path.exists():
            with contextlib.suppress(FileExistsError):  # another process was quicker: its key is the one
                write_private_file(path, secrets.token_hex(32), replace=False)
        return path.read_text().strip().encode()
