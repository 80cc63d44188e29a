"""Low-bit shift networks. `s3.torch` trains them."""
