"""``python -m deploy.raw_export``: the command line of :mod:`deploy.graph.raw_export`."""

from deploy.graph.raw_export import main

if __name__ == "__main__":
    main()
