"""The nodes of the graph: thin, ordinary rclpy code around the stages.

Importing any of them makes sure first that `rclpy` can be imported: a sourced ROS 2 is
left alone; without one, `standalone` stands in for the part of it that these nodes use.
"""

from dualpose_ros import standalone

standalone.install()
