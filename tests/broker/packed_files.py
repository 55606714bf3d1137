"""What a packed data set holds, read whole."""

import io
import tarfile


def read_packed(content: bytes) -> list[tuple[str, bytes]]:
    """Read the files of a tar: names and contents."""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]  # type: ignore[union-attr]
