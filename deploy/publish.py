"""``python -m deploy.publish``: the command line of :mod:`deploy.publishing.publish`."""

from deploy.publishing.publish import main

if __name__ == "__main__":
    main()
