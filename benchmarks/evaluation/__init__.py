"""What it costs to measure a million predictions with intervals, beside a loop over scikit-learn's metrics."""
