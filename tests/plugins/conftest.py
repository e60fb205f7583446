"""These packages are installed by tests, and hold none."""

collect_ignore_glob = ["*"]
