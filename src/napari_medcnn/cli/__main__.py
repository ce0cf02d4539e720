"""``python -m napari_medcnn.cli``, for where scripts are not on the path."""

from napari_medcnn.cli import main

main()
