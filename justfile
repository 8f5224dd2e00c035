# The tasks of a contributor: `just` lists them. Each runs in the active environment.

default:
    @just --list

# The fast part of the tests, without PyTorch and onnx; or what is named, such as tests/test_sampling.py.
test *arguments:
    python -m pytest -q -m "not train and not compiler" {{arguments}}

# Lint, format and types.
check:
    ruff check .
    ruff format --check .
    mypy --strict edgevae

# Build the pages into site/ (pip install -e '.[docs]').
docs:
    mkdocs build --strict

# Rebuild the C extension in place.
build:
    python setup.py build_ext --inplace

# The gate: everything, from a fresh clone.
all:
    .ci/run
