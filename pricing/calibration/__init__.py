"""What finished runs say about estimates: how to correct them, how wide to make them, and how good they were.

Owns the calibration that an estimate is made by (`calibration`), how it is learnt (`learning`), the level that p90 is
drawn at (`coverage_level`), what one run may move of it (`support`), whether a card changed among its runs (`change`),
how spreads add up (`width`), and the judgement afterwards (`accuracy`, `coverage`). The broker keeps the versions and
hands in the runs; estimates ask for intervals.
Invariants: a run is never judged by what it taught (out of fold); without runs the width is that of published figures;
no single run moves a price further than the runs beside it support.
May never: read or keep runs itself, change a calibration that was learnt, or tell customers' runs apart.
"""
