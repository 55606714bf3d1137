"""`python -m trainer`, which is also what `accelerate launch -m trainer` starts."""

from trainer.cli import main

if __name__ == "__main__":
    main()
