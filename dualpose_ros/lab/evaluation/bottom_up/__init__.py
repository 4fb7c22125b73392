"""`dualpose eval bottom-up`: guidance, missed boxes, cameras, decoding, speed."""
