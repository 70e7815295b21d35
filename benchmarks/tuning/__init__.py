"""What a trial costs beyond its work, beside Optuna in memory and on its own SQLite storage."""
