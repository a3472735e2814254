"""What can be learned from images without their labels: features of patches, and clusters of neighbours."""
