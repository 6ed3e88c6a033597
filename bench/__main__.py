"""`python -m bench` is `python -m bench.load`."""

from bench.load import main

if __name__ == "__main__":
    main()
