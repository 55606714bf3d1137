"""The report on a picture data set: files, sharpness, near-duplicates, captions, tokens, counts."""

import hashlib
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from pricing.datasets.caption_quality import CaptionProblem, judge_caption
from pricing.datasets.finding_level import Level
from pricing.datasets.picture_captions import NO_CAPTION, choose_caption
from pricing.datasets.picture_listing import ListingProblem
from pricing.datasets.row_counts import RowCounts, RowTally
from pricing.datasets.row_finding import RowFinding, cut_figures
from pricing.datasets.thresholds import (
    BLUR_LIMIT,
    CLIP_CAPTION_TOKENS,
    MAX_ASPECT,
    MAX_SAMPLES,
    MIN_SAMPLES,
    MIN_SIDE_PIXELS,
)
from trainer.checking.near_duplicates import find_near_duplicates
from trainer.checking.picture_measures import PictureFacts, PictureUnreadable, measure_picture
from trainer.data.quality_report import Finding, Histogram, QualityReport, Thumbnail, make_histogram, sort_findings
from trainer.data.quality_samples import PictureListing, PictureSample, list_picture_names, list_pictures

CountTokens = Callable[[str], int]
MAX_THREADS = 8


def check_images(
    folder: Path,
    metadata_path: Path | None = None,
    count_tokens: CountTokens | None = None,
    *,
    default_caption: str | None = None,
) -> QualityReport:
    """Judge every picture under `folder`, with the caption that training takes: its own, the default, or its folder's.

    `count_tokens`: of one caption, begin and end not counted. Raises: nothing for what is in the files; each problem is
    a finding.
    """
    listing = choose_captions(list_pictures(folder, metadata_path), default_caption)
    measured = measure_all([sample.path for sample in listing.samples])
    named = len(listing.samples) + len(listing.lost)
    findings = [*map(_listing_finding, listing.findings), *judge_unnamed(folder, metadata_path, named)]
    for sample, facts in zip(listing.samples, measured, strict=True):
        findings += judge_file(sample, facts)
        if isinstance(facts, PictureFacts):
            findings += [_caption_finding(sample, problem) for problem in judge_caption(sample.caption)]
    readable = [(s, f) for s, f in zip(listing.samples, measured, strict=True) if isinstance(f, PictureFacts)]
    findings += judge_duplicates(readable)
    captioned = [sample for sample in listing.samples if sample.caption]
    tokens = [count_tokens(sample.caption) for sample in captioned] if count_tokens else []
    findings += judge_lengths(captioned, tokens)
    findings += judge_counts(len(readable), lost=len(listing.lost))
    bad = {finding.file for finding in findings if finding.is_bad_row}
    return QualityReport(
        kind="images",
        folder=str(folder),
        figures=_sum_up(listing.samples, readable, tokens),
        findings=sort_findings(findings),
        histograms=_draw_histograms(readable, tokens),
        thumbnails=[Thumbnail(sample.name, sample.caption, facts.jpeg) for sample, facts in readable],
        kept=[{"file_name": s.name, "text": s.caption} for s in listing.samples if s.name not in bad],
        counts=count_pictures(listing, measured, tokens),
    )


def choose_captions(listing: PictureListing, default_caption: str | None) -> PictureListing:
    """Give each picture the caption that it trains with, and nothing where it has none at all."""
    chosen = [
        replace(sample, caption=choose_caption(sample.name, sample.caption, default_caption) or "")
        for sample in listing.samples
    ]
    return PictureListing(chosen, listing.findings, listing.lost)


def count_pictures(
    listing: PictureListing, measured: Sequence[PictureFacts | PictureUnreadable], tokens: Sequence[int]
) -> RowCounts:
    """Count every picture by what training makes of it."""
    tally = RowTally()
    tally.add_findings(problem.to_finding() for problem in listing.findings)
    for sample, facts in zip(listing.samples, measured, strict=True):
        if isinstance(facts, PictureUnreadable):
            tally.add_finding(RowFinding(sample.name, 1, str(facts), reason=cut_figures(str(facts))))
        elif not sample.caption:
            tally.add_finding(RowFinding(sample.name, 1, NO_CAPTION, reason="has no caption"))
        else:
            tally.usable += 1
    cut = sum(count > CLIP_CAPTION_TOKENS for count in tokens)
    return tally.sum_up("pictures").with_lengths(too_long=0, cut=cut)


def _listing_finding(found: ListingProblem) -> Finding:
    return Finding(found.code, found.level, found.file, found.line, found.message, found.cure)


def judge_unnamed(folder: Path, metadata_path: Path | None, named: int) -> list[Finding]:
    """Find pictures that the named metadata file leaves out: it is the whole list, so that should be meant."""
    unnamed = len(list_picture_names(folder)) - named if metadata_path else 0
    if metadata_path is None or unnamed <= 0:
        return []
    message = f"has {unnamed} pictures that {metadata_path.name} does not name; they are not trained on"
    cure = "name them there, or leave out metadata_path"
    return [Finding("picture_unnamed", Level.HINT, "", None, message, cure)]


def measure_all(paths: Sequence[Path]) -> list[PictureFacts | PictureUnreadable]:
    """Measure the pictures in threads: Pillow and numpy let go of the interpreter's lock while they compute."""

    def measure(path: Path) -> PictureFacts | PictureUnreadable:
        try:
            return measure_picture(path)
        except PictureUnreadable as problem:
            return problem

    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as threads:
        return list(threads.map(measure, paths))


