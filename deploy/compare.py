"""``python -m deploy.compare``: the command line of :mod:`deploy.timing.compare`."""

from deploy.timing.compare import main

if __name__ == "__main__":
    main()
