"""`diffusers`, imported offline and without its chatter; the trainer takes it from here."""

from trainer.base_models.transformers_quiet import transformers  # first: it sets the environment for both

import diffusers  # isort: skip

diffusers.utils.logging.set_verbosity_error()
diffusers.utils.logging.disable_progress_bar()

__all__ = ["diffusers", "transformers"]
