"""``python -m deploy.predict``: the command line of :mod:`deploy.prediction.predict`."""

from deploy.prediction.predict import main

if __name__ == "__main__":
    main()
