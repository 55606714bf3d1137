"""How evidence is sealed: each record has a hash of what it says, each interval one of the interval before it, too.

SHA-256 over JSON in one form only: keys in order, no spaces, UTF-8. The seal is the hash of all hashes in their order,
and stands on the invoice itself: who changes the file and all hashes in it gets another seal.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

ALGORITHM = "sha256"
# Lists of records that are each hashed by themselves, in the order in which the seal takes them.
SECTIONS = ("rate_cards", "grants", "lines", "charges")
Json = dict[str, Any]


def hash_record(record: Mapping[str, Any], before: str = "") -> str:
    """Compute the hash of what a record says beside its own hash, chained to the hash before it."""
    said = {name: value for name, value in record.items() if name not in {"hash", "intervals"}}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(f"{before}{text}".encode()).hexdigest()


def seal_evidence(document: Json) -> Json:
    """Seal a document: the same with a hash in every record, the chain over the intervals, and the seal of all."""
    sealed: Json = {**document, "invoice": _seal(document["invoice"])}
    for section in SECTIONS:
        sealed[section] = [_seal(record) for record in document[section]]
    runs, before, count = [], "", 0
    for run in document["runs"]:
        chained = []
        for interval in run["intervals"]:
            before = hash_record(interval, before)
            chained.append({**interval, "hash": before})
        runs.append({**_seal(run), "intervals": chained})
        count += len(chained)
    sealed["runs"] = runs
    sealed["chain"] = {"algorithm": ALGORITHM, "intervals": count, "head": before}
    return {**sealed, "seal": compute_seal(sealed)}


def _seal(record: Mapping[str, Any]) -> Json:
    return {**record, "hash": hash_record(record)}


def compute_seal(document: Mapping[str, Any]) -> str:
    """Compute the seal of a document from the hashes in it, and the head of its chain."""
    hashes = [document["invoice"]["hash"]]
    hashes += [record["hash"] for section in SECTIONS for record in document[section]]
    hashes += [run["hash"] for run in document["runs"]]
    chain = document["chain"]
    whole = "\n".join([*hashes, chain["algorithm"], str(chain["intervals"]), chain["head"]])
    return hashlib.sha256(whole.encode()).hexdigest()


def find_broken_hashes(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Find each record that does not say what its hash was made of: where it is, and what is wrong."""
    yield from _check_record("invoice", document["invoice"])
    for section in SECTIONS:
        for index, record in enumerate(document[section]):
            yield from _check_record(f"{section}[{index}]", record)
    before, count = "", 0
    for index, run in enumerate(document["runs"]):
        yield from _check_record(f"runs[{index}]", run)
        for number, interval in enumerate(run["intervals"]):
            if hash_record(interval, before) != interval["hash"]:
                where = f"runs[{index}].intervals[{number}]"
                yield where, "its hash is not that of what it says and of the interval before it"
            before, count = interval["hash"], count + 1
    yield from _check_chain(document["chain"], before, count)
    if compute_seal(document) != document["seal"]:
        yield "seal", "is not that of the hashes in the file"


def _check_record(where: str, record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if hash_record(record) != record["hash"]:
        yield where, "its hash is not that of what it says"


def _check_chain(chain: Mapping[str, Any], head: str, count: int) -> Iterator[tuple[str, str]]:
    if chain["algorithm"] != ALGORITHM:
        yield "chain.algorithm", f"is not {ALGORITHM}"
    if chain["intervals"] != count:
        yield "chain.intervals", f"says {chain['intervals']}, but the file has {count}"
    if chain["head"] != head:
        yield "chain.head", "is not the hash of the last interval"
