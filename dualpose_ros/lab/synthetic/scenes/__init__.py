"""People, things and cameras put together: patches, frames, videos, and their writing to disk."""
