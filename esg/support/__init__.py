"""What every package uses: errors, checks, devices, files."""
