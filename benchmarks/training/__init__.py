"""What tracking and packaging cost beside a training, here and with MLflow."""
