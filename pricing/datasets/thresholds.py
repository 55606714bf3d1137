"""The limits that `trainer check` measures a data set by, each with where it comes from."""

import re

# The project's requirement: pictures of at least 512×512, 50 to 200 samples for a style.
MIN_SIDE_PIXELS = 512
MIN_SAMPLES, MAX_SAMPLES = 50, 200

# Pillow warns of a decompression bomb above this many pixels (its Image.MAX_IMAGE_PIXELS: 256 MiB at 24 bit).
MAX_PIXELS = 89_478_485
MAX_ASPECT = 3.0  # sd-scripts' buckets at 512 go from 256×1024 to 1024×256; past 3 : 1 a crop loses much of a picture

# Variance of the Laplacian, with the shorter side at 512 pixels, in the sharpest tenth of 8×8 tiles (a sharp subject
# before a soft background is no blurred picture). The measure: Pech-Pacheco et al. 2000, "Diatom autofocusing in
# brightfield microscopy". The limit: the sharp pictures of scikit-image have 154 and more, the same after a Gaussian
# blur of 1.5 pixels 64 and less, of 2.5 pixels 16 and less (those of 512 pixels or more). Smooth pictures without an
# edge, such as a colour gradient, fall below it as well.
BLUR_LIMIT = 60.0
BLUR_TILES = 8
BLUR_PERCENTILE = 90
BLANK_DEVIATION = 2.0  # standard deviation of the grey values (0 to 255): less is one colour

# The text encoders of Stable Diffusion have 77 positions, of which begin and end take two.
CLIP_CAPTION_TOKENS = 75
MIN_CAPTION_WORDS = 3  # a subject and two properties; a Chinese character counts as half a word
CONCRETE_WORDS = 5  # with this many other words a vague one is a hint only

MINOR_LANGUAGE_SHARE = 0.1  # a language of fewer rows than this is learnt badly and disturbs the others

# Praise and mood that name nothing to be seen. The two that the requirement names, "nice" and "高级感", and their kin.
VAGUE_ENGLISH = frozenset(
    {
        *("aesthetic", "amazing", "awesome", "beautiful", "best", "classy", "cool", "cute", "elegant", "excellent"),
        *("fancy", "fantastic", "fine", "good", "gorgeous", "great", "high-quality", "incredible", "interesting"),
        *("lovely", "luxurious", "masterpiece", "nice", "perfect", "premium", "pretty", "quality", "stunning"),
        *("stylish", "wonderful"),
    }
)
VAGUE_CHINESE = (
    *(
        "高级感",
        "氛围感",
        "质感",
        "高端",
        "大气",
        "好看",
        "漂亮",
        "美丽",
        "美观",
        "唯美",
        "精美",
        "精致",
        "优雅",
        "时尚",
    ),
    *("有感觉", "有意境", "意境", "完美", "优秀", "很棒", "不错", "惊艳", "绝美", "可爱", "高质量", "高品质", "杰作"),
    "酷炫",
)
FILLER_ENGLISH = frozenset(
    {
        *("a", "an", "and", "at", "by", "for", "in", "is", "it", "of", "on", "the", "this", "to", "very", "with"),
        *("really", "so", "image", "picture", "photo", "photograph", "style"),
    }
)

_CHINESE = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"[{_CHINESE}]|[^\W_{_CHINESE}]+(?:[-'][^\W_{_CHINESE}]+)*")
CHINESE_CHARACTER = re.compile(rf"[{_CHINESE}]")
