"""What all tests share: `import cases`, one thread a process, and hypothesis without clocks."""

import sys
from pathlib import Path

from hypothesis import settings

# In importlib mode pytest puts no folder of tests on the path; tests/cases.py is imported by several of them.
sys.path.append(str(Path(__file__).parent))

# To be imported by one process of its own: torch cannot forget a device. Not even to look for examples in docstrings.
collect_ignore = ["fake_device.py", "real_device.py", "device_paths.py", "device_graphs.py"]


# No deadline: a shared machine is slow at times. Derandomized: a red test stays red until it is mended.
settings.register_profile("logq", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("logq")
