"""What the firmware's measuring needs of the host: an swtpm beside us, and digests of images."""
