"""The shipped model on the sample brain: this package beside MONAI's own steps, same weights.

    python -m benchmarks.segment [IMAGE]

Both run in processes of their own, one after the other, whole process timed, imports included.
MONAI's steps are those of the bundle's own configuration, built by its ConfigParser.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measuring import measure
from napari_medcnn.app.samples import sample_path
from napari_medcnn.models.registry import find_model

OURS = """
import napari_medcnn as mc
image, out = sys.argv[1:]
volume = mc.read(image)[0]
mc.write(mc.segment(volume, "flair_lesions"), out, volume=volume)
"""

MONAI = """
import torch
from pathlib import Path
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, SaveImage
bundle, image, out = sys.argv[1:]
parser = ConfigParser()
parser.read_config(str(Path(bundle) / "configs" / "inference.json"))
parser["bundle_root"] = bundle
parser["device"] = "$torch.device('cpu')"
network = parser.get_parsed_content("network_def").eval()
network.load_state_dict(torch.load(Path(bundle) / "models" / "model.pt", weights_only=True))
data = parser.get_parsed_content("preprocessing")({"image": image})
with torch.inference_mode():
    prediction = parser.get_parsed_content("inferer")(inputs=data["image"][None], network=network)
data["pred"] = MetaTensor(prediction[0], meta=data["image"].meta)
steps = parser.get_parsed_content("postprocessing").transforms
label = Compose([s for s in steps if type(s).__name__ != "SaveImaged"])(data)["pred"]
SaveImage(output_dir=Path(out).parent, output_postfix="", separate_folder=False, print_log=False,
          output_dtype="uint8", resample=False)(label, filename=out.removesuffix(".nii.gz"))
"""


def main() -> None:
    """Print both and their ratio."""
    image = sys.argv[1] if len(sys.argv) > 1 else str(sample_path("flair_baseline"))
    with tempfile.TemporaryDirectory() as folder:
        ours = measure(OURS, image, str(Path(folder) / "ours.nii.gz"))
        bundle = str(find_model("flair_lesions").path)
        peer = measure(MONAI, bundle, image, str(Path(folder) / "monai.nii.gz"))
    print(f"napari-medcnn  {ours}\nMONAI          {peer}")
    print(f"time ratio   {peer.seconds / ours.seconds:.2f}")
    print(f"memory ratio {peer.peak_gb / ours.peak_gb:.2f}")


if __name__ == "__main__":
    main()
