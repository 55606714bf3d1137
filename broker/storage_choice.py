"""Which storage the settings name: a folder, or a bucket of S3."""

from broker.config import Settings
from broker.errors import OperatorError
from broker.persistence.folder_storage import FolderStorage
from broker.persistence.storage import Storage

MIB = 1024 * 1024


def open_storage(settings: Settings) -> Storage:
    """Open the storage that the settings name; nothing of it is looked at yet. Raises: OperatorError."""
    if settings.storage_url is None:
        return FolderStorage(settings.storage_root)
    try:
        from obstore.store import S3Store  # noqa: PLC0415 (large, and needed for buckets alone)

        from broker.persistence.s3_storage import S3Storage  # noqa: PLC0415
    except ImportError as error:
        raise OperatorError(
            "BROKER_STORAGE_URL names a bucket, which is reached with obstore; run `pip install obstore`"
        ) from error
    bucket, _, prefix = settings.storage_url.removeprefix("s3://").partition("/")
    secret = settings.s3_secret_access_key
    given = {
        "endpoint": settings.s3_endpoint,
        "region": settings.s3_region,
        "access_key_id": settings.s3_access_key_id,
        "secret_access_key": None if secret is None else secret.get_secret_value(),
    }
    store = S3Store(
        bucket,
        prefix=prefix.strip("/") or None,
        client_options={"allow_http": (settings.s3_endpoint or "").startswith("http:")},
        **{name: value for name, value in given.items() if value is not None},  # type: ignore[arg-type]
    )
    return S3Storage(store, settings.data_dir / "bucket", settings.storage_copies_mib * MIB)
