"""The field's data sets as their authors publish them, read frame by frame: truth, cameras, where the pictures are."""