def judge_file(sample: PictureSample, facts: PictureFacts | PictureUnreadable) -> list[Finding]:
    """Find what is wrong with the picture itself."""

    def find(code: str, level: Level, message: str, cure: str, *, is_bad_row: bool = True) -> Finding:
        return Finding(code, level, sample.name, None, message, cure, is_bad_row)

    if isinstance(facts, PictureUnreadable):
        return [find(facts.code, Level.ERROR, str(facts), facts.cure)]
    found = []
    if facts.is_small:
        message = f"is {facts.width}×{facts.height} pixels; at least {MIN_SIDE_PIXELS}×{MIN_SIDE_PIXELS} are needed"
        found.append(find("picture_small", Level.WARNING, message, "take the original in its full size"))
    if facts.is_blank:
        found.append(find("picture_blank", Level.WARNING, "is of one colour", "delete it"))
    if facts.is_blurred:
        message = f"looks blurred (sharpness {facts.sharpness:.0f}, limit {BLUR_LIMIT:.0f})"
        found.append(find("picture_blurred", Level.WARNING, message, "take a sharp one, unless softness is the style"))
    if facts.is_elongated:
        message = f"is {facts.width}×{facts.height}, longer than {MAX_ASPECT:g} : 1; cropping loses much of it"
        found.append(
            find("picture_elongated", Level.HINT, message, "crop it by hand to what matters", is_bad_row=False)
        )
    if facts.frames > 1:
        message = f"has {facts.frames} frames or pages; only the first is trained on"
        found.append(find("picture_frames", Level.HINT, message, "save the frame that you mean", is_bad_row=False))
    return found


def _caption_finding(sample: PictureSample, problem: CaptionProblem) -> Finding:
    return Finding(problem.code, problem.level, sample.name, None, problem.message, problem.cure, problem.is_bad_row)


def judge_duplicates(readable: Sequence[tuple[PictureSample, PictureFacts]]) -> list[Finding]:
    """Find pictures that come twice. The larger of a pair stays: they are compared in falling size, then by name."""
    ordered = sorted(
        (item for item in readable if not item[1].is_blank),
        key=lambda item: (-item[1].width * item[1].height, item[0].name),
    )
    found = []
    for earlier, later, bits in find_near_duplicates([facts.picture_hash for _, facts in ordered]):
        kept, sample = ordered[earlier][0], ordered[later][0]
        is_same = bits == 0 and _digest(kept.path) == _digest(sample.path)
        nearly = f"is nearly the same picture as {kept.name} ({bits} of 64 bits differ)"
        message = f"is the same file as {kept.name}" if is_same else nearly
        cure = "keep one of the two: what comes twice is learnt twice as strongly"
        found.append(Finding("picture_duplicate", Level.WARNING, sample.name, None, message, cure, True, kept.name))
    return found


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def judge_lengths(samples: Sequence[PictureSample], tokens: Sequence[int]) -> list[Finding]:
    found = []
    for sample, count in zip(samples, tokens, strict=False):
        if count > CLIP_CAPTION_TOKENS:
            message = f"caption has {count} tokens; the text encoder reads {CLIP_CAPTION_TOKENS}, the rest is cut off"
            cure = "shorten it, what matters first"
            found.append(Finding("caption_cut", Level.WARNING, sample.name, None, message, cure))
    return found


def judge_counts(usable: int, *, lost: int = 0) -> list[Finding]:
    if usable == 0 and lost:
        message, cure = "has no picture that its metadata leaves to be learnt", "correct the rows that are refused"
        return [Finding("no_sample", Level.ERROR, "", None, message, cure)]
    if usable == 0:
        return [Finding("no_sample", Level.ERROR, "", None, "has no picture that can be read", "add pictures")]
    if usable < MIN_SAMPLES:
        message = f"has {usable} pictures that can be read; {MIN_SAMPLES} to {MAX_SAMPLES} make a style"
        return [
            Finding("few_samples", Level.WARNING, "", None, message, "add some, or raise epochs and watch overfitting")
        ]
    if usable > MAX_SAMPLES:
        message = f"has {usable} pictures; {MIN_SAMPLES} to {MAX_SAMPLES} make a style"
        return [Finding("many_samples", Level.HINT, "", None, message, "keep the best, or train several styles apart")]
    return []


def _sum_up(
    samples: Sequence[PictureSample], readable: Sequence[tuple[PictureSample, PictureFacts]], tokens: Sequence[int]
) -> dict[str, object]:
    figures: dict[str, object] = {
        "pictures": len(samples),
        "readable": len(readable),
        "with_caption": sum(1 for sample in samples if sample.caption),
        "turned_by_exif": sum(facts.was_rotated for _, facts in readable),
    }
    if tokens:
        figures["caption_tokens"] = sum(min(count, CLIP_CAPTION_TOKENS) for count in tokens)
        figures["captions_cut"] = sum(count > CLIP_CAPTION_TOKENS for count in tokens)
    return figures


def _draw_histograms(readable: Sequence[tuple[PictureSample, PictureFacts]], tokens: Sequence[int]) -> list[Histogram]:
    sides = [min(facts.width, facts.height) for _, facts in readable]
    drawn = [
        make_histogram("Caption length", "tokens", tokens),
        make_histogram("Shorter side", "pixels", sides),
        make_histogram("Sharpness", "variance of the Laplacian", [round(facts.sharpness) for _, facts in readable]),
    ]
    return [histogram for histogram in drawn if histogram is not None]
