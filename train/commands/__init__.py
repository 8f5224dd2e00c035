"""The commands of `python -m train`: each module holds the options of a command and its run."""
