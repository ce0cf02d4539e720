"""Running models: plans, preprocessing, segmentation, brain masks."""
