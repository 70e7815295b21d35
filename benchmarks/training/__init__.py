"""What tracking and packaging cost beside the fit itself."""
