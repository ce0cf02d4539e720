"""What opening costs: the reader, each dock widget, and whether torch or monai came along.

xvfb-run -a python -m benchmarks.opening
"""

from __future__ import annotations

import sys
import time

WIDGETS = ("Load", "Study browser", "Analyze", "Lesions")
HEAVY = ("torch", "monai")


def main() -> None:
    """Print seconds for each widget in a real viewer."""
    import napari

    viewer = napari.Viewer()
    for name in WIDGETS:
        started = time.perf_counter()
        dock, _ = viewer.window.add_plugin_dock_widget("napari-medcnn", name)
        dock.show()
        napari.qt.get_qapp().processEvents()
        print(f"{name:13} {time.perf_counter() - started:5.2f} s")
    print("imported:", ", ".join(name for name in HEAVY if name in sys.modules) or "neither")
    viewer.close()


if __name__ == "__main__":
    main()
