"""Speed: our own regressions (`pytest bench`) and the race against other libraries (`python -m bench.race`)."""
