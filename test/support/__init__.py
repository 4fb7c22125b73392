"""What tests of several rooms share: small scenes, made recordings, tiny networks, data folders."""
