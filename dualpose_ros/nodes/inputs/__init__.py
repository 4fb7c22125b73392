"""What a node takes in: images in the form that the camera sends them, its camera_info, and what is missing."""
