"""A live view of people and their image in a browser, by rerun."""
