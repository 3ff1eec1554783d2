"""What every room uses: errors, checks, devices, files."""
