"""Side-by-side measurements that you can repeat: `python -m benchmarks.NAME`."""
