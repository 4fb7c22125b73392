"""What the launch files share. Runs in the Python of `ros2 launch`: nothing here needs more than launch and PyYAML."""
