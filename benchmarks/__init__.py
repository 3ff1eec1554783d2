"""Side-by-side measurements that you can repeat: `python -m benchmarks.NAME`."""

from esg.support.process import share_cores

share_cores()  # as `esg` does, for both sides of a comparison
