"""``python -m pyconv`` prints what `pyconv.show_config` prints."""

from pyconv._config import show_config

if __name__ == "__main__":
    show_config()
