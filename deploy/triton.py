"""``python -m deploy.triton``: the command line of :mod:`deploy.engines.triton`."""

from deploy.engines.triton import main

if __name__ == "__main__":
    main()
